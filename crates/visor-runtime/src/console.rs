//! The standard streams and the terminal.

use std::{
    io::{self, IsTerminal as _, Write},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// A diagnostic is dropped if standard error doesn't accept it within this time: lines may be waiting
/// for the thread that writes it.
const WRITE_TIMEOUT: Duration = Duration::from_millis(50);
/// The final message may take longer.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// A write of up to this many bytes to a pipe (Linux's `PIPE_BUF`) succeeds if there is any room.
const CHUNK_BYTES: usize = 4096;

/// Whether output is never colored: on a dumb terminal, or with `NO_COLOR`.
pub fn colors_disabled() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    is_dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether diagnostics are colored.
pub(crate) fn stderr_is_colored() -> bool {
    io::stderr().is_terminal() && !colors_disabled()
}

/// Writes to standard output; a closed pipe is no failure.
///
/// # Errors
///
/// If it doesn't accept the text.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints the final message on standard error as it is.
pub fn print_last(text: &str) {
    write(text.as_bytes(), FINAL_WRITE_TIMEOUT);
}

/// Writes to standard error as much as it accepts in time; the rest is dropped.
fn write(text: &[u8], time_limit: Duration) {
    let mut stderr = io::stderr();
    let timeout = Timespec::try_from(time_limit).ok();
    for chunk in text.chunks(CHUNK_BYTES) {
        let has_room = loop {
            match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], timeout.as_ref()) {
                // A signal, which says nothing about standard error.
                Err(Errno::INTR) => {}
                answer => break answer,
            }
        };
        if has_room != Ok(1) || stderr.write_all(chunk).is_err() {
            return;
        }
    }
}

/// Standard error for diagnostics: what it doesn't accept in time is dropped, without an error.
#[derive(Debug)]
pub struct Diagnostics;

impl Write for Diagnostics {
    /// Accepts a whole diagnostic, which is written at once.
    fn write(&mut self, diagnostic: &[u8]) -> io::Result<usize> {
        write(diagnostic, WRITE_TIMEOUT);
        Ok(diagnostic.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
