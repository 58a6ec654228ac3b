//! How often a source's status is written. A condition that has changed is told soon; numbers and
//! words that have, once in an interval: pods that come and go by the hundred are not worth a write
//! each.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A status holds for so long, whatever happens: while a workload comes up its conditions change several
/// times within moments, and only the last of them is worth telling.
const SHORTEST: Duration = Duration::from_millis(500);

/// When the status of each source was last written, by its uid.
pub(crate) struct Pace {
    interval: Duration,
    written: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, written: Mutex::default() }
    }

    /// How long a status has to wait; `None` if it may be written now.
    pub(crate) fn wait(&self, uid: &str, is_urgent: bool) -> Option<Duration> {
        let since = self.lock().get(uid)?.elapsed();
        let interval = if is_urgent { self.interval.min(SHORTEST) } else { self.interval };
        interval.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    pub(crate) fn wrote(&self, uid: &str) {
        self.lock().insert(uid.to_owned(), Instant::now());
    }

    /// Forgets sources that are no more.
    pub(crate) fn forget_all_but(&self, uids: &HashSet<String>) {
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
        let pace = Pace::new(Duration::from_hours(1));
        assert_eq!(pace.wait("a", false), None);
        pace.wrote("a");
        assert!(pace.wait("a", false).is_some_and(|wait| wait <= Duration::from_hours(1)));
        assert!(pace.wait("a", true).is_some_and(|wait| wait <= SHORTEST));
        assert_eq!(pace.wait("b", false), None);
        pace.forget_all_but(&HashSet::from(["b".to_owned()]));
        assert_eq!(pace.wait("a", false), None);
    }

    #[test]
    fn an_interval_ends() {
        let pace = Pace::new(Duration::ZERO);
        pace.wrote("a");
        assert_eq!(pace.wait("a", true), None);
        assert_eq!(pace.wait("a", false), None);
    }
}
