//! The clock of live runs: monotonic, with the offset of the system's clock.
//!
//! Schedules use monotonic time, so that setting the system's clock neither stops the lines nor
//! causes a burst of them. Time stamps follow the system's clock: when it is found to have been
//! set, later stamps are corrected.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{Instant, sleep_until};
use visor_engine::time::Time;

use crate::coalesced_timer::CoalescedTimer;

/// Smaller differences are ignored: they don't matter in a stamp, and stamps shouldn't go back
/// without need.
const MIN_CORRECTION: i64 = 500_000_000;

/// The clock of an event loop.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_time: Time,
    correction: Cell<i64>,
    timer: CoalescedTimer,
    is_coalescing: Cell<bool>,
}

impl Clock {
    /// A clock that agrees with the system's now.
    pub(crate) fn start() -> Self {
        let start = Instant::now();
        Self {
            start,
            start_time: wall(),
            correction: Cell::new(0),
            timer: CoalescedTimer::new(start),
            is_coalescing: Cell::new(false),
        }
    }

    /// The time, as if the system's clock had not been set since the start.
    pub(crate) fn now(&self) -> Time {
        self.start_time.saturating_add(nanos(self.start.elapsed()))
    }

    /// An instant as a time of this clock.
    pub(crate) fn at(&self, instant: Instant) -> Time {
        let since = instant.checked_duration_since(self.start);
        let before = || nanos(self.start.saturating_duration_since(instant));
        self.start_time.saturating_add(since.map_or_else(|| -before(), nanos))
    }

    /// Waits until a time or, if wake-ups are coalesced, until the next tick of the timer. Returns
    /// at once for a time in the past.
    pub(crate) async fn sleep_until(&self, time: Time) {
        let instant = self.instant(time);
        if self.is_coalescing.get() {
            self.timer.sleep_until(instant).await;
        } else {
            sleep_until(instant).await;
        }
    }

    /// A time as an instant; the start for earlier times.
    fn instant(&self, time: Time) -> Instant {
        let ahead = u64::try_from(time.nanos_since(self.start_time)).unwrap_or(0);
        self.start + Duration::from_nanos(ahead)
    }

    /// Switches between coalesced wake-ups and one timer for each stream.
    pub(crate) fn coalesce(&self, needed: bool) {
        self.is_coalescing.set(needed);
    }

    /// Runs the coalesced timer.
    pub(crate) async fn run_timer(&self) {
        self.timer.run().await;
    }

    /// The offset of the system's clock to this clock in nanoseconds.
    pub(crate) fn correction(&self) -> i64 {
        self.correction.get()
    }

    /// Checks whether the system's clock has been set; returns by how many nanoseconds.
    pub(crate) fn check_system_clock(&self) -> Option<i64> {
        let offset = wall().nanos_since(self.now());
        let change = offset.saturating_sub(self.correction.get());
        (change.abs() >= MIN_CORRECTION).then(|| {
            self.correction.set(offset);
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
    async fn the_clock_advances_with_the_time_of_the_loop() {
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
        assert_eq!(clock.check_system_clock(), None);
        clock.start_time = clock.start_time.saturating_add(-hour);
        let change = clock.check_system_clock().unwrap();
        assert!((change - hour).abs() < MIN_CORRECTION, "{change}");
        assert_eq!(clock.correction(), change);
        assert_eq!(clock.check_system_clock(), None);
    }
}
