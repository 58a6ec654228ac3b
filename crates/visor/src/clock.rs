//! Time for live runs: a clock that never jumps, and how far the clock on the wall has.
//!
//! Schedules run on monotonic time, so that setting the system's clock neither stops the lines
//! nor makes a flood of them. Stamps follow the clock on the wall: when it is found to have been
//! set, later stamps are corrected.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{Instant, sleep_until};
use visor_engine::time::Time;

use crate::bell::Bell;

/// A difference below this is left alone: no stamp is worse for it, and no time ever goes back for
/// a trifle.
const SMALLEST_CORRECTION: i64 = 500_000_000;

/// The clock of an event loop.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_time: Time,
    correction: Cell<i64>,
    bell: Bell,
    uses_bell: Cell<bool>,
}

impl Clock {
    /// A clock that agrees with the system's now.
    pub(crate) fn start() -> Self {
        let start = Instant::now();
        Self {
            start,
            start_time: wall(),
            correction: Cell::new(0),
            bell: Bell::new(start),
            uses_bell: Cell::new(false),
        }
    }

    /// The time, as if nobody had set the system's clock since the start.
    pub(crate) fn now(&self) -> Time {
        self.start_time.saturating_add(nanos(self.start.elapsed()))
    }

    /// A moment as a time of this clock.
    pub(crate) fn at(&self, moment: Instant) -> Time {
        let since = moment.checked_duration_since(self.start);
        let before = || nanos(self.start.saturating_duration_since(moment));
        self.start_time.saturating_add(since.map_or_else(|| -before(), nanos))
    }

    /// Waits until a time, or, where streams wake together, until the bell rings after it. What is
    /// past isn't waited for.
    pub(crate) async fn sleep_until(&self, time: Time) {
        let moment = self.moment(time);
        if self.uses_bell.get() {
            self.bell.sleep_until(moment).await;
        } else {
            sleep_until(moment).await;
        }
    }

    /// A time as a moment of the runtime; the start for what is before it.
    fn moment(&self, time: Time) -> Instant {
        let ahead = u64::try_from(time.nanos_since(self.start_time)).unwrap_or(0);
        self.start + Duration::from_nanos(ahead)
    }

    /// Has streams wake together, by the bell, or each at its own time.
    pub(crate) fn use_bell(&self, uses: bool) {
        self.uses_bell.set(uses);
    }

    /// Rings the bell for as long as this runs.
    pub(crate) async fn ring_bell(&self) {
        self.bell.ring().await;
    }

    /// What to add to a time of this clock, in nanoseconds, to have the time on the wall.
    pub(crate) fn correction(&self) -> i64 {
        self.correction.get()
    }

    /// Looks whether the system's clock has been set; says by how much, in nanoseconds, if so.
    pub(crate) fn check(&self) -> Option<i64> {
        let wanted = wall().nanos_since(self.now());
        let change = wanted.saturating_sub(self.correction.get());
        (change.abs() >= SMALLEST_CORRECTION).then(|| {
            self.correction.set(wanted);
            change
        })
    }
}

/// The system's time.
pub(crate) fn wall() -> Time {
    Time::from_nanos(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => -nanos(before.duration()),
    })
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_goes_on_with_the_loop_s_time() {
        let clock = Clock::start();
        let before = clock.now();
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(clock.now().nanos_since(before), 3_600_000_000_000);
        assert_eq!(clock.at(Instant::now()), clock.now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_wakes_when_its_line_is_due_and_at_once_for_what_is_past() {
        let clock = Clock::start();
        for millis in [0, 1, 19, 20, 21, 5_000, 1] {
            let due = clock.start_time.saturating_add(millis * 1_000_000);
            let before = clock.now();
            clock.sleep_until(due).await;
            assert_eq!(clock.now(), due.max(before));
        }
        clock.sleep_until(Time::EPOCH).await;
        assert_eq!(clock.now().nanos_since(clock.start_time), 5_000_000_000);
    }

    /// Setting the system's clock is beyond a test; that it was set since is not.
    #[test]
    fn a_clock_that_was_set_corrects_stamps_once() {
        let hour = 3_600_000_000_000;
        let mut clock = Clock::start();
        assert_eq!(clock.check(), None);
        clock.start_time = clock.start_time.saturating_add(-hour);
        let change = clock.check().unwrap();
        assert!((change - hour).abs() < SMALLEST_CORRECTION, "{change}");
        assert_eq!(clock.correction(), change);
        assert_eq!(clock.check(), None);
    }
}
