//! Time for live runs: a clock that never jumps, and how far the clock on the wall has.
//!
//! Schedules run on monotonic time, so that setting the system's clock neither stops the lines
//! nor makes a flood of them. Stamps follow the clock on the wall: when it is found to have been
//! set, later stamps are corrected.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use visor_engine::time::Time;

/// A difference below this is left alone: no stamp is worse for it, and no time ever goes back for
/// a trifle.
const SMALLEST_CORRECTION: i64 = 500_000_000;

/// Many streams wake at common times, this far apart, rather than each at its own: a thousand
/// wake-ups in one cost little more than one.
const SHARED_WAKES: u64 = 20_000_000;

/// The clock of an event loop.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    start: Instant,
    start_time: Time,
    correction: Cell<i64>,
    shares_wakes: Cell<bool>,
}

impl Clock {
    /// A clock that agrees with the system's now.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            start_time: wall(),
            correction: Cell::new(0),
            shares_wakes: Cell::new(false),
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

    /// When to wake for what is due at this time; at once for what is past.
    pub(crate) fn wake(&self, time: Time) -> Instant {
        let mut ahead = u64::try_from(time.nanos_since(self.start_time)).unwrap_or(0);
        if self.shares_wakes.get() {
            ahead = ahead.next_multiple_of(SHARED_WAKES);
        }
        self.start + Duration::from_nanos(ahead)
    }

    /// Has streams wake at common times, or each at its own.
    pub(crate) fn share_wakes(&self, share: bool) {
        self.shares_wakes.set(share);
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

    #[test]
    fn a_stream_wakes_when_its_line_is_due_or_with_others_soon_after() {
        let clock = Clock::start();
        for millis in [0, 1, 19, 20, 21, 5000] {
            let due = clock.start_time.saturating_add(millis * 1_000_000);
            clock.share_wakes(false);
            assert_eq!(clock.at(clock.wake(due)), due);
            clock.share_wakes(true);
            let shared = clock.at(clock.wake(due));
            let late = shared.nanos_since(due);
            assert!((0..SHARED_WAKES.cast_signed()).contains(&late), "{millis} ms: {late} ns");
            assert_eq!(shared.nanos_since(clock.start_time) % SHARED_WAKES.cast_signed(), 0);
        }
    }

    #[test]
    fn what_is_past_is_woken_for_at_once() {
        let clock = Clock::start();
        assert_eq!(clock.wake(Time::EPOCH), clock.start);
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
