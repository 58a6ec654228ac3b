//! A source's children as they were last written, and those that are being created: what the caches
//! don't show, or not yet.

use std::{collections::HashMap, time::Duration};

use kube::{ResourceExt, core::DynamicObject};
use tokio::time::Instant;

use crate::controller::{apply::content_hash, build::children::ChildKind};

/// How long the cache may take to show a child that was created. After that, the API server is
/// asked.
pub(crate) const MAX_CACHE_LAG: Duration = Duration::from_secs(10);

/// The children by their kinds, of each of which a source has at most one.
#[derive(Default)]
pub(crate) struct AppliedChildren {
    applied: HashMap<ChildKind, LastApplied>,
    /// When those were created that the cache doesn't show yet.
    pending_creates: HashMap<ChildKind, Instant>,
}

/// A child as the server returned it when it was last applied.
struct LastApplied {
    uid: String,
    /// A hash of its content. The server may store a normalized form of what was applied (a
    /// quantity of `1000m` becomes `1`); that isn't drift.
    content_hash: String,
    /// Its generation then. A cached object with a lower generation is stale.
    generation: Option<i64>,
}

impl AppliedChildren {
    /// A child was written; this is what the server returned.
    pub(crate) fn record_applied(&mut self, kind: ChildKind, object: &DynamicObject) {
        let Some(uid) = object.uid() else { return };
        let (content_hash, generation) = (content_hash(object), object.metadata.generation);
        self.applied.insert(kind, LastApplied { uid, content_hash, generation });
    }

    /// Whether an object has the content that was applied last.
    pub(crate) fn matches_last_applied(&self, kind: ChildKind, object: &DynamicObject) -> bool {
        self.last_applied(kind, object)
            .is_some_and(|last_applied| last_applied.content_hash == content_hash(object))
    }

    /// Whether a cached child is older than our last write: then its status isn't about the desired
    /// state.
    pub(crate) fn is_stale(&self, kind: ChildKind, object: &DynamicObject) -> bool {
        self.last_applied(kind, object)
            .is_some_and(|last_applied| object.metadata.generation < last_applied.generation)
    }

    fn last_applied(&self, kind: ChildKind, object: &DynamicObject) -> Option<&LastApplied> {
        let last_applied = self.applied.get(&kind)?;
        (object.metadata.uid.as_ref() == Some(&last_applied.uid)).then_some(last_applied)
    }

    /// A child was created.
    pub(crate) fn record_create(&mut self, kind: ChildKind) {
        self.pending_creates.insert(kind, Instant::now());
    }

    /// The cache shows a child.
    pub(crate) fn record_shown(&mut self, kind: ChildKind) {
        self.pending_creates.remove(&kind);
    }

    /// Whether a child was created a moment ago, and the cache doesn't show it yet.
    pub(crate) fn is_create_pending(&self, kind: ChildKind) -> bool {
        self.pending_creates.get(&kind).is_some_and(|at| at.elapsed() < MAX_CACHE_LAG)
    }
}
