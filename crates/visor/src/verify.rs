//! `visor verify`: reads what arrived, and compares it with what was emitted. Touches files, and the
//! pages of generators; the verdict is that of [`visor_proof`].

mod inputs;
mod lines;
mod show;

use std::{fs, io, process::ExitCode};

use anyhow::Context;
use indicatif::ProgressBar;
use inputs::Input;
use visor_proof::{
    Delivery, Emitted, Verdict,
    decode::Decoder,
    delivery::{Contents, FaultKind},
    verdict::Outcome,
};
use visor_runtime::console;

use crate::{
    cli::{Allowed, VerdictFormat, VerifyOptions},
    table,
};

/// Something happened to a line.
const FAULTY: u8 = 1;
/// An input or an option is wrong.
const WRONG: u8 = 2;
/// It can't be told.
const UNKNOWN: u8 = 3;

/// `visor verify`. Its exit codes differ from those of the other commands.
pub(crate) fn run(options: &VerifyOptions) -> ExitCode {
    match verdict(options).and_then(|verdict| show(&verdict, options)) {
        Ok(code) => code,
        Err(error) => {
            console::print_last(&format!("visor: {error:#}\n"));
            WRONG.into()
        }
    }
}

fn verdict(options: &VerifyOptions) -> anyhow::Result<Verdict> {
    let emitted: Vec<Emitted> =
        options.emitted.iter().map(|place| emitted(place)).collect::<Result<_, _>>()?;
    let mut delivery = Delivery::default();
    for field in &options.raw {
        delivery.set_contents(field, Contents::Lines);
    }
    for field in &options.unchecked {
        delivery.set_contents(field, Contents::Unchecked);
    }
    let inputs = inputs::all(&options.inputs)?;
    let progress = progress(inputs.iter().map(Input::length).sum());
    for input in inputs {
        read(&input, &mut delivery, &progress)
            .with_context(|| format!("cannot read {}", input.name()))?;
    }
    progress.finish_and_clear();
    Ok(Verdict::of(&mut delivery, &emitted))
}

fn read(input: &Input, delivery: &mut Delivery, progress: &ProgressBar) -> io::Result<()> {
    let mut bytes = input.open(progress)?;
    let mut records = delivery.input(&input.name());
    let mut decoder = Decoder::default();
    lines::for_each(&mut bytes, |line| decoder.line(line, &mut records))?;
    decoder.finish(&mut records);
    records.finish();
    Ok(())
}

/// How much of the inputs is read, on a terminal.
fn progress(length: u64) -> ProgressBar {
    match table::on_terminal() {
        Some(bars) if length > 0 => {
            let style = table::style("[{elapsed_precise}] {wide_bar} {bytes} of {total_bytes}");
            bars.add(ProgressBar::new(length).with_style(style.progress_chars("=> ")))
        }
        _ => ProgressBar::hidden(),
    }
}

/// What a generator has emitted, from a file or from its page.
fn emitted(place: &str) -> anyhow::Result<Emitted> {
    let text = if place.starts_with("http://") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(visor_http::get(place)).map_err(anyhow::Error::msg)?
    } else {
        fs::read(place).with_context(|| format!("cannot read {place}"))?
    };
    serde_json::from_slice(&text).with_context(|| {
        format!("{place} is no report; write one with --report, or name the page /emitted")
    })
}

fn show(verdict: &Verdict, options: &VerifyOptions) -> anyhow::Result<ExitCode> {
    let allowed: Vec<FaultKind> = options.allow.iter().map(|count| count.kind()).collect();
    let outcome = verdict.outcome(&allowed);
    let text = match options.output {
        VerdictFormat::Table => show::table(verdict, outcome),
        VerdictFormat::Json => serde_json::to_string_pretty(verdict)? + "\n",
        VerdictFormat::Junit => show::junit(verdict, &allowed, outcome),
    };
    console::print(&text).context("cannot write to standard output")?;
    Ok(match outcome {
        Outcome::Delivered => ExitCode::SUCCESS,
        Outcome::Faulty => FAULTY.into(),
        Outcome::Unknown => UNKNOWN.into(),
    })
}

impl Allowed {
    const fn kind(self) -> FaultKind {
        match self {
            Self::Missing => FaultKind::Missing,
            Self::Duplicated => FaultKind::Duplicated,
            Self::Truncated => FaultKind::Truncated,
            Self::Split => FaultKind::Split,
            Self::Merged => FaultKind::Merged,
            Self::Altered => FaultKind::Altered,
        }
    }
}
