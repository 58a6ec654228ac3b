//! All outputs of a live run: one for each address, whichever event loops write to it.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    Address, Buffer, Cancellation, Channel, CloseResult, OutputEnd, OutputPlan, SharedLog,
    UnfinishedOutput, Writer,
};
use crate::{lanes::Numbering, metrics::Metrics};

/// The outputs of the process.
pub(crate) struct Outputs {
    metrics: Arc<Metrics>,
    pub(super) cancellation: Cancellation,
    pub(super) retry_limit: RetryLimit,
    pub(super) log: Arc<SharedLog>,
    known: Mutex<Known>,
    /// Notified when an output has lost its reader for good.
    pub(crate) reader_gone: Notify,
}

#[derive(Default)]
struct Known {
    open: HashMap<Address, (String, Arc<Channel>)>,
    /// Those that have ended with lines that were not written or not read.
    unfinished: Vec<(String, Arc<Channel>, CloseResult)>,
}

/// How long failing outputs are retried before they have failed for good: a service retries until
/// the disk has room, but a run that ends by itself reports the failure.
#[derive(Default)]
pub(super) struct RetryLimit(AtomicU64);

impl RetryLimit {
    pub(super) fn max(&self) -> Option<Duration> {
        let millis = self.0.load(Ordering::Relaxed);
        (millis < u64::MAX).then(|| Duration::from_millis(millis))
    }
}

impl Outputs {
    /// None yet.
    ///
    /// # Errors
    ///
    /// If the system can't provide a descriptor for the cancellation.
    pub(crate) fn new(metrics: Arc<Metrics>) -> io::Result<Self> {
        Ok(Self {
            metrics,
            cancellation: Cancellation::new()?,
            retry_limit: RetryLimit::default(),
            log: Arc::default(),
            known: Mutex::default(),
            reader_gone: Notify::new(),
        })
    }

    /// Sets how long failing outputs are retried; `None` is forever.
    pub(crate) fn set_retry_limit(&self, max: Option<Duration>) {
        let millis = max.map(|max| u64::try_from(max.as_millis()).unwrap_or(u64::MAX));
        self.retry_limit.0.store(millis.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A buffer for an output, and its writer if there is none yet, which is to be run. The loop
    /// of the buffer is notified by `ended` when the output has ended.
    pub(crate) fn buffer(
        self: &Arc<Self>,
        plan: &OutputPlan,
        ended: &Arc<Notify>,
    ) -> (Buffer, Option<Writer>) {
        let mut known = self.known();
        if let Some((_, channel)) = known.open.get(&plan.address) {
            return (Buffer::new(channel, ended), None);
        }
        let channel = Arc::new(Channel::default());
        let buffer = Buffer::new(&channel, ended);
        known.open.insert(plan.address.clone(), (plan.name.clone(), Arc::clone(&channel)));
        drop(known);
        let meter = self.metrics.output(&plan.name);
        let numbering = Numbering::live(self.metrics.lanes(), &plan.name);
        (buffer, Some(Writer::new(Arc::clone(self), plan, channel, meter, numbering)))
    }

    /// Notes the end of an output. Returns whether it has ended: not if everything was written and
    /// another buffer is there by now.
    pub(super) fn note_end(
        &self,
        address: &Address,
        channel: &Channel,
        end: OutputEnd,
        closed: CloseResult,
    ) -> bool {
        let mut known = self.known();
        if end == OutputEnd::Complete && !channel.is_complete() {
            return false;
        }
        if let Some((name, channel)) = known.open.remove(address) {
            self.metrics.lanes().close(&name, closed.in_pipe);
            if end != OutputEnd::Complete || closed.unread > 0 {
                known.unfinished.push((name, channel, closed));
            }
        }
        drop(known);
        channel.set_end(end);
        if end == OutputEnd::ReaderGone {
            self.reader_gone.notify_one();
        }
        true
    }

    /// Cancels all writes that wait for room, now and from now on, and what else keeps outputs from
    /// ending.
    pub(crate) fn cancel(&self) {
        self.cancellation.cancel();
        self.known().open.values().for_each(|(_, channel)| channel.abort());
    }

    /// The outputs of which not all lines have been written, or not all have been read.
    pub(crate) fn unfinished(&self) -> Vec<UnfinishedOutput> {
        let known = self.known();
        let open = known.open.values().map(|(name, channel)| (name, channel, 0));
        let ended =
            known.unfinished.iter().map(|(name, channel, closed)| (name, channel, closed.unread));
        let all = ended.chain(open).map(|(name, channel, unread)| UnfinishedOutput {
            output: name.clone(),
            lines: channel.unwritten(),
            end: channel.end(),
            unread,
        });
        all.filter(|output| output.lines > 0 || output.unread > 0).collect()
    }

    /// Logs what is being collected about failing outputs.
    pub(crate) fn flush_log(&self) {
        self.log.flush();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code in here panics with inconsistent maps.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
