//! The tallies of all sources, shared by those who count: the watch of pods, which tells how
//! containers ended, the rounds of questions, and whoever writes a status.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::Pod;

use crate::{
    build::labels::source_uid,
    tally::{Before, Counts, Silence, Sums, Tally},
};

/// A tally for each source, by its uid.
#[derive(Default)]
pub(crate) struct Tallies(Mutex<HashMap<String, Tally>>);

/// An answer of a pod.
pub(crate) struct Answer {
    pub(crate) source: String,
    pub(crate) pod: String,
    pub(crate) restarts: i32,
    pub(crate) counts: Counts,
}

impl Tallies {
    /// Begins to count a source, if that hasn't begun, from what its status says and the pods that
    /// there are.
    pub(crate) fn begin<P: AsRef<Pod>>(
        &self,
        uid: &str,
        before: Before,
        pods: impl FnOnce() -> Vec<P>,
    ) {
        let mut tallies = self.lock();
        if !tallies.contains_key(uid) {
            tallies.insert(uid.to_owned(), Tally::going_on_from(before, &pods()));
        }
    }

    /// A pod is there, or has changed.
    pub(crate) fn saw(&self, pod: &Pod) {
        self.with_tally_of(pod, |tally| tally.saw(pod));
    }

    /// A pod is gone; this is how it was last.
    pub(crate) fn lost(&self, pod: &Pod) {
        self.with_tally_of(pod, |tally| {
            tally.saw(pod);
            tally.lost(pod.metadata.uid.as_deref().unwrap_or_default());
        });
    }

    /// A pod has said how much it wrote.
    pub(crate) fn answered(&self, answer: &Answer) {
        if let Some(tally) = self.lock().get_mut(&answer.source) {
            tally.answered(&answer.pod, answer.restarts, answer.counts);
        }
    }

    /// A round is over, and of the source these pods said nothing. `pods` are those that there are:
    /// the end of others may have been missed while a watch was interrupted.
    pub(crate) fn round_is_over(
        &self,
        uid: &str,
        seconds: f64,
        silence: Silence,
        pods: &HashSet<String>,
    ) {
        if let Some(tally) = self.lock().get_mut(uid) {
            tally.keep_only(pods);
            tally.round_is_over(seconds, silence);
        }
    }

    /// The sums of a source, if it is counted.
    pub(crate) fn sums(&self, uid: &str) -> Option<Sums> {
        self.lock().get(uid).map(Tally::sums)
    }

    /// Forgets sources that are no more.
    pub(crate) fn forget_all_but(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    fn with_tally_of(&self, pod: &Pod, then: impl FnOnce(&mut Tally)) {
        if let Some(uid) = source_uid(pod)
            && let Some(tally) = self.lock().get_mut(uid)
        {
            then(tally);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
