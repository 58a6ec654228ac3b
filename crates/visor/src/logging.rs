//! Diagnostics: on standard error, separate from the emitted lines, and above the table if one is shown.

use std::io;

use indicatif::MultiProgress;
use tracing_subscriber::fmt::MakeWriter;
use visor_runtime::{
    console::Diagnostics,
    logging::{self, LoggingFormat},
};

/// Initializes diagnostics. If a table is shown on the terminal, they are printed above it.
pub(crate) fn start(format: LoggingFormat, table: Option<MultiProgress>) {
    logging::start(format, AboveTable(table), None);
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
                Ok(diagnostic.len())
            }
            None => Diagnostics.write(diagnostic),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
