//! Destinations: what takes records, and what it promises about them; a file for each, and which one
//! an output has.
//!
//! | module | idea |
//! |---|---|
//! | `standard_stream` | standard output and standard error, whatever they are connected to |
//! | `file` | a file that may be rotated, or a named pipe or a device below the output directory |
//! | `descriptor` | an open descriptor, and where its last complete record ends |

mod descriptor;
mod file;
mod standard_stream;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;
use visor_api::resolved::{self, Rotation};

use super::{Cancellation, OutputError, Records};
use file::LogFile;
use standard_stream::StandardStream;

pub(crate) use file::FileLocation;

/// Takes records, in order: a standard stream, a file, a pipe.
///
/// A destination opens itself when the first records are written, and again after it was closed. It
/// blocks, so it must be used on threads that may. It has no clock (the time is an argument, real
/// or simulated) and no counters (it returns results).
pub(crate) trait Destination: Send {
    /// Writes records. Writing none opens the destination, so that its errors are known early.
    ///
    /// The first record may be the rest of one: of that with which the previous call ended. `now`
    /// is the time of the write.
    ///
    /// The promise: the bytes that the result counts were accepted, no others were, and no record
    /// is written twice or within another one. A destination that fails in the middle of a record
    /// goes on with its rest, which is what the next call must start with, or removes its start
    /// when it is closed.
    fn write(&mut self, records: Records<'_>, now: Timestamp) -> WriteResult;

    /// Opens again before the next record, by the same name: for SIGHUP after another program
    /// (logrotate) has renamed the file. Until then records go to the renamed file, as in httpd.
    fn reopen(&mut self) {}

    /// Uses another rotation from the next write on.
    fn set_rotation(&mut self, _rotation: Option<Rotation>) {}

    /// Closes, after what has to be finished; a write would open it again.
    ///
    /// # Errors
    ///
    /// If the start of a record can't be removed. It is closed in any case.
    fn close(&mut self) -> Result<CloseResult, OutputError>;
}

/// The result of writing records.
#[derive(Debug, Default)]
pub(crate) struct WriteResult {
    /// Bytes from the start of the records that were written, no more and no less. Without an
    /// `error` these are all; with one they may end within a record.
    pub(crate) bytes: usize,
    /// The number of rotations.
    pub(crate) rotations: u32,
    /// Why the rest was not written, and what is to be done.
    pub(crate) error: Option<OutputError>,
    /// Why the file could not be rotated. Records are not affected: they are written to the current
    /// file, and rotation is retried at least a second later.
    pub(crate) rotation_error: Option<OutputError>,
}

/// The result of closing a destination.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CloseResult {
    /// Bytes of an incomplete record that were removed again.
    pub(crate) cut: u64,
    /// Bytes in a pipe whose reader has gone, which will never be read.
    pub(crate) unread: u64,
    /// All bytes in a pipe: those that its reader, if there is one, may still read.
    pub(crate) in_pipe: u64,
}

/// The output of a generator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutputPlan {
    /// `stdout`, `stderr`, or the file's path below the output directory.
    pub(crate) name: String,
    pub(crate) address: Address,
    pub(crate) rotation: Option<Rotation>,
}

impl OutputPlan {
    /// The plan of an output, below this directory if it is a file.
    pub(crate) fn new(output: &resolved::Output, directory: &Path) -> Self {
        let address = match output {
            resolved::Output::Stdout => Address::Stdout,
            resolved::Output::Stderr => Address::Stderr,
            resolved::Output::File { path, .. } => {
                Address::File(FileLocation::new(directory, path))
            }
        };
        let (name, rotation) = (output.name().to_owned(), output.rotation().cloned());
        Self { name, address, rotation }
    }

    /// The destination, which isn't opened yet. A write that finds no room waits until the
    /// `cancellation`.
    pub(crate) fn destination(&self, cancellation: &Cancellation) -> Box<dyn Destination> {
        let cancellation = cancellation.clone();
        match &self.address {
            Address::Stdout => Box::new(StandardStream::output(cancellation)),
            Address::Stderr => Box::new(StandardStream::error(cancellation)),
            Address::File(location) => {
                let rotation = self.rotation.clone();
                Box::new(LogFile::new(location.clone(), rotation, cancellation))
            }
        }
    }
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// A file below the output directory.
    File(FileLocation),
}
