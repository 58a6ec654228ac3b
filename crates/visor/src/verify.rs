//! `visor verify`: reads what arrived, and compares it with what was emitted. Touches files, and the
//! pages of generators; the verdict is that of [`visor_proof`].

mod inputs;
mod lines;

use std::{fs, io, process::ExitCode};

use anyhow::Context;
use indicatif::ProgressBar;
use inputs::Input;
use visor_proof::{Delivery, Emitted, Verdict, decode::Decoder, delivery::Contents};
use visor_runtime::console;

use crate::{cli::VerifyOptions, descriptors, table};

/// An input or an option is wrong. A verdict has other exit statuses.
const WRONG: u8 = 2;

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
    descriptors::raise_limit();
    let inputs = inputs::all(&options.inputs)?;
    let progress = progress(inputs.iter().map(Input::length).sum());
    for input in inputs {
        let name = input.name();
        read(input, &name, &mut delivery, &progress)
            .with_context(|| format!("cannot read {name}"))?;
    }
    progress.finish_and_clear();
    Ok(Verdict::of(&mut delivery, &emitted, None))
}

fn read(
    input: Input,
    name: &str,
    delivery: &mut Delivery,
    progress: &ProgressBar,
) -> io::Result<()> {
    let mut bytes = input.open(progress)?;
    let mut records = delivery.input(name);
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
    let text = verdict.show(options.output, &options.allow, "visor verify");
    console::print(&text).context("cannot write to standard output")?;
    Ok(verdict.outcome(&options.allow).exit_status().into())
}
