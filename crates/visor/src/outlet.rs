//! An output as an event loop sees it: a buffer that streams append whole lines to, and a task
//! that has a blocking thread write it.
//!
//! Streams never wait for a write, only for room, and only those of this output. At low rates a
//! line is written at once; at high rates a write takes as many lines as have come meanwhile.
//! Only as many threads are used as there are writes in progress, so a thousand files cost none
//! while they are quiet, and a pipe that nobody reads costs one.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use visor_api::source::Rotation;
use visor_engine::text::Lines;

use crate::{
    batch::Batch,
    clock::{Clock, wall},
    metrics::{OutputMeter, StreamMeter},
    sink::{Progress, SharedSink, SinkError},
};

/// Streams wait while this many bytes wait to be written.
const ROOM: usize = 256 * 1024;
/// From this many on, a write doesn't wait for more.
const LARGE: usize = 64 * 1024;
/// At most one write in this time, as long as it would be a small one. So a thousand lines a
/// second don't make a thousand writes, and no line waits for long.
const BETWEEN_WRITES: Duration = Duration::from_millis(2);
/// A write that takes longer is a blocked one.
const SOON: Duration = Duration::from_millis(50);
/// After a failed write; doubled up to the second.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(1);
/// Buffers that a burst has made larger are given back.
const KEPT_CAPACITY: usize = 512 * 1024;

/// An output of this event loop.
pub(crate) struct Outlet {
    name: String,
    sink: SharedSink,
    meter: OutputMeter,
    clock: Rc<Clock>,
    waiting: RefCell<Batch>,
    /// How many lines are being written, or were left by a failed write.
    writing: Cell<u64>,
    filled: Notify,
    large: Notify,
    room: Notify,
    orders: RefCell<Vec<Order>>,
    closing: Cell<bool>,
}

/// What the sink is told before the next write.
enum Order {
    Reopen,
    Rotation(Option<Rotation>),
}

/// Nobody reads what the output writes: the program is to end, quietly.
pub(crate) struct NobodyReads;

impl Outlet {
    /// An output by this name that writes into this sink. It does nothing until its
    /// [`write`](Self::write) runs.
    pub(crate) fn new(name: &str, sink: SharedSink, meter: OutputMeter, clock: Rc<Clock>) -> Self {
        Self {
            name: name.to_owned(),
            sink,
            meter,
            clock,
            waiting: RefCell::default(),
            writing: Cell::new(0),
            filled: Notify::new(),
            large: Notify::new(),
            room: Notify::new(),
            orders: RefCell::default(),
            closing: Cell::new(false),
        }
    }

    /// Whether there is room for lines.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.borrow().len() < ROOM
    }

    /// Waits until there is room for lines.
    pub(crate) async fn room(&self) {
        while !self.has_room() {
            self.room.notified().await;
        }
    }

    /// Has `write` append whole lines of a stream and say how many; `due` is when the first was
    /// due. They are written soon.
    pub(crate) fn append(
        &self,
        meter: &Arc<StreamMeter>,
        due: i64,
        write: impl FnOnce(&mut Lines) -> u64,
    ) {
        self.waiting.borrow_mut().append(meter, due, write);
        self.filled.notify_one();
        if !self.is_small() {
            self.large.notify_one();
        }
    }

    /// Has the next write open the file anew by its name.
    pub(crate) fn reopen(&self) {
        self.orders.borrow_mut().push(Order::Reopen);
    }

    /// Has the next write follow another rule of rotation.
    pub(crate) fn set_rotation(&self, rotation: Option<Rotation>) {
        self.orders.borrow_mut().push(Order::Rotation(rotation));
    }

    /// Has the task write what there is and end. Nothing may be appended any more.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.filled.notify_one();
        self.large.notify_one();
    }

    /// How many lines are on their way and not yet counted.
    pub(crate) fn unwritten(&self) -> u64 {
        self.writing.get() + self.waiting.borrow().lines()
    }

    /// The task that writes: until the output is closed and everything is written.
    pub(crate) async fn write(&self) -> Result<(), NobodyReads> {
        let mut batch = Batch::default();
        let mut next_write = Instant::now();
        loop {
            if self.waiting.borrow().is_empty() {
                if self.closing.get() {
                    break;
                }
                self.filled.notified().await;
                continue;
            }
            while self.is_small() && !self.closing.get() && Instant::now() < next_write {
                let _ = timeout(next_write - Instant::now(), self.large.notified()).await;
            }
            std::mem::swap(&mut batch, &mut self.waiting.borrow_mut());
            self.writing.set(batch.lines());
            self.room.notify_waiters();
            batch = self.write_batch(batch).await?;
            self.writing.set(0);
            next_write = Instant::now() + BETWEEN_WRITES;
        }
        self.close_sink().await;
        Ok(())
    }

    /// Closes the sink: a file that ends in the middle of a line is cut back to the last whole one.
    pub(crate) async fn close_sink(&self) {
        let sink = self.sink.clone();
        let closed = spawn_blocking(move || sink.close(now())).await;
        if let Ok(Err(error)) = closed {
            tracing::error!(output = self.name, "{error}");
        }
    }

    fn is_small(&self) -> bool {
        self.waiting.borrow().len() < LARGE
    }

    /// Writes a batch, however often it takes; gives it back empty.
    async fn write_batch(&self, mut batch: Batch) -> Result<Batch, NobodyReads> {
        let mut retry = FIRST_RETRY;
        let mut failing: Option<String> = None;
        while !batch.is_empty() {
            let (returned, progress) = self.write_once(batch).await;
            batch = returned;
            self.meter.rotations.inc_by(progress.rotations.into());
            batch.written(progress.bytes, Some(self.clock.now()));
            self.writing.set(batch.lines());
            if let Some(error) = &progress.rotation_error {
                self.meter.errors.inc();
                tracing::error!(output = self.name, "{error}");
            }
            match progress.error {
                Some(error) if error.is_broken_pipe() => return Err(NobodyReads),
                Some(error) => {
                    self.failed(&error, &mut failing);
                    sleep(retry).await;
                    retry = (retry * 2).min(LAST_RETRY);
                }
                None => {}
            }
        }
        if failing.is_some() {
            tracing::info!(output = self.name, "writing again; no line was lost");
        }
        batch.shrink_to(KEPT_CAPACITY);
        Ok(batch)
    }

    /// Counts a failed write, and says so the first time and whenever the reason changes.
    fn failed(&self, error: &SinkError, failing: &mut Option<String>) {
        self.meter.errors.inc();
        let reason = error.to_string();
        if failing.as_ref() != Some(&reason) {
            tracing::error!(output = self.name, "{reason}; trying again until it works");
            *failing = Some(reason);
        }
    }

    /// Has a blocking thread do one write, and counts how long it is blocked.
    async fn write_once(&self, batch: Batch) -> (Batch, Progress) {
        let sink = self.sink.clone();
        let orders = self.orders.take();
        let mut write = spawn_blocking(move || {
            for order in orders {
                match order {
                    Order::Reopen => sink.reopen(),
                    Order::Rotation(rotation) => sink.set_rotation(rotation),
                }
            }
            let progress = sink.write(batch.bytes(), now());
            (batch, progress)
        });
        let mut since = Instant::now();
        loop {
            match timeout(SOON, &mut write).await {
                Ok(Ok(written)) => return written,
                // A panic in the sink; the batch is gone with it. The release build aborts.
                Ok(Err(_)) => return (Batch::default(), Progress::default()),
                Err(_) => {
                    let now = Instant::now();
                    self.meter.blocked.inc_by((now - since).as_secs_f64());
                    since = now;
                }
            }
        }
    }
}

/// The system's time, as files are dated by it.
fn now() -> Timestamp {
    Timestamp::from_nanosecond(wall().into()).unwrap_or_default()
}
