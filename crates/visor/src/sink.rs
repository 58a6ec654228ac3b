//! Where lines end up: standard output, standard error, or a file that rotates.
//!
//! A [`Sink`] takes batches of whole lines and puts them there, whole: none lost, none doubled,
//! none torn, also when a disk fills up in the middle of one. It blocks, so it belongs on threads
//! that may. It has no clock (time is an argument, so simulated time does as well) and counts
//! nothing (it returns facts). It touches its target, the files beside it that rotation makes, and
//! nothing else.
//!
//! | module | idea |
//! |---|---|
//! | `target` | a target that is open: appending, and knowing where the last whole line ends |
//! | `rotation` | when a file makes room, and how |
//! | `directory` | where a file is, among whatever others have put there |
//! | `names` | the names beside a log file, and how they shift |
//! | `compress` | gzip of what was rotated, on a thread of its own |
//! | `shared` | one sink with several owners |
//! | `patience` | how long a write waits for room |
//! | `error` | what went wrong, where, and what to do |

mod compress;
mod directory;
mod error;
mod names;
mod patience;
mod rotation;
mod shared;
mod target;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use visor_api::resolved::Rotation;

use rotation::Rotator;
use target::OpenTarget;

#[cfg(test)]
pub(crate) use directory::FilePlace;
pub(crate) use error::SinkError;
pub(crate) use patience::Patience;
pub(crate) use shared::SharedSink;
pub(crate) use target::Target;

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes from the start of the batch that reached the target, no more and no less. Without an
    /// `error` it is the whole batch; with one it may end in the middle of a line, and the rest of
    /// the batch from there is what the next call is to bring.
    pub(crate) bytes: usize,
    /// How many times the file was rotated on the way.
    pub(crate) rotations: u32,
    /// Why the rest of the batch was not accepted.
    pub(crate) error: Option<SinkError>,
    /// Why the file could not be rotated. No line was held up by it: they went on into the file as
    /// it is, and a write at least a second later tries again.
    pub(crate) rotation_error: Option<SinkError>,
}

/// What closing a target has shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Bytes of a line of which only the start could be written, and which were taken away again.
    pub(crate) cut: u64,
    /// Bytes in a pipe whose reader has gone without reading them, and which nobody ever will.
    pub(crate) unread: u64,
}

/// A target, and the way lines take into it.
///
/// Files rotate with a write only: one that nobody writes to stays as it is, however old.
pub(crate) struct Sink {
    target: Target,
    /// For a file, also one without a rule: a reload may bring one.
    rotator: Option<Rotator>,
    output: Option<OpenTarget>,
    reopen: bool,
    patience: Patience,
}

impl Sink {
    /// A sink that has opened nothing yet: the first write does, also one of nothing, so that its
    /// errors are an ordinary write's. `rotation` means nothing to the standard streams and to special files.
    /// A write that finds no room waits as long as the `patience` isn't over.
    pub(crate) fn new(target: Target, rotation: Option<Rotation>, patience: Patience) -> Self {
        let rotator = target.file().map(|place| Rotator::new(place, rotation));
        Self { target, rotator, output: None, reopen: false, patience }
    }

    /// Appends whole lines, rotating where it is due.
    ///
    /// `batch` ends with a newline and starts at the start of a line, or, after an error, with
    /// what that call left. `now` is the time the lines are written at, real or simulated.
    pub(crate) fn write(&mut self, batch: &[u8], now: Timestamp) -> Progress {
        let mut progress = Progress::default();
        if batch.is_empty() && self.output.is_none() {
            match open(&self.target, self.rotator.as_mut(), now) {
                Ok(output) => self.output = Some(output),
                Err(error) => progress.error = Some(error),
            }
        }
        while progress.bytes < batch.len() && progress.error.is_none() {
            if let Err(error) = self.advance(batch, now, &mut progress) {
                progress.error = Some(error);
            }
        }
        progress
    }

    /// Does the next thing a batch needs: a rotation, or an append of as many lines as go into
    /// the file before the next one.
    fn advance(
        &mut self,
        batch: &[u8],
        now: Timestamp,
        progress: &mut Progress,
    ) -> Result<(), SinkError> {
        if self.reopen && !self.is_in_mid_line() {
            self.reopen = false;
            self.output = None;
        }
        let output = match &mut self.output {
            Some(output) => output,
            None => self.output.insert(open(&self.target, self.rotator.as_mut(), now)?),
        };
        let rest = &batch[progress.bytes..];
        let room = match &mut self.rotator {
            // A line that was begun ends in the file it was begun in.
            _ if output.unfinished() > 0 => first_line(rest),
            Some(rotator) if output.is_regular() => {
                let Some(room) = rotator.room(output, rest, now) else {
                    match rotator.rotate(output, now) {
                        Ok(rotations) => progress.rotations += rotations,
                        Err(error) => progress.rotation_error = Some(error),
                    }
                    return Ok(());
                };
                room
            }
            _ => rest.len(),
        };
        let place = || self.target.to_string();
        match output.append(&rest[..room], now, &self.patience, &mut progress.bytes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SinkError::GivenUp { place: place() }),
            Err(cause) if output.misses_its_reader(&self.target, &cause) => {
                Err(SinkError::NoReader { place: place() })
            }
            Err(cause) => Err(SinkError::at("write to", &self.target)(cause)),
        }
    }

    /// Has the next write open the file anew, by its name: what SIGHUP asks for after something
    /// else (logrotate) has renamed it. Until then lines go on into the renamed file, as httpd's
    /// do; a line that was begun is still finished there.
    pub(crate) fn reopen(&mut self) {
        self.reopen = true;
    }

    /// Follows another rule from the next write on.
    pub(crate) fn set_rotation(&mut self, rotation: Option<Rotation>) {
        if let Some(rotator) = &mut self.rotator {
            rotator.set_rule(rotation);
        }
    }

    /// Waits for a compression in progress and closes the target; a write would open it anew.
    ///
    /// A file that ends in the middle of a line (the disk was full, and stayed so) is cut back to
    /// its last whole line, if that is still where we left off.
    ///
    /// # Errors
    ///
    /// When the file cannot be cut; it is closed all the same.
    pub(crate) fn close(&mut self) -> Result<Closed, SinkError> {
        let output = self.output.take();
        if let Some(rotator) = &mut self.rotator {
            rotator.wait();
        }
        let Some(mut output) = output else { return Ok(Closed::default()) };
        let unread = output.unread();
        let cut = output.cut_back().map_err(SinkError::at("cut a torn line off", &self.target))?;
        Ok(Closed { cut, unread })
    }

    /// Whether the target ends in the middle of a line.
    fn is_in_mid_line(&self) -> bool {
        self.output.as_ref().is_some_and(|output| output.unfinished() > 0)
    }
}

/// Opens a target, after clearing away what a killed process may have left beside it.
fn open(
    target: &Target,
    rotator: Option<&mut Rotator>,
    now: Timestamp,
) -> Result<OpenTarget, SinkError> {
    if let Some(rotator) = rotator {
        rotator.tidy();
    }
    OpenTarget::open(target, now)
}

/// Bytes of the first line, its newline included; all of them if there is no newline.
fn first_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
}

/// Bytes of the last newline and all before it; `None` if there is no newline.
fn whole_lines(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1)
}
