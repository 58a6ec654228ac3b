//! Outputs: standard output, standard error, or a file that is rotated.
//!
//! An [`OutputWriter`] writes batches of complete lines: none is lost, duplicated or torn, even when a
//! disk fills up in the middle of one. It blocks, so it must run on threads that may. It has no clock
//! (the time is an argument, real or simulated) and no counters (it returns results). It touches its
//! destination, the files next to it that rotation creates, and nothing else.
//!
//! | module | idea |
//! |---|---|
//! | `destination` | an open destination: appends, and knows where the last complete line ends |
//! | `rotation` | when and how a file is rotated |
//! | `directory` | safe access to a directory that others may write to |
//! | `names` | the names of rotated files, and how they shift |
//! | `compress` | gzip of rotated files, on a thread of its own |
//! | `shared` | one writer with several owners |
//! | `cancellation` | cancels writes that wait for room |
//! | `error` | what failed, where, and what to do |

mod cancellation;
mod compress;
mod destination;
mod directory;
mod error;
mod names;
mod rotation;
mod shared;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use visor_api::resolved::Rotation;

use destination::OpenDestination;
use rotation::Rotator;

pub(crate) use cancellation::Cancellation;
pub(crate) use destination::Destination;
#[cfg(test)]
pub(crate) use directory::FileLocation;
pub(crate) use error::OutputError;
pub(crate) use shared::SharedOutputWriter;

/// The result of writing a batch.
#[derive(Debug, Default)]
pub(crate) struct WriteResult {
    /// Bytes from the start of the batch that were written, no more and no less. Without an `error`
    /// it is the whole batch; with one it may end within a line, and the next call must start with
    /// the rest of the batch.
    pub(crate) bytes: usize,
    /// The number of rotations.
    pub(crate) rotations: u32,
    /// Why the rest of the batch was not written.
    pub(crate) error: Option<OutputError>,
    /// Why the file could not be rotated. Lines are not affected: they are written to the current
    /// file, and rotation is retried at least a second later.
    pub(crate) rotation_error: Option<OutputError>,
}

/// The result of closing a destination.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CloseResult {
    /// Bytes of a partial line that were removed again.
    pub(crate) cut: u64,
    /// Bytes in a pipe whose reader has gone, which will never be read.
    pub(crate) unread: u64,
}

/// Writes lines to a destination.
///
/// Files are rotated by writes only: a file that nothing is written to stays as it is.
pub(crate) struct OutputWriter {
    destination: Destination,
    /// For a file, even without a rule, because a reload may add one.
    rotator: Option<Rotator>,
    output: Option<OpenDestination>,
    reopen: bool,
    cancellation: Cancellation,
}

impl OutputWriter {
    /// A writer that has opened nothing yet: the first write does, even an empty one, so that its
    /// errors are those of a write. `rotation` is ignored for standard streams and special files. A
    /// write that finds no room waits until the `cancellation`.
    pub(crate) fn new(
        destination: Destination,
        rotation: Option<Rotation>,
        cancellation: Cancellation,
    ) -> Self {
        let rotator = destination.file().map(|location| Rotator::new(location, rotation));
        Self { destination, rotator, output: None, reopen: false, cancellation }
    }

    /// Appends complete lines, and rotates the file when it is due.
    ///
    /// `batch` ends with a newline and starts at the start of a line or, after an error, with the
    /// rest of the previous call. `now` is the time of the write, real or simulated.
    pub(crate) fn write(&mut self, batch: &[u8], now: Timestamp) -> WriteResult {
        let mut result = WriteResult::default();
        if batch.is_empty() && self.output.is_none() {
            match open(&self.destination, self.rotator.as_mut(), now) {
                Ok(output) => self.output = Some(output),
                Err(error) => result.error = Some(error),
            }
        }
        while result.bytes < batch.len() && result.error.is_none() {
            if let Err(error) = self.advance(batch, now, &mut result) {
                result.error = Some(error);
            }
        }
        result
    }

    /// Does the next step for a batch: a rotation, or an append of as many lines as fit into the
    /// file.
    fn advance(
        &mut self,
        batch: &[u8],
        now: Timestamp,
        result: &mut WriteResult,
    ) -> Result<(), OutputError> {
        if self.reopen && !self.is_in_mid_line() {
            self.reopen = false;
            self.output = None;
        }
        let output = match &mut self.output {
            Some(output) => output,
            None => self.output.insert(open(&self.destination, self.rotator.as_mut(), now)?),
        };
        let rest = &batch[result.bytes..];
        let room = match &mut self.rotator {
            // A partial line is completed in the same file.
            _ if output.unfinished() > 0 => first_line(rest),
            Some(rotator) if output.is_regular() => {
                let Some(room) = rotator.room(output, rest, now) else {
                    match rotator.rotate(output, now) {
                        Ok(rotations) => result.rotations += rotations,
                        Err(error) => result.rotation_error = Some(error),
                    }
                    return Ok(());
                };
                room
            }
            _ => rest.len(),
        };
        let location = || self.destination.to_string();
        match output.append(&rest[..room], now, &self.cancellation, &mut result.bytes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(OutputError::Canceled { location: location() }),
            Err(cause) if output.has_lost_reader(&self.destination, &cause) => {
                Err(OutputError::NoReader { location: location() })
            }
            Err(cause) => Err(OutputError::at("write to", &self.destination)(cause)),
        }
    }

    /// Reopens the file by its name before the next write: for SIGHUP after another program
    /// (logrotate) has renamed it. Until then lines are written to the renamed file, as in httpd; a
    /// partial line is completed there.
    pub(crate) fn reopen(&mut self) {
        self.reopen = true;
    }

    /// Uses another rotation from the next write on.
    pub(crate) fn set_rotation(&mut self, rotation: Option<Rotation>) {
        if let Some(rotator) = &mut self.rotator {
            rotator.set_rule(rotation);
        }
    }

    /// Waits for a compression in progress and closes the destination; a write would reopen it.
    ///
    /// A file that ends with a partial line (the disk was full, and still is) is truncated to its
    /// last complete line, unless something else has changed it.
    ///
    /// # Errors
    ///
    /// If the file can't be truncated; it is closed in any case.
    pub(crate) fn close(&mut self) -> Result<CloseResult, OutputError> {
        let output = self.output.take();
        if let Some(rotator) = &mut self.rotator {
            rotator.wait();
        }
        let Some(mut output) = output else { return Ok(CloseResult::default()) };
        let unread = output.unread();
        let cut = output
            .cut_back()
            .map_err(OutputError::at("remove a partial line from", &self.destination))?;
        Ok(CloseResult { cut, unread })
    }

    /// Whether the destination ends with a partial line.
    fn is_in_mid_line(&self) -> bool {
        self.output.as_ref().is_some_and(|output| output.unfinished() > 0)
    }
}

/// Opens a destination, after removing what a killed process may have left next to it.
fn open(
    destination: &Destination,
    rotator: Option<&mut Rotator>,
    now: Timestamp,
) -> Result<OpenDestination, OutputError> {
    if let Some(rotator) = rotator {
        rotator.clean_up();
    }
    OpenDestination::open(destination, now)
}

/// The length of the first line with its newline; all bytes if there is no newline.
fn first_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
}

/// The length up to and including the last newline; `None` if there is none.
fn whole_lines(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1)
}
