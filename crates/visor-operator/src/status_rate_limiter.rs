//! Limits how often a source's status is written. Changed conditions are written soon; changed
//! numbers and messages once in an interval, because a hundred pods that come and go aren't worth a
//! hundred writes.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The minimum time between two writes: while a workload starts, its conditions change several
/// times within moments, and only the last change matters.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// When the status of each source was last written, by its uid.
pub(crate) struct StatusRateLimiter {
    interval: Duration,
    written: Mutex<HashMap<String, Instant>>,
}

impl StatusRateLimiter {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, written: Mutex::default() }
    }

    /// How long a write has to wait; `None` if it may happen now.
    pub(crate) fn wait(&self, uid: &str, is_urgent: bool) -> Option<Duration> {
        let since = self.lock().get(uid)?.elapsed();
        let interval = if is_urgent { self.interval.min(MIN_INTERVAL) } else { self.interval };
        interval.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    pub(crate) fn record_write(&self, uid: &str) {
        self.lock().insert(uid.to_owned(), Instant::now());
    }

    /// Drops the entries of sources that no longer exist.
    pub(crate) fn retain(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_waits_for_its_own_interval_only() {
        let status_rate_limiter = StatusRateLimiter::new(Duration::from_hours(1));
        assert_eq!(status_rate_limiter.wait("a", false), None);
        status_rate_limiter.record_write("a");
        assert!(
            status_rate_limiter
                .wait("a", false)
                .is_some_and(|wait| wait <= Duration::from_hours(1))
        );
        assert!(status_rate_limiter.wait("a", true).is_some_and(|wait| wait <= MIN_INTERVAL));
        assert_eq!(status_rate_limiter.wait("b", false), None);
        status_rate_limiter.retain(&HashSet::from(["b".to_owned()]));
        assert_eq!(status_rate_limiter.wait("a", false), None);
    }

    #[test]
    fn an_interval_ends() {
        let status_rate_limiter = StatusRateLimiter::new(Duration::ZERO);
        status_rate_limiter.record_write("a");
        assert_eq!(status_rate_limiter.wait("a", true), None);
        assert_eq!(status_rate_limiter.wait("a", false), None);
    }
}
