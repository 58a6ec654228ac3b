//! `visor verify`: reads what arrived, and compares it with what was emitted. Touches files, and the
//! pages of generators; the verdict is that of [`visor_proof`].

mod decode;
mod inputs;
mod show;

use std::{fs, process::ExitCode};

use anyhow::Context;
use visor_proof::{Delivery, Emitted, Verdict, verdict::Outcome};
use visor_runtime::console;

use crate::cli::{Allowed, VerdictFormat, VerifyOptions};

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
    for input in inputs::all(&options.inputs)? {
        let name = input.name();
        let read = input.open().with_context(|| format!("cannot read {name}"))?;
        let mut records = delivery.input(&name);
        decode::records(read, &mut records).with_context(|| format!("cannot read {name}"))?;
        records.finish();
    }
    Ok(Verdict::of(&delivery, &emitted))
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
    let allowed: Vec<String> = options.allow.iter().map(|count| count.name().to_owned()).collect();
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
    /// The count by its name in the verdict.
    const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Duplicated => "duplicated",
            Self::Truncated => "truncated",
            Self::Split => "split",
            Self::Merged => "merged",
            Self::Altered => "altered",
        }
    }
}
