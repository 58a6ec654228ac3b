//! The buffer of an output on an event loop: streams append complete lines, and a task has a thread
//! write them, which may block.
//!
//! Streams never wait for a write, only for room, and only those of this output. At low rates a
//! line is written at once; at high rates a write takes the lines that have accumulated. A thousand
//! files need one thread ([`write_threads`](crate::write_threads)), and a pipe that nobody reads
//! needs one more.

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
use tracing::Level;
use visor_api::resolved::Rotation;
use visor_engine::{text::Lines, time::Time};

use crate::{
    batch::Batch,
    clock::{Clock, wall},
    metrics::{OutputMeter, StreamMeter},
    output::{CloseResult, OutputError, SharedOutputWriter, WriteResult},
    output_writers::FileLock,
    shared_log::SharedLog,
    write_threads::WriteThreads,
};

/// Streams wait while this many bytes are buffered, and a write isn't delayed beyond it. Handing
/// over a write has a fixed cost, which is negligible from here on. With what a stream adds at
/// once, the buffer mostly stays within half a mebibyte, to which it grows by doubling.
const CAPACITY: usize = 448 * 1024;
/// The minimum time between two writes while there is room. So ten thousand lines per second don't
/// cause ten thousand writes, and no line waits for long. Timers have a resolution of a
/// millisecond: after a whole one, lines of a steady stream would always wait for the next timer.
const MIN_WRITE_INTERVAL: Duration = Duration::from_micros(500);
/// A longer write counts as blocked.
const BLOCKED_AFTER: Duration = Duration::from_millis(50);
/// The delay after a failed write; doubled up to the maximum.
const MIN_RETRY_INTERVAL: Duration = Duration::from_millis(100);
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// An output that has worked before may fail for this long before it is reported as failing: a disk
/// that is full for a moment, or a collector that restarts, shouldn't make a pod unready.
const UNREPORTED_FAILURE: Duration = Duration::from_secs(5);
/// A failing output delays the end of a run by no more than this after its streams have ended.
const MAX_FINAL_FAILURE: Duration = Duration::from_secs(2);
/// After small writes, buffers that a burst has grown are released.
const SMALL_WRITE: usize = 64 * 1024;
const KEPT_CAPACITY: usize = 128 * 1024;

/// The buffer of an output.
pub(crate) struct OutputBuffer {
    name: String,
    writer: SharedOutputWriter,
    file_lock: Option<FileLock>,
    write_threads: WriteThreads,
    retry_limit: Arc<RetryLimit>,
    log: Arc<SharedLog>,
    meter: OutputMeter,
    clock: Rc<Clock>,
    waiting: RefCell<Batch>,
    /// The number of lines that are being written, or were left by a failed write.
    writing: Cell<u64>,
    /// The failure of an earlier write that was given up.
    failing: Cell<Option<Failure>>,
    /// Whether lines have been written before.
    has_succeeded: Cell<bool>,
    filled: Notify,
    full: Notify,
    wait_for_room: Notify,
    commands: RefCell<Vec<WriterCommand>>,
    closing: Cell<bool>,
    /// Whether nobody waits for this output any more.
    aborted: Cell<bool>,
    abort: Notify,
    /// How it ended, once it has.
    end: Cell<Option<OutputEnd>>,
    ended: Notify,
}

/// How long failing outputs are retried before they have failed for good: a service retries until
/// the disk has room, but a run that ends by itself reports the failure.
#[derive(Default)]
pub(crate) struct RetryLimit(AtomicU64);

impl RetryLimit {
    /// Sets the limit; `None` is forever.
    pub(crate) fn set(&self, max: Option<Duration>) {
        let millis = max.map(|max| u64::try_from(max.as_millis()).unwrap_or(u64::MAX));
        self.0.store(millis.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn max(&self) -> Option<Duration> {
        let millis = self.0.load(Ordering::Relaxed);
        (millis < u64::MAX).then(|| Duration::from_millis(millis))
    }
}

/// How an output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputEnd {
    /// Everything is written.
    Complete,
    /// The reader of a standard stream has gone: the program ends, without an error.
    ReaderGone,
    /// It failed, and has logged why.
    Failed,
    /// It was canceled.
    Canceled,
}

/// A write that has been failing for some time.
struct Failure {
    reason: String,
    began: Instant,
    /// Since when it counts as a failure: not while a pipe has no reader.
    since: Instant,
}

/// A command to the writer, before the next write.
enum WriterCommand {
    Reopen,
    Rotation(Option<Rotation>),
}

impl OutputBuffer {
    /// A buffer for the output with this name. Nothing is written until [`write`](Self::write)
    /// runs.
    pub(crate) fn new(
        name: &str,
        (writer, file_lock): (SharedOutputWriter, Option<FileLock>),
        write_threads: WriteThreads,
        (retry_limit, log): (Arc<RetryLimit>, Arc<SharedLog>),
        meter: OutputMeter,
        clock: Rc<Clock>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            writer,
            file_lock,
            write_threads,
            retry_limit,
            log,
            meter,
            clock,
            waiting: RefCell::default(),
            writing: Cell::new(0),
            failing: Cell::new(None),
            has_succeeded: Cell::new(false),
            filled: Notify::new(),
            full: Notify::new(),
            wait_for_room: Notify::new(),
            commands: RefCell::default(),
            closing: Cell::new(false),
            aborted: Cell::new(false),
            abort: Notify::new(),
            end: Cell::new(None),
            ended: Notify::new(),
        }
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is room for lines.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.borrow().len() < CAPACITY
    }

    /// Waits until there is room for lines.
    pub(crate) async fn wait_for_room(&self) {
        while !self.has_room() {
            self.wait_for_room.notified().await;
        }
    }

    /// How it ended; `None` if it hasn't.
    pub(crate) fn end(&self) -> Option<OutputEnd> {
        self.end.get()
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        while self.end.get().is_none() {
            self.ended.notified().await;
        }
    }

    /// Makes the task end soon, whatever it is waiting for. A write in progress is ended by
    /// [`OutputWriters::cancel`](crate::output_writers::OutputWriters::cancel).
    pub(crate) fn abort(&self) {
        self.aborted.set(true);
        self.abort.notify_one();
    }

    /// Has `write` append complete lines of a stream and return their number; `due` is when the
    /// first was due. They are written soon.
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

    /// Reopens the file by its name before the next write.
    pub(crate) fn reopen(&self) {
        self.commands.borrow_mut().push(WriterCommand::Reopen);
    }

    /// Uses another rotation from the next write on.
    pub(crate) fn set_rotation(&self, rotation: Option<Rotation>) {
        self.commands.borrow_mut().push(WriterCommand::Rotation(rotation));
    }

    /// Makes the task write what is left and end. Nothing may be appended after that.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.filled.notify_one();
        self.full.notify_one();
    }

    /// The number of lines that are buffered or being written.
    pub(crate) fn unwritten(&self) -> u64 {
        self.writing.get() + self.waiting.borrow().lines()
    }

    /// The task that writes: until the buffer is closed and everything is written, or until that
    /// turns out to be impossible. Returns what a closed pipe had left unread as well.
    pub(crate) async fn write(&self) -> (OutputEnd, CloseResult) {
        let mut file_lock = None;
        if let Some(lock_of_file) = &self.file_lock {
            tokio::select! {
                got = Arc::clone(lock_of_file).lock_owned() => file_lock = Some(got),
                () = self.abort.notified() => {}
            }
        }
        let has_lock = self.file_lock.is_none() || file_lock.is_some();
        let end = if has_lock { self.write_all().await } else { OutputEnd::Canceled };
        self.meter.clear_failing();
        let closed = if has_lock { self.close_writer().await } else { CloseResult::default() };
        self.end.set(Some(end));
        self.ended.notify_waiters();
        (end, closed)
    }

    async fn write_all(&self) -> OutputEnd {
        let mut next_write = Instant::now();
        // The output is opened before there are lines, as httpd does: errors are known at once then,
        // even if the first line is due tomorrow.
        let mut batch = match self.write_batch(Batch::default()).await {
            Ok(batch) => batch,
            Err(end) => return end,
        };
        loop {
            if self.waiting.borrow().is_empty() {
                if self.closing.get() {
                    return OutputEnd::Complete;
                }
                self.filled.notified().await;
                continue;
            }
            while self.has_room() && !self.closing.get() && Instant::now() < next_write {
                let _ = timeout(next_write - Instant::now(), self.full.notified()).await;
            }
            std::mem::swap(&mut batch, &mut self.waiting.borrow_mut());
            self.writing.set(batch.lines());
            self.wait_for_room.notify_waiters();
            batch = match self.write_batch(batch).await {
                Ok(batch) => batch,
                Err(end) => return end,
            };
            self.writing.set(0);
            next_write = Instant::now() + MIN_WRITE_INTERVAL;
        }
    }

    /// Closes the writer: a file that ends with a partial line is truncated to the last complete
    /// one.
    async fn close_writer(&self) -> CloseResult {
        let writer = self.writer.clone();
        match self.write_threads.run(move || writer.close()).await {
            Ok(Ok(closed)) => closed,
            Ok(Err(error)) => {
                tracing::error!(output = self.name, "{error}");
                CloseResult::default()
            }
            // A panic in the writer. The release build aborts.
            Err(_) => CloseResult::default(),
        }
    }

    /// Writes a batch, with retries; returns it empty. An empty batch opens the output.
    async fn write_batch(&self, mut batch: Batch) -> Result<Batch, OutputEnd> {
        let size = batch.len();
        let mut retry = MIN_RETRY_INTERVAL;
        let mut failing = self.failing.take();
        loop {
            let is_opening = batch.is_empty();
            let (returned, result) = self.write_once(batch).await;
            batch = returned;
            batch.account(&result, &self.meter, Some(self.clock.now()));
            self.writing.set(batch.lines());
            if let Some(error) = &result.rotation_error {
                self.meter.errors.inc();
                self.log.log(Level::ERROR, &error.kind(), &self.name, error.to_string());
            }
            let Some(error) = result.error else {
                if batch.is_empty() {
                    break;
                }
                continue;
            };
            if matches!(error, OutputError::Canceled { .. }) || self.aborted.get() {
                return Err(OutputEnd::Canceled);
            }
            if error.is_broken_pipe() {
                return Err(OutputEnd::ReaderGone);
            }
            // Without lines no reader is needed.
            let is_waiting = matches!(error, OutputError::NoReader { .. });
            if is_opening && is_waiting {
                break;
            }
            if is_opening && self.closing.get() {
                // The next batch may fail for the same reason, which is logged once.
                self.failing.set(failing);
                return Ok(batch);
            }
            self.failed(&error, &mut failing)?;
            tokio::select! {
                () = sleep(retry) => {}
                () = self.abort.notified() => {}
            }
            retry =
                if is_waiting { MIN_RETRY_INTERVAL } else { (retry * 2).min(MAX_RETRY_INTERVAL) };
        }
        if failing.is_some() {
            self.meter.clear_failing();
            let message = "recovered; no line was lost".to_owned();
            self.log.log(Level::INFO, "recovered", &self.name, message);
        }
        self.has_succeeded.set(true);
        if size < SMALL_WRITE {
            batch.shrink_to(KEPT_CAPACITY);
        }
        Ok(batch)
    }

    /// Logs that a write failed, once for each reason, and counts it. In a run that ends by itself,
    /// a persistent failure ends the output.
    fn failed(&self, error: &OutputError, failing: &mut Option<Failure>) -> Result<(), OutputEnd> {
        let reason = error.to_string();
        let is_new = failing.as_ref().is_none_or(|failure| failure.reason != reason);
        let now = Instant::now();
        let (began, since) =
            failing.as_ref().map_or((now, now), |failure| (failure.began, failure.since));
        if self.closing.get() {
            // The output is no longer in the document.
            self.meter.clear_failing();
        } else if !self.has_succeeded.get() || began.elapsed() >= UNREPORTED_FAILURE {
            self.meter.set_failing(&reason);
        }
        if matches!(error, OutputError::NoReader { .. }) {
            if is_new {
                self.log.log(Level::WARN, &error.kind(), &self.name, reason.clone());
            }
            *failing = Some(Failure { reason, began, since: now });
            return Ok(());
        }
        self.meter.errors.inc();
        let mut max = self.retry_limit.max();
        if self.closing.get() {
            max = max.map(|max| max.min(MAX_FINAL_FAILURE));
        }
        if max.is_some_and(|max| since.elapsed() >= max) {
            let cause = format!("failed: {}", error.kind());
            self.log.log(Level::ERROR, &cause, &self.name, reason);
            return Err(OutputEnd::Failed);
        }
        if is_new {
            let message = format!("{reason}; will retry");
            self.log.log(Level::ERROR, &error.kind(), &self.name, message);
        }
        *failing = Some(Failure { reason, began, since });
        Ok(())
    }

    /// Has a thread do one write, and counts how long it is blocked.
    async fn write_once(&self, batch: Batch) -> (Batch, WriteResult) {
        let writer = self.writer.clone();
        let commands = self.commands.take();
        let write = self.write_threads.run(move || {
            for command in commands {
                match command {
                    WriterCommand::Reopen => writer.reopen(),
                    WriterCommand::Rotation(rotation) => writer.set_rotation(rotation),
                }
            }
            let result = writer.write(batch.bytes(), wall().timestamp());
            (batch, result)
        });
        let mut write = pin!(write);
        let mut since = Instant::now();
        loop {
            match timeout(BLOCKED_AFTER, &mut write).await {
                Ok(Ok(written)) => return written,
                // A panic in the writer; the batch is lost. The release build aborts.
                Ok(Err(_)) => return (Batch::default(), WriteResult::default()),
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
