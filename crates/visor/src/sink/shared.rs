//! One sink with several owners: standard output, into which many event loops write.
//!
//! Batches go in one after the other, so lines never mix. The lock is held while a write blocks:
//! it too is for threads that may block.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use visor_api::source::Rotation;

use super::{Progress, Sink, SinkError, first_line};

/// A handle to a shared sink; clones lead to the same one.
///
/// Where an error strikes in the middle of a line, another owner might be the next to write. So
/// the sink takes the rest of that line over: [`Progress::bytes`] counts the line to its end, and
/// whoever writes next has that rest written first. Batches thus are always accepted as whole
/// lines. The price: that one line counts a little before all of it is written, and if nothing
/// can be written until the end, [`SharedSink::close`] says so. A file has one owner only, who
/// brings the rest of the line himself; there each line counts when it is whole.
#[derive(Clone)]
pub(crate) struct SharedSink(Arc<Mutex<Shared>>);

struct Shared {
    sink: Sink,
    several_owners: bool,
    /// The end of a line whose start is written and whose whole was accepted.
    rest: Vec<u8>,
}

impl SharedSink {
    /// A sink for several owners.
    pub(crate) fn new(sink: Sink) -> Self {
        Self::with(sink, true)
    }

    /// A sink for one owner, who brings the rest of a torn line himself.
    pub(crate) fn of_one_owner(sink: Sink) -> Self {
        Self::with(sink, false)
    }

    fn with(sink: Sink, several_owners: bool) -> Self {
        Self(Arc::new(Mutex::new(Shared { sink, several_owners, rest: Vec::new() })))
    }

    /// Appends whole lines, as [`Sink::write`] does, but where there may be other owners accepts
    /// whole lines only.
    pub(crate) fn write(&self, batch: &[u8], now: Timestamp) -> Progress {
        self.lock().write(batch, now)
    }

    /// See [`Sink::reopen`].
    pub(crate) fn reopen(&self) {
        self.lock().sink.reopen();
    }

    /// See [`Sink::set_rotation`].
    pub(crate) fn set_rotation(&self, rotation: Option<Rotation>) {
        self.lock().sink.set_rotation(rotation);
    }

    /// Closes the sink for all owners, as [`Sink::close`] does, after another attempt to write
    /// the rest of a line that was accepted.
    ///
    /// # Errors
    ///
    /// When that rest still can't be written (so the last line that was counted is torn), or the
    /// target can't be closed well.
    pub(crate) fn close(&self, now: Timestamp) -> Result<u64, SinkError> {
        let mut shared = self.lock();
        let progress = shared.write(b"", now);
        let cut = shared.sink.close()?;
        progress.error.map_or(Ok(cut), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // The sink is good after any call, even one that didn't return.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn write(&mut self, batch: &[u8], now: Timestamp) -> Progress {
        if !self.rest.is_empty() {
            let mut progress = self.sink.write(&self.rest, now);
            self.rest.drain(..progress.bytes);
            progress.bytes = 0;
            if progress.error.is_some() {
                return progress;
            }
        }
        let mut progress = self.sink.write(batch, now);
        if self.several_owners && self.sink.in_mid_line() {
            let rest = &batch[progress.bytes..];
            let rest = &rest[..first_line(rest)];
            self.rest.extend_from_slice(rest);
            progress.bytes += rest.len();
        }
        progress
    }
}
