//! The contract of a destination: what takes records, and what it promises about them.

use jiff::Timestamp;
use visor_api::resolved::Rotation;

use super::{OutputError, Records};

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
}
