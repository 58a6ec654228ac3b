//! Diagnostics: on standard error, never among the lines that are emitted.

use std::io;

use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::cli::LogFormat;

/// Begins to write diagnostics. Where a table is shown on the terminal, they go above it.
pub(crate) fn start(format: LogFormat, table: Option<MultiProgress>) {
    let filter = EnvFilter::try_from_env("VISOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveTable(table))
        .with_ansi(console_is_coloured());
    // It can fail only if diagnostics have begun already, and then they go on.
    let _ = match format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_target(false).try_init(),
    };
}

fn console_is_coloured() -> bool {
    io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none()
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
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write(bytes);
        match self.table {
            Some(table) => table.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
