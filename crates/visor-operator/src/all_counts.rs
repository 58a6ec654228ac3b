//! The counts of all sources, shared by the watch of pods, which observes terminated containers,
//! the scrape rounds, and the reconciliations.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::Pod;

use crate::{
    build::labels::source_uid,
    pod_owner::SourceIdentity,
    source_counts::{Counts, Findings, Implausible, SavedCounts, SourceCounts, Totals},
};

/// The counts of each source, by its uid.
#[derive(Default)]
pub(crate) struct AllCounts(Mutex<HashMap<String, Entry>>);

struct Entry {
    source: SourceIdentity,
    source_counts: SourceCounts,
}

/// The result of a scrape.
pub(crate) struct Scraped {
    pub(crate) source: String,
    pub(crate) pod: String,
    pub(crate) restarts: i32,
    pub(crate) counts: Counts,
}

impl AllCounts {
    /// Starts counting a source, unless it is counted already: from the saved counts of its status,
    /// and its existing pods. Of the pods with its label, those are counted that belong to it or
    /// were counted before.
    pub(crate) fn begin<P: AsRef<Pod>>(
        &self,
        source: &SourceIdentity,
        before: SavedCounts,
        labeled: &[P],
        is_of: impl Fn(&Pod, &SourceIdentity) -> bool,
    ) {
        let mut all_counts = self.lock();
        let pods = || labeled.iter().map(AsRef::as_ref).filter(|pod| is_of(pod, source));
        if let Some(entry) = all_counts.get_mut(&source.uid) {
            entry.source = source.clone();
            // The controller of a pod may appear in the cache after the pod.
            for pod in pods() {
                if !entry.source_counts.contains_pod(pod) {
                    entry.source_counts.observe(pod);
                }
            }
        } else {
            let its_own = labeled.iter().map(AsRef::as_ref);
            let its_own: Vec<&Pod> =
                its_own.filter(|pod| is_of(pod, source) || before.contains_pod(pod)).collect();
            let source_counts = SourceCounts::resume(before, &its_own);
            all_counts.insert(source.uid.clone(), Entry { source: source.clone(), source_counts });
        }
    }

    /// Whether a pod is counted for the source that its label names.
    pub(crate) fn counts(&self, pod: &Pod) -> bool {
        let all_counts = self.lock();
        source_uid(pod)
            .and_then(|uid| all_counts.get(uid))
            .is_some_and(|entry| entry.source_counts.contains_pod(pod))
    }

    /// A pod was added or has changed.
    pub(crate) fn observe(&self, pod: &Pod, is_of: impl Fn(&Pod, &SourceIdentity) -> bool) {
        self.with_counts_of(pod, is_of, |source_counts| source_counts.observe(pod));
    }

    /// A pod was deleted; this is its last state.
    pub(crate) fn remove(&self, pod: &Pod, is_of: impl Fn(&Pod, &SourceIdentity) -> bool) {
        self.with_counts_of(pod, is_of, |source_counts| {
            source_counts.observe(pod);
            source_counts.remove(pod.metadata.uid.as_deref().unwrap_or_default());
        });
    }

    /// Records the counts of a scrape.
    ///
    /// # Errors
    ///
    /// Why they are implausible.
    pub(crate) fn record(&self, answer: &Scraped) -> Result<(), Implausible> {
        match self.lock().get_mut(&answer.source) {
            Some(Entry { source_counts, .. }) => {
                source_counts.record(&answer.pod, answer.restarts, answer.counts)
            }
            None => Ok(()),
        }
    }

    /// Finishes a round with its findings about the source. `pods` are those that exist: the
    /// deletion of others may have been missed while a watch was interrupted.
    pub(crate) fn finish_round(
        &self,
        uid: &str,
        seconds: f64,
        findings: Findings,
        pods: &HashSet<String>,
    ) {
        if let Some(Entry { source_counts, .. }) = self.lock().get_mut(uid) {
            source_counts.retain_pods(pods);
            source_counts.finish_round(seconds, findings);
        }
    }

    /// The totals of a source, if it is counted.
    pub(crate) fn totals(&self, uid: &str) -> Option<Totals> {
        self.lock().get(uid).map(|entry| entry.source_counts.totals())
    }

    /// Drops the entries of sources that no longer exist.
    pub(crate) fn retain(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    fn with_counts_of(
        &self,
        pod: &Pod,
        is_of: impl Fn(&Pod, &SourceIdentity) -> bool,
        then: impl FnOnce(&mut SourceCounts),
    ) {
        if let Some(uid) = source_uid(pod)
            && let Some(Entry { source, source_counts }) = self.lock().get_mut(uid)
            && (source_counts.contains_pod(pod) || is_of(pod, source))
        {
            then(source_counts);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
