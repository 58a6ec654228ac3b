//! A file below the output directory: a log file, which may be rotated, or a named pipe or a device
//! that somebody has created there. It touches the file, and the files next to it that rotation
//! creates.
//!
//! | module | idea |
//! |---|---|
//! | `directory` | safe access to a directory that others may write to |
//! | `names` | the names of rotated files, and how they shift |
//! | `rotation` | when a file is rotated; a method of rotation in each file below it |
//! | `compress` | gzip of rotated files, on a thread of its own |

mod compress;
mod directory;
mod names;
mod rotation;
#[cfg(test)]
mod tests;

use std::io;

use jiff::Timestamp;
use rustix::{fs::FileType, io::Errno};
use visor_api::resolved::Rotation;

use super::{CloseResult, Destination, WriteResult, descriptor::Descriptor};
use crate::output::{Cancellation, OutputError, Records};
use directory::Directory;
use rotation::Rotator;

pub(crate) use directory::FileLocation;

/// A file. It is rotated by writes only: a file that nothing is written to stays as it is.
pub(super) struct LogFile {
    location: FileLocation,
    rotator: Rotator,
    descriptor: Option<Descriptor>,
    reopen: bool,
    cancellation: Cancellation,
}

impl LogFile {
    pub(super) fn new(
        location: FileLocation,
        rotation: Option<Rotation>,
        cancellation: Cancellation,
    ) -> Self {
        let rotator = Rotator::new(&location, rotation);
        Self { location, rotator, descriptor: None, reopen: false, cancellation }
    }

    /// Does the next step: a rotation, or an append of as many records as fit into the file.
    fn advance(
        &mut self,
        records: Records<'_>,
        now: Timestamp,
        result: &mut WriteResult,
    ) -> Result<(), OutputError> {
        if self.reopen && !self.is_within_a_record() {
            self.reopen = false;
            self.descriptor = None;
        }
        let descriptor = match &mut self.descriptor {
            Some(descriptor) => descriptor,
            closed => {
                // What a killed process may have left.
                self.rotator.clean_up();
                closed.insert(open(&self.location, now)?)
            }
        };
        let rest = records.after(result.bytes);
        if rest.is_empty() {
            return Ok(());
        }
        let room = if descriptor.is_within_a_record() {
            // It is completed in the same file.
            rest.first()
        } else if descriptor.is_regular() {
            let Some(room) = self.rotator.room(descriptor, rest, now) else {
                match self.rotator.rotate(descriptor, now) {
                    Ok(rotations) => result.rotations += rotations,
                    Err(error) => result.rotation_error = Some(error),
                }
                return Ok(());
            };
            room
        } else {
            rest.len()
        };
        let location = || self.location.to_string();
        match descriptor.append(rest.until(room), now, &self.cancellation, &mut result.bytes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(OutputError::Canceled { location: location() }),
            // Another reader may follow, and continue where that one stopped.
            Err(cause) if descriptor.is_pipe() && cause.kind() == io::ErrorKind::BrokenPipe => {
                Err(OutputError::no_reader(location()))
            }
            Err(cause) => Err(OutputError::at("write to", location())(cause)),
        }
    }

    fn is_within_a_record(&self) -> bool {
        self.descriptor.as_ref().is_some_and(Descriptor::is_within_a_record)
    }
}

impl Destination for LogFile {
    fn write(&mut self, records: Records<'_>, now: Timestamp) -> WriteResult {
        let mut result = WriteResult::default();
        while result.error.is_none() && (result.bytes < records.len() || self.descriptor.is_none())
        {
            result.error = self.advance(records, now, &mut result).err();
        }
        result
    }

    fn reopen(&mut self) {
        self.reopen = true;
    }

    fn set_rotation(&mut self, rotation: Option<Rotation>) {
        self.rotator.set_rule(rotation);
    }

    /// Waits for a compression in progress. A file that ends with an incomplete record (the disk
    /// was full, and still is) is truncated to its last complete one, unless something else has
    /// changed it.
    fn close(&mut self) -> Result<CloseResult, OutputError> {
        self.rotator.wait();
        let Some(mut descriptor) = self.descriptor.take() else {
            return Ok(CloseResult::default());
        };
        descriptor
            .finish()
            .map_err(OutputError::at("remove an incomplete line from", &self.location))
    }
}

/// Opens a file for appending, as httpd does: mode 0644 less the umask. It is created with its
/// directories if necessary. If it ends with an incomplete line (its writer was killed), that line
/// is ended first.
fn open(location: &FileLocation, now: Timestamp) -> Result<Descriptor, OutputError> {
    let directory = Directory::of(location)?;
    let name = location.name();
    let file = directory.open_log(name).map_err(|cause| {
        let is_pipe = || {
            let stat = directory.stat(name).ok().flatten();
            stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
        };
        if cause.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_pipe() {
            return OutputError::no_reader(directory.show(name));
        }
        directory.failed("open", name)(cause)
    })?;
    let mut descriptor = Descriptor::new(file, now).map_err(directory.failed("examine", name))?;
    descriptor.end_last_line().map_err(directory.failed("end the last line of", name))?;
    Ok(descriptor)
}
