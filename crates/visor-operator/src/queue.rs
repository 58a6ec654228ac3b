//! The sources that are about to be looked at: something has happened to them, and their look has not
//! begun. The controller doesn't tell how many these are; its triggers do.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::metrics::Metrics;

/// Places of sources, each once however much has happened to it.
pub(crate) struct Queue {
    metrics: Arc<Metrics>,
    waiting: Mutex<HashSet<String>>,
}

impl Queue {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, waiting: Mutex::default() }
    }

    /// Something has happened to a source.
    pub(crate) fn enter(&self, place: String) {
        if self.lock().insert(place) {
            self.metrics.queue_changed(1);
        }
    }

    /// It is being looked at.
    pub(crate) fn leave(&self, place: &str) {
        if self.lock().remove(place) {
            self.metrics.queue_changed(-1);
        }
    }

    /// Sources that are no more won't be looked at.
    pub(crate) fn forget_all_but(&self, places: &HashSet<String>) {
        let mut waiting = self.lock();
        let before = waiting.len();
        waiting.retain(|place| places.contains(place));
        let gone = i64::try_from(before - waiting.len()).unwrap_or(0);
        self.metrics.queue_changed(-gone);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_waits_once() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let queue = Queue::new(Arc::clone(&metrics));
        let depth = |wanted: i64| {
            let text = metrics.render().unwrap();
            assert!(text.contains(&format!("visor_operator_queue_depth {wanted}\n")), "{text}");
        };
        depth(0);
        for place in ["web/a", "web/b", "web/a"] {
            queue.enter(place.to_owned());
        }
        depth(2);
        queue.leave("web/a");
        queue.leave("web/a");
        depth(1);
        queue.forget_all_but(&HashSet::new());
        depth(0);
    }
}
