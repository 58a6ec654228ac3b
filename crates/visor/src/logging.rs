//! Diagnostics: on standard error, separate from the emitted lines. They never affect the run: if
//! standard error accepts none, because its reader is gone or a disk is full, they are dropped; if
//! its reader stalls, nobody waits for long.

use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::MultiProgress;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::cli::LoggingFormat;

/// A diagnostic is dropped if standard error doesn't accept it within this time: streams may be
/// waiting for the thread that writes it.
const WRITE_TIMEOUT: Duration = Duration::from_millis(50);
/// The final message may take longer.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// A write of up to this many bytes to a pipe (Linux's `PIPE_BUF`) succeeds if there is any room.
const CHUNK_BYTES: usize = 4096;

/// Initializes diagnostics. If a table is shown on the terminal, they are printed above it.
pub(crate) fn start(format: LoggingFormat, table: Option<MultiProgress>) {
    let lines = fmt::layer()
        .with_writer(AboveTable(table))
        // The subscriber would report a failed write to standard error, and panic.
        .log_internal_errors(false)
        .with_ansi(console_is_colored())
        .with_target(false);
    let setting = std::env::var("VISOR_LOG").unwrap_or_default();
    let logging_format = tracing_subscriber::registry().with(levels(&setting));
    // It fails only if diagnostics have been initialized before.
    let _ = match format {
        LoggingFormat::Text => logging_format.with(lines).try_init(),
        LoggingFormat::Json => logging_format.with(lines.json().flatten_event(true)).try_init(),
    };
}

/// The levels of `VISOR_LOG`, such as `debug` or `visor=debug`; `info` where it says nothing, or
/// isn't valid.
fn levels(setting: &str) -> Targets {
    let setting = Some(setting).filter(|setting| !setting.is_empty());
    let levels: Targets = setting.and_then(|setting| setting.parse().ok()).unwrap_or_default();
    let other = levels.default_level().unwrap_or(LevelFilter::INFO);
    levels.with_default(other)
}

/// Prints the final message on standard error as it is.
pub(crate) fn print_last(text: &str) {
    write(text.as_bytes(), FINAL_WRITE_TIMEOUT);
}

/// Whether output is never colored: on a dumb terminal, or with `NO_COLOR`.
pub(crate) fn colors_disabled() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    is_dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn console_is_colored() -> bool {
    io::IsTerminal::is_terminal(&io::stderr()) && !colors_disabled()
}

/// Writes to standard error as much as it accepts in time; the rest is dropped.
fn write(text: &[u8], time_limit: Duration) {
    let mut stderr = io::stderr();
    let timeout = Timespec::try_from(time_limit).ok();
    for chunk in text.chunks(CHUNK_BYTES) {
        let has_room = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], timeout.as_ref());
        if has_room != Ok(1) || stderr.write_all(chunk).is_err() {
            return;
        }
    }
}

/// Writes to standard error, and moves the table out of the way.
struct AboveTable(Option<MultiProgress>);

struct Line<'a> {
    table: Option<&'a MultiProgress>,
}

impl<'a> MakeWriter<'a> for AboveTable {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { table: self.0.as_ref() }
    }
}

impl io::Write for Line<'_> {
    /// Accepts a whole diagnostic, which is written at once.
    fn write(&mut self, diagnostic: &[u8]) -> io::Result<usize> {
        match self.table {
            Some(table) => {
                // The terminal may be gone.
                let _ = table.println(String::from_utf8_lossy(diagnostic).trim_end());
            }
            None => write(diagnostic, WRITE_TIMEOUT),
        }
        Ok(diagnostic.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_configured_or_info() {
        for (setting, targets) in [
            ("", [Some(Level::INFO), Some(Level::INFO)]),
            ("three=equals=signs", [Some(Level::INFO), Some(Level::INFO)]),
            ("warn", [Some(Level::WARN), Some(Level::WARN)]),
            ("off", [None, None]),
            ("visor=debug", [Some(Level::DEBUG), Some(Level::INFO)]),
            ("warn,visor=debug", [Some(Level::DEBUG), Some(Level::WARN)]),
            ("a slip", [Some(Level::INFO), Some(Level::INFO)]),
        ] {
            let levels = levels(setting);
            for (target, level) in ["visor::run", "hyper::proto"].into_iter().zip(targets) {
                let mut enabled =
                    [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
                        .into_iter()
                        .filter(|level| levels.would_enable(target, level));
                assert_eq!(enabled.next(), level, "{target} by {setting:?}");
            }
        }
    }
}
