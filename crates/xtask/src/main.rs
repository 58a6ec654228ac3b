//! Development tools of this repository, which `make` and the tests run. They are not released.

mod fields;
mod format;

use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

const USAGE: &str = "usage: xtask fields | xtask schema | xtask format";

/// `xtask schema`: prints the schema of documents, which is compiled into visor-api.
fn schema() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let format = PrettyFormatter::with_indent(b" ");
    let schema = visor_api::definition::document_schema();
    schema.serialize(&mut Serializer::with_formatter(&mut out, format))?;
    Ok(writeln!(out)?)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done: Result<(), Box<dyn Error>> = match arguments[..] {
        ["fields"] => fields::print(),
        ["schema"] => schema(),
        ["format"] => format::run(),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
