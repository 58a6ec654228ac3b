//! An output as an event loop sees it: a buffer that streams append whole lines to, and a task
//! that has a thread write it which may block.
//!
//! Streams never wait for a write, only for room, and only those of this output. At low rates a
//! line is written at once; at high rates a write takes as many lines as have come meanwhile.
//! A thousand files cost one thread ([`writers`](crate::writers)), and a pipe that nobody reads costs
//! one more.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use visor_api::resolved::Rotation;
use visor_engine::{text::Lines, time::Time};

use crate::{
    batch::Batch,
    clock::{Clock, wall},
    metrics::{OutputMeter, StreamMeter},
    sink::{Closed, Progress, SharedSink, SinkError},
    sinks::Turn,
    writers::Writers,
};

/// Streams wait while this many bytes wait to be written, and a write doesn't wait for more. Handing
/// a write over has a price of its own; from here on, that is next to nothing. With what a stream
/// adds in one turn it mostly is within half a mebibyte, to which the buffer grows by doubling.
const ROOM: usize = 448 * 1024;
/// At most one write in this time, as long as there is room. So ten thousand lines a second don't
/// make ten thousand writes, and no line waits for long. Timers go off by the millisecond: after a
/// whole one, lines of a steady stream would always wait for the timer after theirs.
const BETWEEN_WRITES: Duration = Duration::from_micros(500);
/// A write that takes longer is a blocked one.
const SOON: Duration = Duration::from_millis(50);
/// After a failed write; doubled up to the second.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(1);
/// An output that has taken lines before fails for so long before that is told: what a disk without
/// room for a moment, or a collector that is started anew, is no reason to call a pod unready.
const UNTOLD_FAILURE: Duration = Duration::from_secs(5);
/// An output that fails although its streams have ended holds up the end for no longer than this.
const LONGEST_LAST_FAILURE: Duration = Duration::from_secs(2);
/// When an output has become quiet (no write is larger), buffers that a burst has made larger are
/// given back.
const QUIET: usize = 64 * 1024;
const KEPT_WHEN_QUIET: usize = 128 * 1024;

/// An output of this event loop.
pub(crate) struct Outlet {
    name: String,
    sink: SharedSink,
    turn: Option<Turn>,
    writers: Writers,
    persistence: Arc<Persistence>,
    meter: OutputMeter,
    clock: Rc<Clock>,
    waiting: RefCell<Batch>,
    /// How many lines are being written, or were left by a failed write.
    writing: Cell<u64>,
    /// Whether lines could be written at some time.
    has_worked: Cell<bool>,
    filled: Notify,
    full: Notify,
    room: Notify,
    orders: RefCell<Vec<Order>>,
    closing: Cell<bool>,
    /// Whether nobody waits for this output any more.
    hurried: Cell<bool>,
    hurry: Notify,
    /// How it ended, once it has.
    end: Cell<Option<End>>,
    ended: Notify,
}

/// For how long outputs that fail are tried again before they have failed for good: a service goes
/// on until the disk has room, but who waits for the end of a run is told.
#[derive(Default)]
pub(crate) struct Persistence(AtomicU64);

impl Persistence {
    /// Says for how long; `None` is for ever.
    pub(crate) fn set(&self, most: Option<Duration>) {
        let millis = most.map(|most| u64::try_from(most.as_millis()).unwrap_or(u64::MAX));
        self.0.store(millis.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn most(&self) -> Option<Duration> {
        let millis = self.0.load(Ordering::Relaxed);
        (millis < u64::MAX).then(|| Duration::from_millis(millis))
    }
}

/// How an output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything is written.
    Whole,
    /// The reader of a standard stream has gone: the program is to end, quietly.
    NobodyReads,
    /// It failed, and has said so.
    Failed,
    /// It was told not to wait any longer.
    GivenUp,
}

/// A write that has failed for some time.
struct Failure {
    reason: String,
    began: Instant,
    /// Since when it counts as one: not while a pipe has no reader.
    since: Instant,
}

/// What the sink is told before the next write.
enum Order {
    Reopen,
    Rotation(Option<Rotation>),
}

impl Outlet {
    /// An output by this name that writes into this sink. It does nothing until its
    /// [`write`](Self::write) runs.
    pub(crate) fn new(
        name: &str,
        (sink, turn): (SharedSink, Option<Turn>),
        writers: Writers,
        persistence: Arc<Persistence>,
        meter: OutputMeter,
        clock: Rc<Clock>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            sink,
            turn,
            writers,
            persistence,
            meter,
            clock,
            waiting: RefCell::default(),
            writing: Cell::new(0),
            has_worked: Cell::new(false),
            filled: Notify::new(),
            full: Notify::new(),
            room: Notify::new(),
            orders: RefCell::default(),
            closing: Cell::new(false),
            hurried: Cell::new(false),
            hurry: Notify::new(),
            end: Cell::new(None),
            ended: Notify::new(),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
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

    /// How it ended; `None` if it hasn't.
    pub(crate) fn end(&self) -> Option<End> {
        self.end.get()
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        while self.end.get().is_none() {
            self.ended.notified().await;
        }
    }

    /// Has the task end soon, whatever it is waiting for. A write that is under way is ended by
    /// [`Sinks::give_up`](crate::sinks::Sinks::give_up).
    pub(crate) fn hurry(&self) {
        self.hurried.set(true);
        self.hurry.notify_one();
    }

    /// Has `write` append whole lines of a stream and say how many; `due` is when the first was
    /// due. They are written soon.
    pub(crate) fn append(
        &self,
        meter: &Arc<StreamMeter>,
        due: Time,
        write: impl FnOnce(&mut Lines) -> u64,
    ) {
        self.waiting.borrow_mut().append(meter, due, write);
        self.filled.notify_one();
        if !self.has_room() {
            self.full.notify_one();
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
        self.full.notify_one();
    }

    /// How many lines are on their way and not yet counted.
    pub(crate) fn unwritten(&self) -> u64 {
        self.writing.get() + self.waiting.borrow().lines()
    }

    /// The task that writes: until the output is closed and everything is written, or until that
    /// turns out to be impossible. What a closed pipe had left unread is in the answer.
    pub(crate) async fn write(&self) -> (End, Closed) {
        let mut turn = None;
        if let Some(wanted) = &self.turn {
            tokio::select! {
                got = Arc::clone(wanted).lock_owned() => turn = Some(got),
                () = self.hurry.notified() => {}
            }
        }
        let has_turn = self.turn.is_none() || turn.is_some();
        let end = if has_turn { self.write_all().await } else { End::GivenUp };
        self.meter.works();
        let closed = if has_turn { self.close_sink().await } else { Closed::default() };
        self.end.set(Some(end));
        self.ended.notify_waiters();
        (end, closed)
    }

    async fn write_all(&self) -> End {
        let mut next_write = Instant::now();
        // Before there are lines, as httpd does: that nothing can be written is known at once then,
        // also where the first line is due tomorrow.
        let mut batch = match self.write_batch(Batch::default()).await {
            Ok(batch) => batch,
            Err(end) => return end,
        };
        loop {
            if self.waiting.borrow().is_empty() {
                if self.closing.get() {
                    return End::Whole;
                }
                self.filled.notified().await;
                continue;
            }
            while self.has_room() && !self.closing.get() && Instant::now() < next_write {
                let _ = timeout(next_write - Instant::now(), self.full.notified()).await;
            }
            std::mem::swap(&mut batch, &mut self.waiting.borrow_mut());
            self.writing.set(batch.lines());
            self.room.notify_waiters();
            batch = match self.write_batch(batch).await {
                Ok(batch) => batch,
                Err(end) => return end,
            };
            self.writing.set(0);
            next_write = Instant::now() + BETWEEN_WRITES;
        }
    }

    /// Closes the sink: a file that ends in the middle of a line is cut back to the last whole one.
    async fn close_sink(&self) -> Closed {
        let sink = self.sink.clone();
        match self.writers.run(move || sink.close()).await {
            Ok(Ok(closed)) => closed,
            Ok(Err(error)) => {
                tracing::error!(output = self.name, "{error}");
                Closed::default()
            }
            // A panic in the sink. The release build aborts.
            Err(_) => Closed::default(),
        }
    }

    /// Writes a batch, however often it takes; gives it back empty. One that is empty before opens the
    /// output.
    async fn write_batch(&self, mut batch: Batch) -> Result<Batch, End> {
        let size = batch.len();
        let mut retry = FIRST_RETRY;
        let mut failing: Option<Failure> = None;
        loop {
            let is_opening = batch.is_empty();
            let (returned, progress) = self.write_once(batch).await;
            batch = returned;
            batch.account(&progress, &self.meter, Some(self.clock.now()));
            self.writing.set(batch.lines());
            if let Some(error) = &progress.rotation_error {
                self.meter.errors.inc();
                tracing::error!(output = self.name, "{error}");
            }
            let Some(error) = progress.error else {
                if batch.is_empty() {
                    break;
                }
                continue;
            };
            if matches!(error, SinkError::GivenUp { .. }) || self.hurried.get() {
                return Err(End::GivenUp);
            }
            if error.is_broken_pipe() {
                return Err(End::NobodyReads);
            }
            // Without lines nobody misses a reader.
            let is_waiting = matches!(error, SinkError::NoReader { .. });
            if is_opening && (is_waiting || self.closing.get()) {
                break;
            }
            self.failed(&error, &mut failing)?;
            tokio::select! {
                () = sleep(retry) => {}
                () = self.hurry.notified() => {}
            }
            retry = if is_waiting { FIRST_RETRY } else { (retry * 2).min(LAST_RETRY) };
        }
        if failing.is_some() {
            self.meter.works();
            tracing::info!(output = self.name, "writing again; no line was lost");
        }
        self.has_worked.set(true);
        if size < QUIET {
            batch.shrink_to(KEPT_WHEN_QUIET);
        }
        Ok(batch)
    }

    /// Says that a write failed, the first time and whenever the reason changes, and counts it. In a
    /// run that ends by itself, one that goes on failing is the output's end.
    fn failed(&self, error: &SinkError, failing: &mut Option<Failure>) -> Result<(), End> {
        let reason = error.to_string();
        let is_new = failing.as_ref().is_none_or(|failure| failure.reason != reason);
        let now = Instant::now();
        let (began, since) =
            failing.as_ref().map_or((now, now), |failure| (failure.began, failure.since));
        if self.closing.get() {
            // What is left is for an output that nobody asks for any more.
            self.meter.works();
        } else if !self.has_worked.get() || began.elapsed() >= UNTOLD_FAILURE {
            self.meter.fails(&reason);
        }
        if matches!(error, SinkError::NoReader { .. }) {
            if is_new {
                tracing::warn!(output = self.name, "{reason}");
            }
            *failing = Some(Failure { reason, began, since: now });
            return Ok(());
        }
        self.meter.errors.inc();
        let mut most = self.persistence.most();
        if self.closing.get() {
            most = most.map(|most| most.min(LONGEST_LAST_FAILURE));
        }
        if most.is_some_and(|most| since.elapsed() >= most) {
            tracing::error!(output = self.name, "{reason}");
            return Err(End::Failed);
        }
        if is_new {
            tracing::error!(output = self.name, "{reason}; trying again");
        }
        *failing = Some(Failure { reason, began, since });
        Ok(())
    }

    /// Has a thread that may block do one write, and counts how long it is blocked.
    async fn write_once(&self, batch: Batch) -> (Batch, Progress) {
        let sink = self.sink.clone();
        let orders = self.orders.take();
        let write = self.writers.run(move || {
            for order in orders {
                match order {
                    Order::Reopen => sink.reopen(),
                    Order::Rotation(rotation) => sink.set_rotation(rotation),
                }
            }
            let progress = sink.write(batch.bytes(), wall().timestamp());
            (batch, progress)
        });
        let mut write = pin!(write);
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

#[cfg(test)]
mod tests;
