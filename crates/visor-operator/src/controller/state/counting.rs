//! The counts of all sources: the watch of pods observes terminated containers, the scrape rounds
//! record what pods say, and the reconciliations report the totals.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Pod;

use super::{SourceState, Sources};
use crate::{
    counts::{Findings, Implausible, SavedCounts, Scraped, SourceCounts, Totals},
    labels::source_uid,
    pods::owner::SourceIdentity,
};

impl Sources {
    /// Starts counting a source, unless it is counted already: from the saved counts of its status,
    /// and its existing pods. Of the pods with its label, those are counted that belong to it or
    /// were counted before.
    pub(crate) fn begin_counting<P: AsRef<Pod>>(
        &self,
        source: &SourceIdentity,
        before: SavedCounts,
        labeled: &[P],
        is_of: impl Fn(&Pod, &SourceIdentity) -> bool,
    ) {
        let mut sources = self.lock();
        let state = sources.entry(source.uid.clone()).or_default();
        let labeled = labeled.iter().map(AsRef::as_ref);
        if let Some((identity, counts)) = &mut state.counts {
            *identity = source.clone();
            // The controller of a pod may appear in the cache after the pod.
            for pod in labeled.filter(|pod| is_of(pod, source)) {
                if !counts.contains_pod(pod) {
                    counts.observe(pod);
                }
            }
        } else {
            let is_counted = |pod: &&Pod| is_of(pod, source) || before.contains_pod(pod);
            let pods: Vec<&Pod> = labeled.filter(is_counted).collect();
            state.counts = Some((source.clone(), SourceCounts::resume(before, &pods)));
        }
    }

    /// Whether a pod is counted for the source that its label names.
    pub(crate) fn counts_pod(&self, pod: &Pod) -> bool {
        let sources = self.lock();
        let state = source_uid(pod).and_then(|uid| sources.get(uid));
        let counts = state.and_then(|state| state.counts.as_ref());
        counts.is_some_and(|(_, counts)| counts.contains_pod(pod))
    }

    /// A pod was added or has changed.
    pub(crate) fn observe_pod(&self, pod: &Pod, is_of: impl Fn(&Pod, &SourceIdentity) -> bool) {
        self.with_counts_of(pod, is_of, |counts| counts.observe(pod));
    }

    /// A pod was deleted; this is its last state.
    pub(crate) fn remove_pod(&self, pod: &Pod, is_of: impl Fn(&Pod, &SourceIdentity) -> bool) {
        self.with_counts_of(pod, is_of, |counts| {
            counts.observe(pod);
            counts.remove(pod.metadata.uid.as_deref().unwrap_or_default());
        });
    }

    /// Records the counts of a scrape.
    ///
    /// # Errors
    ///
    /// Why they are implausible.
    pub(crate) fn record(&self, scraped: &Scraped) -> Result<(), Implausible> {
        let Scraped { source, pod, restarts, counts } = scraped;
        match self.lock().get_mut(source).and_then(SourceState::counts_mut) {
            Some(known) => known.record(pod, *restarts, *counts),
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
        if let Some(counts) = self.lock().get_mut(uid).and_then(SourceState::counts_mut) {
            counts.retain_pods(pods);
            counts.finish_round(seconds, findings);
        }
    }

    /// The totals of a source, if it is counted.
    pub(crate) fn totals(&self, uid: &str) -> Option<Totals> {
        let sources = self.lock();
        let (_, counts) = sources.get(uid)?.counts.as_ref()?;
        Some(counts.totals())
    }

    fn with_counts_of(
        &self,
        pod: &Pod,
        is_of: impl Fn(&Pod, &SourceIdentity) -> bool,
        then: impl FnOnce(&mut SourceCounts),
    ) {
        let mut sources = self.lock();
        if let Some(state) = source_uid(pod).and_then(|uid| sources.get_mut(uid))
            && let Some((source, counts)) = &mut state.counts
            && (counts.contains_pod(pod) || is_of(pod, source))
        {
            then(counts);
        }
    }
}

impl SourceState {
    fn counts_mut(&mut self) -> Option<&mut SourceCounts> {
        self.counts.as_mut().map(|(_, counts)| counts)
    }
}
