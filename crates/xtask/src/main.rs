//! Tools of this repository, which `make` and the tests call. They are no part of a release.

mod fields;
mod format;

use std::{env, error::Error, process::ExitCode};

const USAGE: &str = "usage: xtask fields [FILE] | xtask format";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done: Result<(), Box<dyn Error>> = match arguments[..] {
        ["fields"] => fields::print(None),
        ["fields", file] => fields::print(Some(file)),
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
