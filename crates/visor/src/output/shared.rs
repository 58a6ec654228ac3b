//! One writer with several owners: standard output, to which many event loops write.
//!
//! Batches are written one after the other, so lines never mix. The lock is held while a write
//! blocks, so this is for threads that may block as well.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use visor_api::resolved::Rotation;

use super::{CloseResult, OutputError, OutputWriter, WriteResult, first_line};

/// An owner's handle to a writer. Clones belong to the same owner; [`new_owner`](Self::new_owner)
/// creates a handle for another one.
///
/// If an error occurs within a line, another owner might be the next to write. Then the rest of
/// that line is written first, whoever brings the next batch, and the line's own owner learns of it
/// with its next call. So no line is appended to another, and none is counted before it is
/// complete.
#[derive(Clone)]
pub(crate) struct SharedOutputWriter {
    shared: Arc<Mutex<Shared>>,
    owner: usize,
    /// Outside of the lock, which is held while a write blocks: creating a handle must not block.
    owners: Arc<AtomicUsize>,
}

struct Shared {
    writer: OutputWriter,
    torn: Option<Torn>,
    /// Bytes at the start of an owner's batch that have been written on its behalf.
    finished: BTreeMap<usize, usize>,
    /// Whether unread bytes have been reported to an owner.
    unread_is_reported: bool,
}

/// A line of which only the start is written.
struct Torn {
    owner: usize,
    /// The rest of it, with which its owner's next batch starts.
    rest: Vec<u8>,
}

impl SharedOutputWriter {
    /// A writer with its first owner.
    pub(crate) fn new(writer: OutputWriter) -> Self {
        let shared =
            Shared { writer, torn: None, finished: BTreeMap::new(), unread_is_reported: false };
        let owners = Arc::new(AtomicUsize::new(1));
        Self { shared: Arc::new(Mutex::new(shared)), owner: 0, owners }
    }

    /// A handle for another owner.
    pub(crate) fn new_owner(&self) -> Self {
        let owner = self.owners.fetch_add(1, Ordering::Relaxed);
        Self { owner, ..self.clone() }
    }

    /// Appends complete lines, as [`OutputWriter::write`] does.
    pub(crate) fn write(&self, batch: &[u8], now: Timestamp) -> WriteResult {
        self.lock().write(self.owner, batch, now)
    }

    /// See [`OutputWriter::reopen`].
    pub(crate) fn reopen(&self) {
        self.lock().writer.reopen();
    }

    /// See [`OutputWriter::set_rotation`].
    pub(crate) fn set_rotation(&self, rotation: Option<Rotation>) {
        self.lock().writer.set_rotation(rotation);
    }

    /// Closes the writer, as [`OutputWriter::close`] does, unless another owner has a line to
    /// complete: then that one will.
    ///
    /// # Errors
    ///
    /// If the destination can't be closed properly.
    pub(crate) fn close(&self) -> Result<CloseResult, OutputError> {
        let mut shared = self.lock();
        if shared.torn.as_ref().is_some_and(|torn| torn.owner != self.owner) {
            return Ok(CloseResult::default());
        }
        shared.torn = None;
        let mut closed = shared.writer.close()?;
        if closed.unread > 0 && std::mem::replace(&mut shared.unread_is_reported, true) {
            closed.unread = 0;
        }
        Ok(closed)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // The writer is consistent after any call, even one that panicked.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn write(&mut self, owner: usize, batch: &[u8], now: Timestamp) -> WriteResult {
        let finished = self.finished.remove(&owner).unwrap_or(0);
        match self.torn.take() {
            // This batch starts with the rest itself.
            Some(torn) if torn.owner == owner => {}
            Some(torn) => {
                let mut result = self.writer.write(&torn.rest, now);
                if let Some(error) = result.error.take() {
                    *self.finished.entry(torn.owner).or_default() += result.bytes;
                    let rest = torn.rest[result.bytes..].to_vec();
                    self.torn = Some(Torn { rest, ..torn });
                    return WriteResult { bytes: finished, error: Some(error), ..result };
                }
                *self.finished.entry(torn.owner).or_default() += result.bytes;
            }
            None => {}
        }
        let batch = batch.get(finished..).unwrap_or_default();
        let mut result = self.writer.write(batch, now);
        if self.writer.is_in_mid_line() {
            let rest = &batch[result.bytes..];
            self.torn = Some(Torn { owner, rest: rest[..first_line(rest)].to_vec() });
        }
        result.bytes += finished;
        result
    }
}
