//! A stream on the event loop: the coroutine that this program grew from. It sleeps until its next
//! line is due, waits for room in its output, writes all that has come due, and sleeps again. It
//! knows nothing of other streams.

use std::{cell::RefCell, future::pending, rc::Rc, sync::Arc, time::Duration};

use tokio::sync::Notify;
use visor_engine::{generator::NamedStream, stream::Stream, time::Time};

use crate::{clock::Clock, metrics::StreamMeter, outlet::Outlet, plan::Limits};

/// When a stream's time is up, it has so long (nanoseconds) for lines that came due before but are
/// not written: the machine may have paused. Beyond it, they are skipped: their output is too slow.
const TIME_TO_CATCH_UP: i64 = 1_000_000_000;
/// At most so many lines are passed over before other streams have their turn.
const SKIPS_AT_ONCE: u64 = 100_000;
/// At most so many lines are written before other streams have their turn.
const LINES_AT_ONCE: u64 = 256;

/// What a stream is told while it runs.
#[derive(Default)]
pub(crate) struct Control {
    changes: RefCell<Vec<Change>>,
    arrived: Notify,
}

/// Something that changes for a stream.
pub(crate) enum Change {
    /// Be what a document says of it now, from now on.
    Stream(Box<NamedStream>),
    /// Write elsewhere from the next line on.
    Outlet(Rc<Outlet>),
    /// Stop writing, or go on.
    Suspend(bool),
    /// Follow other limits.
    Limits(Limits),
    /// End the stream.
    Stop,
}

impl Control {
    /// Tells of a change. It is carried out before the stream writes another line.
    pub(crate) fn tell(&self, change: Change) {
        self.changes.borrow_mut().push(change);
        self.arrived.notify_one();
    }
}

/// A stream with all that it needs to run.
pub(crate) struct LiveStream {
    pub(crate) stream: Stream,
    pub(crate) meter: Arc<StreamMeter>,
    pub(crate) outlet: Rc<Outlet>,
    pub(crate) limits: Limits,
    pub(crate) suspended: bool,
    pub(crate) clock: Rc<Clock>,
    /// Lines that were due longer ago are not made up for; they count as skipped. `None` if all are
    /// made up for.
    pub(crate) longest_lag: Option<Duration>,
    pub(crate) control: Rc<Control>,
}

/// Whether a stream goes on.
#[derive(PartialEq)]
enum Next {
    GoOn,
    End,
}

impl LiveStream {
    /// Runs the stream until it is told to stop or its source ends by itself. It is in a box, for a
    /// task has room for all that it moves at each place that it moves it to.
    pub(crate) async fn run(mut self: Box<Self>) {
        loop {
            if self.follow() == Next::End || self.limits.is_spent() || self.outlet.end().is_some() {
                return;
            }
            let end = self.end();
            if self.suspended {
                if end <= self.clock.now() {
                    return;
                }
                self.pause(end).await;
                continue;
            }
            let mut now = self.clock.now();
            let due = if self.stream.is_unlimited() { now } else { self.stream.due() };
            if due.min(end) > now {
                self.pause(due.min(end)).await;
                continue;
            }
            if due >= end {
                return;
            }
            let last_call = end.saturating_add(TIME_TO_CATCH_UP);
            if !self.outlet.has_room() {
                tokio::select! {
                    biased;
                    () = self.control.arrived.notified() => continue,
                    () = self.outlet.ended() => return,
                    () = self.outlet.room() => {}
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
            // By the time that it is now: a stream whose next line has come due meanwhile would
            // otherwise go on and on, and no other have its turn.
            if self.stream.is_unlimited() || self.stream.due() <= self.clock.now() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sleeps until a time (or for good), a change, or the last line of the source. The end of the
    /// output is told by the loop.
    async fn pause(&self, until: Time) {
        let spent = self.limits.spent();
        if self.limits.is_spent() {
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
            () = spent, if self.limits.counts_lines() => {}
            () = due => {}
        }
    }

    /// Carries out what the stream has been told.
    fn follow(&mut self) -> Next {
        let control = Rc::clone(&self.control);
        for change in control.changes.take() {
            match change {
                Change::Stream(named) => {
                    let NamedStream { pace, content, .. } = *named;
                    self.stream.change(&pace, content, self.clock.now());
                }
                Change::Outlet(outlet) => self.outlet = outlet,
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
        Next::GoOn
    }

    /// When the source ends.
    fn end(&self) -> Time {
        self.limits.end().map_or(Time::MAX, |end| self.clock.at(end.into()))
    }

    /// Passes over what was due too long ago (or, when time is over, over all that was due before
    /// the end), letting other streams have their turns meanwhile. Says whether that is done; if
    /// not, a change has come in between.
    async fn catch_up(&mut self, now: Time, end: Time, is_over: bool) -> bool {
        let limit = match self.longest_lag {
            _ if is_over => end,
            None => return true,
            Some(lag) => now.saturating_add(-nanos(lag)),
        };
        loop {
            let skipped = self.stream.skip(limit, SKIPS_AT_ONCE);
            self.meter.skipped.inc_by(skipped);
            if skipped < SKIPS_AT_ONCE {
                return true;
            }
            tokio::task::yield_now().await;
            if !self.control.changes.borrow().is_empty() {
                return false;
            }
        }
    }

    /// Writes all that has come due by now, up to a bound.
    fn write(&mut self, now: Time, end: Time) -> Next {
        let correction = self.clock.correction();
        let Self { stream, limits, .. } = self;
        let mut next = Next::GoOn;
        if stream.is_unlimited() {
            let lines = limits.take(LINES_AT_ONCE);
            self.outlet.append(&self.meter, now, |out| {
                for _ in 0..lines {
                    stream.write_at(now.saturating_add(correction), out);
                }
                lines
            });
            return if lines < LINES_AT_ONCE { Next::End } else { next };
        }
        self.outlet.append(&self.meter, stream.due(), |out| {
            let mut lines = 0;
            while lines < LINES_AT_ONCE && stream.due() <= now && stream.due() < end {
                if limits.take(1) == 0 {
                    next = Next::End;
                    break;
                }
                stream.write(correction, out);
                lines += 1;
            }
            lines
        });
        next
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
