//! The tallies of all sources, shared by those who count: the watch of pods, which tells how
//! containers ended, the rounds of questions, and whoever writes a status.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::Pod;

use crate::{
    build::labels::source_uid,
    pod_owner::SourceIdentity,
    tally::{Before, Counts, Findings, Implausible, Sums, Tally},
};

/// A tally for each source, by its uid.
#[derive(Default)]
pub(crate) struct Tallies(Mutex<HashMap<String, Counted>>);

struct Counted {
    source: SourceIdentity,
    tally: Tally,
}

/// An answer of a pod.
pub(crate) struct Answer {
    pub(crate) source: String,
    pub(crate) pod: String,
    pub(crate) restarts: i32,
    pub(crate) counts: Counts,
}

impl Tallies {
    /// Begins to count a source, if that hasn't begun, from what its status says and the pods that
    /// there are: of those with its label, the ones that are its own or were counted before.
    pub(crate) fn begin<P: AsRef<Pod>>(
        &self,
        source: &SourceIdentity,
        before: Before,
        labelled: &[P],
        is_of: impl Fn(&Pod, &SourceIdentity) -> bool,
    ) {
        let mut tallies = self.lock();
        let pods = || labelled.iter().map(AsRef::as_ref).filter(|pod| is_of(pod, source));
        if let Some(counted) = tallies.get_mut(&source.uid) {
            counted.source = source.clone();
            // What controls a pod may have become known after the pod.
            for pod in pods() {
                if !counted.tally.knows(pod) {
                    counted.tally.saw(pod);
                }
            }
        } else {
            let its_own = labelled.iter().map(AsRef::as_ref);
            let its_own: Vec<&Pod> =
                its_own.filter(|pod| is_of(pod, source) || before.knows(pod)).collect();
            let tally = Tally::going_on_from(before, &its_own);
            tallies.insert(source.uid.clone(), Counted { source: source.clone(), tally });
        }
    }

    /// Whether a pod is counted, for the source that its label names.
    pub(crate) fn counts(&self, pod: &Pod) -> bool {
        let tallies = self.lock();
        source_uid(pod)
            .and_then(|uid| tallies.get(uid))
            .is_some_and(|counted| counted.tally.knows(pod))
    }

    /// A pod is there, or has changed.
    pub(crate) fn saw(&self, pod: &Pod, is_of: impl Fn(&Pod, &SourceIdentity) -> bool) {
        self.with_tally_of(pod, is_of, |tally| tally.saw(pod));
    }

    /// A pod is gone; this is how it was last.
    pub(crate) fn lost(&self, pod: &Pod, is_of: impl Fn(&Pod, &SourceIdentity) -> bool) {
        self.with_tally_of(pod, is_of, |tally| {
            tally.saw(pod);
            tally.lost(pod.metadata.uid.as_deref().unwrap_or_default());
        });
    }

    /// A pod has said how much it wrote.
    ///
    /// # Errors
    ///
    /// Why that can't be.
    pub(crate) fn answered(&self, answer: &Answer) -> Result<(), Implausible> {
        match self.lock().get_mut(&answer.source) {
            Some(Counted { tally, .. }) => {
                tally.answered(&answer.pod, answer.restarts, answer.counts)
            }
            None => Ok(()),
        }
    }

    /// A round is over, and this is what it has shown of the source. `pods` are those that there are:
    /// the end of others may have been missed while a watch was interrupted.
    pub(crate) fn round_is_over(
        &self,
        uid: &str,
        seconds: f64,
        findings: Findings,
        pods: &HashSet<String>,
    ) {
        if let Some(Counted { tally, .. }) = self.lock().get_mut(uid) {
            tally.keep_only(pods);
            tally.round_is_over(seconds, findings);
        }
    }

    /// The sums of a source, if it is counted.
    pub(crate) fn sums(&self, uid: &str) -> Option<Sums> {
        self.lock().get(uid).map(|counted| counted.tally.sums())
    }

    /// Forgets sources that are no more.
    pub(crate) fn forget_all_but(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    fn with_tally_of(
        &self,
        pod: &Pod,
        is_of: impl Fn(&Pod, &SourceIdentity) -> bool,
        then: impl FnOnce(&mut Tally),
    ) {
        if let Some(uid) = source_uid(pod)
            && let Some(Counted { source, tally }) = self.lock().get_mut(uid)
            && (tally.knows(pod) || is_of(pod, source))
        {
            then(tally);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
