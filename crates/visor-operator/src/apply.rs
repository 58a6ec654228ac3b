//! Applies the desired children of a source: the only module that writes them.
//!
//! A child is written by server-side apply with one field manager, and only if it differs from the
//! desired object. Ownership is checked first: an object that the source doesn't control is never
//! changed. The cache holds only objects with our label, so it may not know of an object with the
//! same name. A child that isn't in the cache is therefore created by POST, which fails if an
//! object of that name exists.

mod action;
mod claims;
mod managed_fields;
mod notify;
mod owner;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::{DynamicObject, Status},
};
use serde_json::json;

use crate::{
    build::{
        Children,
        labels::{FIELD_MANAGER, OPERATOR_ANNOTATION},
    },
    cache::Cache,
    children::{Child, ChildKind},
    events::{self, EventPublisher},
    metrics::{Metrics, Write},
    source::{Rejection, ValidSource},
};
use action::{ApplyAction, decide};
pub(crate) use notify::notify_pods;
use owner::Ownership;

/// Writes children.
pub(crate) struct Applier {
    client: Client,
    cache: Cache,
    event_publisher: EventPublisher,
    metrics: Arc<Metrics>,
    /// Children as the server returned them when they were last applied, by uid.
    written: Mutex<HashMap<String, LastApplied>>,
    /// Children that were created and that the cache doesn't show yet.
    pending_creates: Mutex<HashMap<ChildKey, PendingCreate>>,
}

/// A child by its kind, namespace and name.
type ChildKey = (ChildKind, String, String);

/// When a child was created, and for which source.
struct PendingCreate {
    at: Instant,
    owner: String,
}

/// How long the cache may take to show a child that was created. After that, the API server is
/// asked.
pub(crate) const MAX_CACHE_LAG: Duration = Duration::from_secs(10);

/// A child as the server returned it.
struct LastApplied {
    /// A hash of its content. The server may store a normalized form of what was applied (a
    /// quantity of `1000m` becomes `1`); that isn't drift.
    content_hash: String,
    /// Its generation then. A cached object with a lower generation is stale.
    generation: Option<i64>,
}

/// Why the children could not be applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// Retrying is pointless until somebody changes something.
    #[error("{}", .0.message)]
    Rejected(Rejection),
    /// Another operator has just created them. The next reconciliation decides, when the cache
    /// shows them.
    #[error("another operator has just created the children")]
    ManagedByOtherOperator,
    /// It existed a moment ago.
    #[error("{kind} {name} was deleted during the reconciliation")]
    NotFound { kind: &'static str, name: String },
    /// It has been deleted, but still exists.
    #[error("{kind} {name} is being deleted")]
    Terminating { kind: &'static str, name: String },
    /// The namespace is being deleted, and the source with it.
    #[error("the namespace of {kind} {name} is being deleted")]
    NamespaceTerminating { kind: &'static str, name: String },
    /// A retry may succeed.
    #[error("cannot {action} {kind} {name}: {error}")]
    Failed { action: &'static str, kind: &'static str, name: String, error: kube::Error },
}

impl Applier {
    pub(crate) fn new(
        client: Client,
        cache: Cache,
        event_publisher: EventPublisher,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            client,
            cache,
            event_publisher,
            metrics,
            written: Mutex::default(),
            pending_creates: Mutex::default(),
        }
    }

    /// Creates and updates the children, and deletes those that are no longer desired. Returns
    /// whether one was created.
    ///
    /// # Errors
    ///
    /// At the first child that can't be written. Those before it have been applied.
    pub(crate) async fn apply(
        &self,
        source: ValidSource<'_>,
        children: &Children,
    ) -> Result<bool, ApplyError> {
        let mut present = Vec::new();
        let mut foreign = Vec::new();
        for child in &children.objects {
            let cached = self.cache.child(child.kind, source.namespace(), source.name());
            if let Some(cached) = &cached {
                if let Ownership::Foreign(foreign_owner) = owner::of(source, cached) {
                    foreign.push((child.kind, foreign_owner));
                }
                self.pending_creates().remove(&child_key(source, child.kind));
            }
            present.push(cached);
        }
        if !foreign.is_empty() {
            return Err(ApplyError::Rejected(owner::rejection(source, &foreign)));
        }
        self.prune(source, children).await?;
        let mut any_created = false;
        for (child, present) in children.objects.iter().zip(present) {
            any_created |= match present {
                Some(present) => self.ensure(source, child, &present).await?,
                // Each kind has a cache with a lag of its own, so the child that was created last
                // may be shown first.
                None if self.is_create_pending(source, child.kind) => true,
                None => self.create_or_ensure(source, child).await?,
            };
        }
        self.ensure_claims(source).await?;
        Ok(any_created)
    }

    /// Creates a child that the cache doesn't show; if it exists after all, it is brought up to
    /// date.
    async fn create_or_ensure(
        &self,
        source: ValidSource<'_>,
        child: &Child,
    ) -> Result<bool, ApplyError> {
        if self.create(source, child).await? {
            return Ok(true);
        }
        let asked = self.api(child.kind, source.namespace()).get_opt(source.name()).await;
        // If it has been deleted meanwhile, the next reconciliation creates it.
        let Some(present) = asked.map_err(failed("get", child.kind, source))? else {
            return Err(ApplyError::NotFound {
                kind: child.kind.name(),
                name: source.name().to_owned(),
            });
        };
        match owner::of(source, &present) {
            Ownership::Foreign(foreign_owner) => {
                return Err(ApplyError::Rejected(owner::rejection(
                    source,
                    &[(child.kind, foreign_owner)],
                )));
            }
            Ownership::Owned if is_managed_by_other_operator(child, &present) => {
                return Err(ApplyError::ManagedByOtherOperator);
            }
            Ownership::Owned | Ownership::Orphaned => {}
        }
        self.ensure(source, child, &present).await
    }

    /// Returns whether the child was recreated.
    async fn ensure(
        &self,
        source: ValidSource<'_>,
        child: &Child,
        present: &DynamicObject,
    ) -> Result<bool, ApplyError> {
        let action = decide(child, present, |object| self.matches_last_applied(object));
        let action = if matches!(owner::of(source, present), Ownership::Orphaned) {
            action.for_orphan(child.kind)
        } else {
            action
        };
        match action {
            ApplyAction::Unchanged => {}
            ApplyAction::Update => self.update(source, child, present).await?,
            ApplyAction::UpdateMetadata => self.update_metadata(source, child, present).await?,
            ApplyAction::Replace(why) => {
                self.delete(source, child.kind, present).await?;
                let note = events::recreated(child.kind.name(), source.name(), why);
                self.event_publisher.publish(source.metadata(), note).await;
                if !self.create(source, child).await? {
                    let (kind, name) = (child.kind.name(), source.name().to_owned());
                    return Err(ApplyError::Terminating { kind, name });
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether it was created; false if an object of that name exists.
    async fn create(&self, source: ValidSource<'_>, child: &Child) -> Result<bool, ApplyError> {
        let api = self.api(child.kind, source.namespace());
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match api.create(&parameters, &child.object).await {
            Ok(written) => {
                self.metrics.record_write(child.kind.name(), Write::Create);
                self.record_applied(&written);
                let made = PendingCreate { at: Instant::now(), owner: source.uid().to_owned() };
                self.pending_creates().insert(child_key(source, child.kind), made);
                Ok(true)
            }
            Err(kube::Error::Api(answer)) if answer.reason == "AlreadyExists" => Ok(false),
            Err(error) => Err(failed("create", child.kind, source)(error)),
        }
    }

    /// Forced, because a field of ours that another manager has set is drift. The uid is a
    /// precondition: if the object has been replaced meanwhile, the server rejects the request.
    async fn update(
        &self,
        source: ValidSource<'_>,
        child: &Child,
        present: &DynamicObject,
    ) -> Result<(), ApplyError> {
        let api = self.api(child.kind, source.namespace());
        if managed_fields::needs_upgrade(present) {
            let owners = child.object.owner_references();
            let handed_over = managed_fields::upgrade(&api, present, owners).await;
            handed_over.map_err(failed("upgrade the managed fields of", child.kind, source))?;
        }
        let mut object = child.object.clone();
        object.metadata.uid = present.uid();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let written = api.patch(source.name(), &parameters, &Patch::Apply(&object)).await;
        let written = written.map_err(failed("apply", child.kind, source))?;
        self.metrics.record_write(child.kind.name(), Write::Apply);
        self.record_applied(&written);
        Ok(())
    }

    /// Writes labels and annotations, and nothing else.
    async fn update_metadata(
        &self,
        source: ValidSource<'_>,
        child: &Child,
        present: &DynamicObject,
    ) -> Result<(), ApplyError> {
        let api = self.api(child.kind, source.namespace());
        let patch = json!({"metadata": {
            "uid": present.uid(),
            "annotations": child.object.annotations(),
            "labels": child.object.labels(),
        }});
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let written = api.patch_metadata(source.name(), &parameters, &Patch::Merge(patch)).await;
        written.map_err(failed("annotate", child.kind, source))?;
        self.metrics.record_write(child.kind.name(), Write::Apply);
        Ok(())
    }

    /// Deletes children of kinds that the source no longer has.
    async fn prune(&self, source: ValidSource<'_>, children: &Children) -> Result<(), ApplyError> {
        for kind in self.cache.kinds() {
            if children.objects.iter().any(|child| child.kind == kind) {
                continue;
            }
            if let Some(left) = self.cache.child(kind, source.namespace(), source.name())
                && matches!(owner::of(source, &left), Ownership::Owned)
                && left.metadata.deletion_timestamp.is_none()
            {
                self.delete(source, kind, &left).await?;
            }
        }
        Ok(())
    }

    /// Deletes this very object, and its pods with it.
    async fn delete(
        &self,
        source: ValidSource<'_>,
        kind: ChildKind,
        object: &DynamicObject,
    ) -> Result<(), ApplyError> {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.api(kind, source.namespace()).delete(source.name(), &parameters).await {
            Ok(_) => self.metrics.record_write(kind.name(), Write::Delete),
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            Err(error) => return Err(failed("delete", kind, source)(error)),
        }
        Ok(())
    }

    fn api(&self, kind: ChildKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    fn is_create_pending(&self, source: ValidSource<'_>, kind: ChildKind) -> bool {
        let is_recent =
            |made: &PendingCreate| made.owner == source.uid() && made.at.elapsed() < MAX_CACHE_LAG;
        self.pending_creates().get(&child_key(source, kind)).is_some_and(is_recent)
    }

    fn pending_creates(&self) -> MutexGuard<'_, HashMap<ChildKey, PendingCreate>> {
        self.pending_creates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_applied(&self, object: &DynamicObject) {
        if let Some(uid) = object.uid() {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let content_hash = action::content_hash(object);
            let generation = object.metadata.generation;
            written.insert(uid, LastApplied { content_hash, generation });
        }
    }

    fn matches_last_applied(&self, object: &DynamicObject) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let last_applied = object.metadata.uid.as_ref().and_then(|uid| written.get(uid));
        last_applied
            .is_some_and(|last_applied| last_applied.content_hash == action::content_hash(object))
    }

    /// Whether a cached child is older than our last write: then its status isn't about the desired
    /// state.
    pub(crate) fn is_stale(&self, object: &DynamicObject) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let last_applied = object.metadata.uid.as_ref().and_then(|uid| written.get(uid));
        last_applied
            .is_some_and(|last_applied| object.metadata.generation < last_applied.generation)
    }

    /// Drops the entries of children that no longer exist.
    pub(crate) fn retain(&self, uids: &std::collections::HashSet<String>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|uid, _| uids.contains(uid));
        self.pending_creates().retain(|_, made| made.at.elapsed() < MAX_CACHE_LAG);
    }
}

fn child_key(source: ValidSource<'_>, kind: ChildKind) -> ChildKey {
    (kind, source.namespace().to_owned(), source.name().to_owned())
}

/// Whether an existing child is managed by another operator.
fn is_managed_by_other_operator(child: &Child, present: &DynamicObject) -> bool {
    let theirs = present.annotations().get(OPERATOR_ANNOTATION);
    theirs.is_some() && theirs != child.object.annotations().get(OPERATOR_ANNOTATION)
}

/// The reason of the API server for requests in a namespace that is being deleted.
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

fn says_namespace_is_terminating(answer: &Status) -> bool {
    let causes = answer.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == NAMESPACE_TERMINATING)
}

/// Classifies an error: what the server would reject again is a rejection.
fn failed(
    action: &'static str,
    kind: ChildKind,
    source: ValidSource<'_>,
) -> impl FnOnce(kube::Error) -> ApplyError {
    let name = source.name().to_owned();
    move |error| match &error {
        kube::Error::Api(answer) if says_namespace_is_terminating(answer) => {
            ApplyError::NamespaceTerminating { kind: kind.name(), name }
        }
        // A quota, a webhook, validation, or missing permissions.
        kube::Error::Api(answer) if matches!(answer.code, 400 | 403 | 422) => {
            let reason = if answer.code == 403 { "Forbidden" } else { "RejectedByAPIServer" };
            let message =
                format!("the API server rejected the {}: {}", kind.name(), answer.message);
            ApplyError::Rejected(Rejection::new(reason, message))
        }
        _ => ApplyError::Failed { action, kind: kind.name(), name, error },
    }
}
