//! When a source's status was last written, and how long the next write waits. Changed conditions are
//! written soon; changed numbers and messages once in an interval, because a hundred pods that come
//! and go aren't worth a hundred writes.

use std::time::Duration;

use tokio::time::Instant;

/// The minimum time between two writes: while a workload starts, its conditions change several
/// times within moments, and only the last change matters.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// When the status was last written.
#[derive(Default)]
pub(crate) struct StatusWrite(Option<Instant>);

impl StatusWrite {
    /// How long a write has to wait; `None` if it may happen now.
    pub(crate) fn wait(&self, interval: Duration, is_urgent: bool) -> Option<Duration> {
        let interval = if is_urgent { interval.min(MIN_INTERVAL) } else { interval };
        interval.checked_sub(self.0?.elapsed()).filter(|wait| !wait.is_zero())
    }

    /// Notes a write.
    pub(crate) fn record(&mut self) {
        self.0 = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_waits_until_the_interval_ends() {
        let hour = Duration::from_hours(1);
        let mut write = StatusWrite::default();
        assert_eq!(write.wait(hour, false), None);
        write.record();
        assert!(write.wait(hour, false).is_some_and(|wait| wait <= hour));
        assert!(write.wait(hour, true).is_some_and(|wait| wait <= MIN_INTERVAL));
        assert_eq!(write.wait(Duration::ZERO, true), None);
        assert_eq!(write.wait(Duration::ZERO, false), None);
    }
}
