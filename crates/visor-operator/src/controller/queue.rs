//! The sources that wait to be reconciled. The controller doesn't report their number, so its
//! triggers do.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::metrics::Metrics;

/// Sources by namespaced name, each once.
pub(crate) struct Queue {
    metrics: Arc<Metrics>,
    waiting: Mutex<HashSet<String>>,
}

impl Queue {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, waiting: Mutex::default() }
    }

    /// A source is enqueued.
    pub(crate) fn enqueue(&self, namespaced_name: String) {
        if self.lock().insert(namespaced_name) {
            self.metrics.queue_changed(1);
        }
    }

    /// Its reconciliation starts.
    pub(crate) fn dequeue(&self, namespaced_name: &str) {
        if self.lock().remove(namespaced_name) {
            self.metrics.queue_changed(-1);
        }
    }

    /// Drops sources that no longer exist.
    pub(crate) fn retain(&self, names: &HashSet<String>) {
        let mut waiting = self.lock();
        let before = waiting.len();
        waiting.retain(|namespaced_name| names.contains(namespaced_name));
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
        for namespaced_name in ["web/a", "web/b", "web/a"] {
            queue.enqueue(namespaced_name.to_owned());
        }
        depth(2);
        queue.dequeue("web/a");
        queue.dequeue("web/a");
        depth(1);
        queue.retain(&HashSet::new());
        depth(0);
    }
}
