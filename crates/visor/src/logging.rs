//! Diagnostics: on standard error, never among the lines that are emitted. They are of no
//! consequence to the run: where standard error takes none, because its reader is gone or a disk is
//! full, they are left out, and nothing else happens; where its reader has stalled, nobody waits for
//! it for long.

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

use crate::cli::Diagnostics;

/// A diagnostic is left out if standard error doesn't take it within this time: streams may be
/// waiting for the thread that writes it.
const PATIENCE: Duration = Duration::from_millis(50);
/// The last words of the program have longer.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// A write to a pipe of up to this many bytes (Linux's `PIPE_BUF`) finds room if there is any.
const PIECE: usize = 4096;

/// Begins to write diagnostics. Where a table is shown on the terminal, they go above it.
pub(crate) fn start(format: Diagnostics, table: Option<MultiProgress>) {
    let lines = fmt::layer()
        .with_writer(AboveTable(table))
        // The subscriber's own complaint about a failed write would be a write that panics.
        .log_internal_errors(false)
        .with_ansi(console_is_coloured())
        .with_target(false);
    let wished = std::env::var("VISOR_LOG").unwrap_or_default();
    let diagnostics = tracing_subscriber::registry().with(levels(&wished));
    // It can fail only if diagnostics have begun already, and then they go on.
    let _ = match format {
        Diagnostics::Text => diagnostics.with(lines).try_init(),
        Diagnostics::Json => diagnostics.with(lines.json().flatten_event(true)).try_init(),
    };
}

/// The levels that are wished, such as `debug` or `visor=debug`; `info` for all that nothing is
/// wished for, or nothing that can be understood.
fn levels(wished: &str) -> Targets {
    let wished = Some(wished).filter(|wished| !wished.is_empty());
    let levels: Targets = wished.and_then(|wished| wished.parse().ok()).unwrap_or_default();
    let other = levels.default_level().unwrap_or(LevelFilter::INFO);
    levels.with_default(other)
}

/// Says the last words of the program on standard error, as they are.
pub(crate) fn say_last(words: &str) {
    write(words.as_bytes(), LAST_PATIENCE);
}

/// Whether colours are out of place whatever the output is: on a dumb terminal, or by `NO_COLOR`.
pub(crate) fn colours_are_unwished() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    is_dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn console_is_coloured() -> bool {
    io::IsTerminal::is_terminal(&io::stderr()) && !colours_are_unwished()
}

/// Writes to standard error as much as it takes in time; nobody is left to be told of the rest.
fn write(text: &[u8], patience: Duration) {
    let mut stderr = io::stderr();
    let timeout = Timespec::try_from(patience).ok();
    for piece in text.chunks(PIECE) {
        let has_room = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], timeout.as_ref());
        if has_room != Ok(1) || stderr.write_all(piece).is_err() {
            return;
        }
    }
}

/// Writes to standard error, and moves the table out of the way meanwhile.
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
    /// Takes all there is: a diagnostic, which is written at once.
    fn write(&mut self, diagnostic: &[u8]) -> io::Result<usize> {
        match self.table {
            Some(table) => {
                // A terminal that is gone shows nothing any more.
                let _ = table.println(String::from_utf8_lossy(diagnostic).trim_end());
            }
            None => write(diagnostic, PATIENCE),
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
    fn levels_are_those_wished_or_info() {
        for (wished, targets) in [
            ("", [Some(Level::INFO), Some(Level::INFO)]),
            ("three=equals=signs", [Some(Level::INFO), Some(Level::INFO)]),
            ("warn", [Some(Level::WARN), Some(Level::WARN)]),
            ("off", [None, None]),
            ("visor=debug", [Some(Level::DEBUG), Some(Level::INFO)]),
            ("warn,visor=debug", [Some(Level::DEBUG), Some(Level::WARN)]),
            ("a slip", [Some(Level::INFO), Some(Level::INFO)]),
        ] {
            let levels = levels(wished);
            for (target, level) in ["visor::run", "hyper::proto"].into_iter().zip(targets) {
                let mut enabled =
                    [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
                        .into_iter()
                        .filter(|level| levels.would_enable(target, level));
                assert_eq!(enabled.next(), level, "{target} by {wished:?}");
            }
        }
    }
}
