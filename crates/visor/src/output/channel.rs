//! The channel from the streams of event loops to the writer of an output: lines go one way, room
//! and the end go the other.
//!
//! Each loop has a buffer of its own, so that loops never wait for each other: all lines of standard
//! output go through one channel, whichever loop writes them.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;
use visor_api::resolved::Rotation;
use visor_engine::{text::Lines, time::Time};

use super::{Batch, Destination, OutputEnd};
use crate::metrics::StreamMeter;

/// Streams wait while this many bytes are buffered, and a write isn't delayed beyond it. Handing
/// over a write has a fixed cost, which is negligible from here on. With what a stream adds at
/// once, the buffer mostly stays within half a mebibyte, to which it grows by doubling.
pub(super) const CAPACITY: usize = 448 * 1024;

/// The channel of an output.
#[derive(Default)]
pub(crate) struct Channel {
    queues: Mutex<Vec<Arc<Queue>>>,
    commands: Mutex<Vec<Command>>,
    /// The number of lines that the writer has taken, and that aren't written.
    taken: AtomicU64,
    /// Notified when there are lines, and when a buffer is dropped.
    pub(super) filled: Notify,
    /// Notified when lines should be written without delay.
    pub(super) full: Notify,
    is_aborted: AtomicBool,
    pub(super) aborted: Notify,
    end: OnceLock<OutputEnd>,
    ended: Notify,
}

/// The lines of a buffer.
struct Queue {
    waiting: Mutex<Batch>,
    /// Notified when lines have been taken.
    has_room: Notify,
    /// Whether the buffer has been dropped: nothing is appended any more.
    is_closed: AtomicBool,
    /// Notified when the output has ended.
    ended: Arc<Notify>,
}

/// The buffer of an event loop: streams append complete lines, which are written soon. When all
/// buffers of an output have been dropped, and everything is written, the output ends.
pub(crate) struct Buffer {
    channel: Arc<Channel>,
    queue: Arc<Queue>,
}

/// A command to the destination, before the next write.
enum Command {
    Reopen,
    Rotation(Option<Rotation>),
}

impl Buffer {
    /// A buffer. Its loop is notified by `ended` when the output has ended.
    pub(super) fn new(channel: &Arc<Channel>, ended: &Arc<Notify>) -> Self {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            has_room: Notify::new(),
            is_closed: AtomicBool::default(),
            ended: Arc::clone(ended),
        });
        lock(&channel.queues).push(Arc::clone(&queue));
        Self { channel: Arc::clone(channel), queue }
    }

    /// Whether there is room for lines.
    pub(crate) fn has_room(&self) -> bool {
        !self.queue.is_full()
    }

    /// Waits until there is room for lines.
    pub(crate) async fn wait_for_room(&self) {
        loop {
            // From here on no notification is missed.
            let has_room = self.queue.has_room.notified();
            if self.has_room() {
                return;
            }
            has_room.await;
        }
    }

    /// Has `write` append complete lines of a stream; `due` is when the first was due; `tokens` is how
    /// often a line shows its token, at most.
    pub(crate) fn append<T>(
        &self,
        meter: &Arc<StreamMeter>,
        due: Time,
        tokens: usize,
        write: impl FnOnce(&mut Lines) -> T,
    ) -> T {
        let mut batch = lock(&self.queue.waiting);
        let result = batch.append(meter, due, tokens, write);
        let is_full = batch.len() >= CAPACITY;
        drop(batch);
        self.channel.filled.notify_one();
        if is_full {
            self.channel.full.notify_one();
        }
        result
    }

    /// Reopens the destination by its name before the next write.
    pub(crate) fn reopen(&self) {
        lock(&self.channel.commands).push(Command::Reopen);
    }

    /// Uses another rotation from the next write on.
    pub(crate) fn set_rotation(&self, rotation: Option<Rotation>) {
        lock(&self.channel.commands).push(Command::Rotation(rotation));
    }

    /// Whether the output has ended: nothing more is written.
    pub(crate) fn has_ended(&self) -> bool {
        self.channel.end().is_some()
    }

    /// Waits until the output has ended.
    pub(crate) async fn ended(&self) {
        loop {
            let ended = self.channel.ended.notified();
            if self.has_ended() {
                return;
            }
            ended.await;
        }
    }

    #[cfg(test)]
    pub(crate) fn channel(&self) -> Arc<Channel> {
        Arc::clone(&self.channel)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.queue.is_closed.store(true, Ordering::Release);
        self.channel.filled.notify_one();
        self.channel.full.notify_one();
    }
}

impl Queue {
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn is_empty(&self) -> bool {
        lock(&self.waiting).is_empty()
    }

    fn is_full(&self) -> bool {
        lock(&self.waiting).len() >= CAPACITY
    }
}

impl Channel {
    /// Takes the lines of a buffer in exchange for an empty batch, if it has any. `turn` selects
    /// the buffer. Returns whether there are as many.
    pub(super) fn take(&self, turn: usize, batch: &mut Batch) -> bool {
        let Some(queue) = lock(&self.queues).get(turn).map(Arc::clone) else { return false };
        std::mem::swap(batch, &mut *lock(&queue.waiting));
        self.set_taken(batch.lines());
        queue.has_room.notify_waiters();
        true
    }

    /// Sets the number of lines that have been taken and aren't written.
    pub(super) fn set_taken(&self, lines: u64) {
        self.taken.store(lines, Ordering::Relaxed);
    }

    /// Whether a buffer has lines.
    pub(super) fn is_filled(&self) -> bool {
        lock(&self.queues).iter().any(|queue| !queue.is_empty())
    }

    /// Whether a buffer has no room.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.queues).iter().any(|queue| queue.is_full())
    }

    /// Whether all buffers have been dropped: what they have left is the last.
    pub(super) fn is_closing(&self) -> bool {
        lock(&self.queues).iter().all(|queue| queue.is_closed())
    }

    /// Whether all buffers have been dropped and are empty. These are removed.
    pub(super) fn is_complete(&self) -> bool {
        let mut queues = lock(&self.queues);
        // Nothing is appended to a buffer that has been dropped.
        queues.retain(|queue| !queue.is_closed() || !queue.is_empty());
        queues.is_empty()
    }

    /// Has the destination follow the commands that have arrived.
    pub(super) fn command(&self, destination: &mut dyn Destination) {
        for command in std::mem::take(&mut *lock(&self.commands)) {
            match command {
                Command::Reopen => destination.reopen(),
                Command::Rotation(rotation) => destination.set_rotation(rotation),
            }
        }
    }

    /// Makes the writer end soon, whatever it is waiting for.
    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Relaxed);
        self.aborted.notify_one();
        self.filled.notify_one();
    }

    /// Whether nobody waits for this output any more.
    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Relaxed)
    }

    /// Reports the end to the streams and their loops.
    pub(super) fn set_end(&self, end: OutputEnd) {
        let _ = self.end.set(end);
        self.ended.notify_waiters();
        lock(&self.queues).iter().for_each(|queue| queue.ended.notify_one());
    }

    /// How the output ended; `None` if it hasn't.
    pub(crate) fn end(&self) -> Option<OutputEnd> {
        self.end.get().copied()
    }

    /// The number of lines that are buffered or being written.
    pub(crate) fn unwritten(&self) -> u64 {
        let buffered =
            lock(&self.queues).iter().map(|queue| lock(&queue.waiting).lines()).sum::<u64>();
        self.taken.load(Ordering::Relaxed) + buffered
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Lines that a panic leaves are complete.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
