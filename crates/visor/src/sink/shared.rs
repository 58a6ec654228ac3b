//! One sink with several owners: standard output, into which many event loops write.
//!
//! Batches go in one after the other, so lines never mix. The lock is held while a write blocks:
//! it too is for threads that may block.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use visor_api::resolved::Rotation;

use super::{Closed, Progress, Sink, SinkError, first_line};

/// An owner's handle to a sink. Clones are the same owner's; [`another_owner`](Self::another_owner)
/// makes a handle for somebody else.
///
/// Where an error strikes in the middle of a line, another owner might be the next to write. Then
/// the end of that line is written first, whoever brings the next batch, and the line's own owner is
/// told with its next call. So no line is glued to another, and none counts before it is whole.
#[derive(Clone)]
pub(crate) struct SharedSink {
    shared: Arc<Mutex<Shared>>,
    owner: usize,
    /// Outside of the lock, which is held while a write blocks: who makes a handle mustn't wait.
    owners: Arc<AtomicUsize>,
}

struct Shared {
    sink: Sink,
    torn: Option<Torn>,
    /// Bytes at the start of an owner's batch that have been written on its behalf.
    finished: BTreeMap<usize, usize>,
    /// Whether an owner has been told of bytes that nobody will read.
    unread_is_told: bool,
}

/// A line of which only the start is written.
struct Torn {
    owner: usize,
    /// The end of it, which its owner's next batch starts with.
    rest: Vec<u8>,
}

impl SharedSink {
    /// A sink with its first owner.
    pub(crate) fn new(sink: Sink) -> Self {
        let shared = Shared { sink, torn: None, finished: BTreeMap::new(), unread_is_told: false };
        let owners = Arc::new(AtomicUsize::new(1));
        Self { shared: Arc::new(Mutex::new(shared)), owner: 0, owners }
    }

    /// A handle to the same sink for another owner.
    pub(crate) fn another_owner(&self) -> Self {
        let owner = self.owners.fetch_add(1, Ordering::Relaxed);
        Self { owner, ..self.clone() }
    }

    /// Appends whole lines, as [`Sink::write`] does.
    pub(crate) fn write(&self, batch: &[u8], now: Timestamp) -> Progress {
        self.lock().write(self.owner, batch, now)
    }

    /// See [`Sink::reopen`].
    pub(crate) fn reopen(&self) {
        self.lock().sink.reopen();
    }

    /// See [`Sink::set_rotation`].
    pub(crate) fn set_rotation(&self, rotation: Option<Rotation>) {
        self.lock().sink.set_rotation(rotation);
    }

    /// Closes the sink, as [`Sink::close`] does, unless another owner has a line to finish in it:
    /// then that one will.
    ///
    /// # Errors
    ///
    /// When the target can't be closed well.
    pub(crate) fn close(&self) -> Result<Closed, SinkError> {
        let mut shared = self.lock();
        if shared.torn.as_ref().is_some_and(|torn| torn.owner != self.owner) {
            return Ok(Closed::default());
        }
        shared.torn = None;
        let mut closed = shared.sink.close()?;
        if closed.unread > 0 && std::mem::replace(&mut shared.unread_is_told, true) {
            closed.unread = 0;
        }
        Ok(closed)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // The sink is good after any call, even one that didn't return.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn write(&mut self, owner: usize, batch: &[u8], now: Timestamp) -> Progress {
        let finished = self.finished.remove(&owner).unwrap_or(0);
        match self.torn.take() {
            // This batch starts with the rest itself.
            Some(torn) if torn.owner == owner => {}
            Some(torn) => {
                let mut progress = self.sink.write(&torn.rest, now);
                if let Some(error) = progress.error.take() {
                    *self.finished.entry(torn.owner).or_default() += progress.bytes;
                    let rest = torn.rest[progress.bytes..].to_vec();
                    self.torn = Some(Torn { rest, ..torn });
                    return Progress { bytes: finished, error: Some(error), ..progress };
                }
                *self.finished.entry(torn.owner).or_default() += progress.bytes;
            }
            None => {}
        }
        let batch = batch.get(finished..).unwrap_or_default();
        let mut progress = self.sink.write(batch, now);
        if self.sink.is_in_mid_line() {
            let rest = &batch[progress.bytes..];
            self.torn = Some(Torn { owner, rest: rest[..first_line(rest)].to_vec() });
        }
        progress.bytes += finished;
        progress
    }
}
