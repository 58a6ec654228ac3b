//! The writer of an output: a task that takes the lines of all buffers, and has a thread write them.
//!
//! Streams never wait for a write, only for room, and only those of this output. At low rates a
//! line is written at once; at high rates a write takes the lines that have accumulated. A thousand
//! files need one thread ([`write_threads`](super::write_threads)), and a pipe that nobody reads
//! needs one more.

use std::{pin::pin, rc::Rc, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tracing::Level;

use super::{
    Address, Batch, Channel, CloseResult, Destination, OutputEnd, OutputError, OutputPlan, Outputs,
    WriteResult, WriteThreads,
};
use crate::{
    clock::{Clock, wall},
    lanes::Numbering,
    metrics::OutputMeter,
};

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

/// The writer of an output.
pub(crate) struct Writer {
    outputs: Arc<Outputs>,
    address: Address,
    name: String,
    channel: Arc<Channel>,
    /// `None` while a thread has it.
    target: Option<Target>,
    meter: OutputMeter,
    /// The failure of an earlier write that was given up.
    failing: Option<Failure>,
    /// Whether lines have been written before.
    has_succeeded: bool,
}

/// What a thread needs for a write.
struct Target {
    destination: Box<dyn Destination>,
    numbering: Numbering,
}

/// A write that has been failing for some time.
struct Failure {
    reason: String,
    began: Instant,
    /// Since when it counts as a failure: not while a pipe has no reader.
    since: Instant,
}

impl Writer {
    /// A writer that has opened nothing yet.
    pub(super) fn new(
        outputs: Arc<Outputs>,
        plan: &OutputPlan,
        channel: Arc<Channel>,
        meter: OutputMeter,
        numbering: Numbering,
    ) -> Self {
        let destination = plan.destination(&outputs.cancellation);
        Self {
            outputs,
            address: plan.address.clone(),
            name: plan.name.clone(),
            channel,
            target: Some(Target { destination, numbering }),
            meter,
            failing: None,
            has_succeeded: false,
        }
    }

    /// Writes until all buffers have been dropped and everything is written, or until that turns
    /// out to be impossible.
    pub(crate) async fn run(mut self, threads: WriteThreads, clock: Rc<Clock>) {
        loop {
            let end = self.write_all(&threads, &clock).await.err().unwrap_or(OutputEnd::Complete);
            self.meter.clear_failing();
            let closed = self.close(&threads).await;
            if self.outputs.note_end(&self.address, &self.channel, end, closed) {
                return;
            }
        }
    }

    /// Writes everything; the error is an end that comes before that.
    async fn write_all(&mut self, threads: &WriteThreads, clock: &Clock) -> Result<(), OutputEnd> {
        // The output is opened before there are lines, as httpd does: errors are known at once then,
        // even if the first line is due tomorrow.
        let mut batch = self.write_batch(Batch::default(), threads, clock).await?;
        let mut next_write = Instant::now();
        loop {
            if !self.channel.is_filled() {
                if self.channel.is_complete() {
                    return Ok(());
                }
                if self.channel.is_aborted() {
                    return Err(OutputEnd::Canceled);
                }
                self.channel.filled.notified().await;
                continue;
            }
            while Instant::now() < next_write
                && !self.channel.is_full()
                && !self.channel.is_closing()
            {
                let _ = timeout(next_write - Instant::now(), self.channel.full.notified()).await;
            }
            let mut turn = 0;
            while self.channel.take(turn, &mut batch) {
                if !batch.is_empty() {
                    batch = self.write_batch(batch, threads, clock).await?;
                }
                turn += 1;
            }
            next_write = Instant::now() + MIN_WRITE_INTERVAL;
        }
    }

    /// Writes a batch, with retries; returns it empty. An empty batch opens the destination.
    async fn write_batch(
        &mut self,
        mut batch: Batch,
        threads: &WriteThreads,
        clock: &Clock,
    ) -> Result<Batch, OutputEnd> {
        let size = batch.len();
        let mut retry = MIN_RETRY_INTERVAL;
        let mut failing = self.failing.take();
        loop {
            let is_opening = batch.is_empty();
            let result;
            (batch, result) = self.write_once(batch, threads).await?;
            batch.account(&result, &self.meter, Some(clock.now()));
            self.channel.set_taken(batch.lines());
            if let Some(error) = &result.rotation_error {
                self.meter.errors.inc();
                self.log(Level::ERROR, &error.kind(), error.to_string());
            }
            let Some(error) = result.error else { break };
            if self.channel.is_aborted() {
                return Err(OutputEnd::Canceled);
            }
            let is_waiting = match error {
                OutputError::Canceled { .. } | OutputError::ReaderGone { .. } => {
                    return Err(error.end());
                }
                OutputError::Disconnected { .. } => true,
                OutputError::Failed { .. } => false,
            };
            // Without lines no reader is needed.
            if is_opening && is_waiting {
                break;
            }
            if is_opening && self.channel.is_closing() {
                // The next batch may fail for the same reason, which is logged once.
                self.failing = failing;
                return Ok(batch);
            }
            self.failed(&error, &mut failing)?;
            tokio::select! {
                () = sleep(retry) => {}
                () = self.channel.aborted.notified() => {}
            }
            retry =
                if is_waiting { MIN_RETRY_INTERVAL } else { (retry * 2).min(MAX_RETRY_INTERVAL) };
        }
        if failing.is_some() {
            self.meter.clear_failing();
            self.log(Level::INFO, "recovered", "recovered; no line was lost".to_owned());
        }
        self.has_succeeded = true;
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
        let is_closing = self.channel.is_closing();
        if is_closing {
            // The output is no longer in the document.
            self.meter.clear_failing();
        } else if !self.has_succeeded || began.elapsed() >= UNREPORTED_FAILURE {
            self.meter.set_failing(&reason);
        }
        if matches!(error, OutputError::Disconnected { .. }) {
            if is_new {
                self.log(Level::WARN, &error.kind(), reason.clone());
            }
            *failing = Some(Failure { reason, began, since: now });
            return Ok(());
        }
        self.meter.errors.inc();
        let mut max = self.outputs.retry_limit.max();
        if is_closing {
            max = max.map(|max| max.min(MAX_FINAL_FAILURE));
        }
        if max.is_some_and(|max| since.elapsed() >= max) {
            self.log(Level::ERROR, &format!("failed: {}", error.kind()), reason);
            return Err(error.end());
        }
        if is_new {
            self.log(Level::ERROR, &error.kind(), format!("{reason}; will retry"));
        }
        *failing = Some(Failure { reason, began, since });
        Ok(())
    }

    fn log(&self, level: Level, cause: &str, text: String) {
        self.outputs.log.log(level, cause, &self.name, text);
    }

    /// Has a thread do one write, and counts how long it is blocked.
    async fn write_once(
        &mut self,
        mut batch: Batch,
        threads: &WriteThreads,
    ) -> Result<(Batch, WriteResult), OutputEnd> {
        let Some(mut target) = self.target.take() else { return Err(OutputEnd::Failed) };
        let channel = Arc::clone(&self.channel);
        let write = threads.run(move || {
            let Target { destination, numbering } = &mut target;
            channel.command(&mut **destination);
            let now = wall();
            batch.complete(numbering, now);
            let result = destination.write(batch.records(), now.timestamp());
            (target, batch, result)
        });
        let mut write = pin!(write);
        let mut since = Instant::now();
        loop {
            match timeout(BLOCKED_AFTER, &mut write).await {
                Ok(Ok((target, batch, result))) => {
                    self.target = Some(target);
                    return Ok((batch, result));
                }
                // A panic in the destination. The release build aborts.
                Ok(Err(_)) => return Err(OutputEnd::Failed),
                Err(_) => {
                    let now = Instant::now();
                    self.meter.blocked.inc_by((now - since).as_secs_f64());
                    since = now;
                }
            }
        }
    }

    /// Has a thread close the destination.
    async fn close(&mut self, threads: &WriteThreads) -> CloseResult {
        let Some(mut target) = self.target.take() else { return CloseResult::default() };
        let closing = threads.run(move || {
            target.numbering.end();
            let closed = target.destination.close();
            (target, closed)
        });
        let Ok((target, closed)) = closing.await else { return CloseResult::default() };
        self.target = Some(target);
        closed.unwrap_or_else(|error| {
            tracing::error!(output = self.name, "{error}");
            CloseResult::default()
        })
    }
}

#[cfg(test)]
mod tests;
