//! What is remembered of each source between reconciliations. It is made when a source is first
//! reconciled, and forgotten when the source is gone, in one place. Touches nothing but memory.

mod children;
mod counting;
mod failures;
mod published;
mod status_write;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kube::api::ObjectMeta;

use crate::{counts::SourceCounts, pods::owner::SourceIdentity};
use children::AppliedChildren;
pub(crate) use children::MAX_CACHE_LAG;
use failures::Failures;
use published::PublishedReasons;
use status_write::StatusWrite;

/// What is remembered of all sources, each by its uid.
#[derive(Default)]
pub(crate) struct Sources(Mutex<HashMap<String, SourceState>>);

/// What is remembered of a source.
#[derive(Default)]
pub(crate) struct SourceState {
    /// How many lines its pods have written; `None` until they are counted.
    counts: Option<(SourceIdentity, SourceCounts)>,
    /// When its status was last written.
    pub(crate) status_write: StatusWrite,
    /// How often it could not be reconciled, one time after the other.
    pub(crate) failures: Failures,
    /// The events that have been published about it.
    pub(crate) published: PublishedReasons,
    /// Its children as they were last written, and those that are being created.
    pub(crate) children: AppliedChildren,
}

impl Sources {
    /// What is remembered of a source.
    pub(crate) fn of<R>(&self, source: &ObjectMeta, then: impl FnOnce(&mut SourceState) -> R) -> R {
        let uid = source.uid.clone().unwrap_or_default();
        then(self.lock().entry(uid).or_default())
    }

    /// Forgets all sources but those that exist.
    pub(crate) fn retain(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, SourceState>> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_gone_is_forgotten_with_everything() {
        let sources = Sources::default();
        let source = |uid: &str| ObjectMeta { uid: Some(uid.to_owned()), ..ObjectMeta::default() };
        for uid in ["a", "b"] {
            sources.of(&source(uid), |state| state.failures.next_backoff());
        }
        sources.retain(&HashSet::from(["b".to_owned()]));
        let failures = |uid| sources.of(&source(uid), |state| state.failures.count());
        assert_eq!((failures("a"), failures("b")), (0, 1));
    }
}
