//! A stream on the event loop: the coroutine that this program grew from. It sleeps until its next
//! line is due, waits for room in its output, writes all lines that are due, and sleeps again. It
//! knows nothing of other streams.

use std::{cell::RefCell, future::pending, rc::Rc, sync::Arc, time::Duration};

use tokio::sync::Notify;
use visor_engine::{log::NamedStream, stream::Stream, time::Time};

use crate::{clock::Clock, metrics::StreamMeter, output::Buffer, plan::Limits};

/// When a stream's time is over, lines that were due before may still be written for this long
/// (nanoseconds), because the machine may have paused. After it they are skipped: the output is too
/// slow.
const CATCH_UP_TIME: i64 = 1_000_000_000;
/// The maximum number of lines to write before other streams run.
const MAX_LINES_PER_TURN: u64 = 256;
/// The maximum number of lines to skip before other streams run.
const MAX_SKIPS_PER_TURN: u64 = 100_000;

/// The channel of changes to a running stream.
#[derive(Default)]
pub(crate) struct Control {
    changes: RefCell<Vec<Change>>,
    arrived: Notify,
}

/// A change of a stream.
pub(crate) enum Change {
    /// Follow the changed document from now on.
    Stream(Box<NamedStream>),
    /// Use the buffer of another output from the next line on.
    Buffer(Rc<Buffer>),
    /// Suspend or resume.
    Suspend(bool),
    /// Use other limits.
    Limits(Limits),
    /// End the stream.
    Stop,
}

impl Control {
    /// Sends a change. It is applied before the stream writes another line.
    pub(crate) fn send(&self, change: Change) {
        self.changes.borrow_mut().push(change);
        self.arrived.notify_one();
    }
}

/// A running stream.
pub(crate) struct LiveStream {
    pub(crate) stream: Stream,
    /// How often a line shows its token, at most.
    pub(crate) tokens: usize,
    pub(crate) meter: Arc<StreamMeter>,
    pub(crate) buffer: Rc<Buffer>,
    pub(crate) limits: Limits,
    pub(crate) suspended: bool,
    pub(crate) clock: Rc<Clock>,
    /// Lines that were due longer ago are skipped. `None` if none is.
    pub(crate) max_lag: Option<Duration>,
    pub(crate) control: Rc<Control>,
}

/// Whether a stream continues.
#[derive(PartialEq)]
enum Next {
    Continue,
    End,
}

impl LiveStream {
    /// Runs until the stream is stopped or its source ends by itself. It is boxed, because a future
    /// has room for every value that it moves, at each place.
    pub(crate) async fn run(mut self: Box<Self>) {
        loop {
            if self.apply_changes() == Next::End
                || self.limits.is_exhausted()
                || self.buffer.has_ended()
            {
                return;
            }
            let end = self.end();
            if self.suspended {
                if end <= self.clock.now() {
                    return;
                }
                self.sleep(end).await;
                continue;
            }
            let mut now = self.clock.now();
            let due = if self.stream.is_unlimited() { now } else { self.stream.due() };
            if due.min(end) > now {
                self.sleep(due.min(end)).await;
                continue;
            }
            if due >= end {
                return;
            }
            let last_call = end.saturating_add(CATCH_UP_TIME);
            if !self.buffer.has_room() {
                tokio::select! {
                    biased;
                    () = self.control.arrived.notified() => continue,
                    () = self.buffer.ended() => return,
                    () = self.buffer.wait_for_room() => {}
                    () = self.clock.sleep_until(last_call) => {}
                }
                now = self.clock.now();
            }
            let is_over = now >= last_call;
            if self.catch_up(now, end, is_over).await
                && !is_over
                && self.write(now, end) == Next::End
            {
                return;
            }
            // With the current time: a stream whose next line is due by now would
            // otherwise never yield to the others.
            if self.stream.is_unlimited() || self.stream.due() <= self.clock.now() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sleeps until a time (or forever), a change, or the last line of the source. The loop reports
    /// the end of the output.
    async fn sleep(&self, until: Time) {
        let exhausted = self.limits.exhausted();
        if self.limits.is_exhausted() {
            return;
        }
        let due = async {
            match until {
                Time::MAX => pending().await,
                time => self.clock.sleep_until(time).await,
            }
        };
        tokio::select! {
            biased;
            () = self.control.arrived.notified() => {}
            () = exhausted, if self.limits.counts_lines() => {}
            () = due => {}
        }
    }

    /// Applies the changes that were sent.
    fn apply_changes(&mut self) -> Next {
        let control = Rc::clone(&self.control);
        for change in control.changes.take() {
            match change {
                Change::Stream(named) => {
                    let NamedStream { timing, model, tokens, .. } = *named;
                    self.tokens = tokens;
                    self.stream.change(&timing, model, self.clock.now());
                }
                Change::Buffer(buffer) => self.buffer = buffer,
                Change::Suspend(suspended) => {
                    if self.suspended && !suspended {
                        self.stream.resume(self.clock.now());
                    }
                    self.suspended = suspended;
                }
                Change::Limits(limits) => self.limits = limits,
                Change::Stop => return Next::End,
            }
        }
        Next::Continue
    }

    /// When the source ends.
    fn end(&self) -> Time {
        self.limits.end().map_or(Time::MAX, |end| self.clock.at(end.into()))
    }

    /// Skips lines that were due too long ago (or, after the end, all lines that were due before
    /// it), and lets other streams run meanwhile. Returns whether that is done; if not, a change
    /// has arrived.
    async fn catch_up(&mut self, now: Time, end: Time, is_over: bool) -> bool {
        let limit = match self.max_lag {
            _ if is_over => end,
            None => return true,
            Some(lag) => now.saturating_add(-nanos(lag)),
        };
        loop {
            let skipped = self.stream.skip(limit, MAX_SKIPS_PER_TURN);
            self.meter.skipped.inc_by(skipped);
            if skipped < MAX_SKIPS_PER_TURN {
                return true;
            }
            tokio::task::yield_now().await;
            if !self.control.changes.borrow().is_empty() {
                return false;
            }
        }
    }

    /// Writes all lines that are due, up to a maximum number.
    fn write(&mut self, now: Time, end: Time) -> Next {
        let correction = self.clock.correction();
        let Self { stream, limits, tokens, .. } = self;
        if stream.is_unlimited() {
            let lines = limits.take(MAX_LINES_PER_TURN);
            self.buffer.append(&self.meter, now, *tokens, |out| {
                for _ in 0..lines {
                    stream.write_at(now.saturating_add(correction), out);
                }
            });
            return if lines < MAX_LINES_PER_TURN { Next::End } else { Next::Continue };
        }
        self.buffer.append(&self.meter, stream.due(), *tokens, |out| {
            for _ in 0..MAX_LINES_PER_TURN {
                if stream.due() > now || stream.due() >= end {
                    break;
                }
                if limits.take(1) == 0 {
                    return Next::End;
                }
                stream.write(correction, out);
            }
            Next::Continue
        })
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
