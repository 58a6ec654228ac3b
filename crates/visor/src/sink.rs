//! `visor sink`: runs the program `visor-sink` in place of this one. It is a program of its own, since
//! generators in pods have no use for it.

use std::{env, ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::anyhow;

const PROGRAM: &str = "visor-sink";

/// Runs the program, which stands next to this one or in a directory of `PATH`. Returns only if that
/// fails.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Error {
    let beside = env::current_exe().ok().map(|program| program.with_file_name(PROGRAM));
    let program = beside.filter(|program| program.is_file()).unwrap_or_else(|| PROGRAM.into());
    let error = Command::new(program).args(arguments).exec();
    anyhow!("cannot run {PROGRAM}: {error}; install it next to visor, or in a directory of PATH")
}
