//! Applies the desired children of a source: the only module that writes them.
//!
//! A child is written by server-side apply with one field manager, and only if it differs from the
//! desired object. Ownership is checked first: an object that the source doesn't control is never
//! changed. The cache holds only objects with our label, so it may not know of an object with the
//! same name. A child that isn't in the cache is therefore created by POST, which fails if an
//! object of that name exists.

mod action;
mod claims;
pub(crate) mod compare;
mod managed_fields;
mod notify;
mod owner;

use std::sync::Arc;

use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::{DynamicObject, Status},
};
use serde_json::json;

use super::{
    build::{
        Children,
        children::{Child, ChildKind},
    },
    observe::cache::Cache,
    publish::{self, SourceEventPublisher},
    state::{SourceState, Sources},
};
use crate::{
    labels::{FIELD_MANAGER, OPERATOR_ANNOTATION},
    metrics::{Metrics, Write},
    source::{Rejection, ValidSource},
};
pub(crate) use action::content_hash;
use action::{ApplyAction, decide};
pub(crate) use notify::notify_pods;
use owner::Ownership;

/// Writes children.
pub(crate) struct Applier {
    client: Client,
    cache: Cache,
    events: SourceEventPublisher,
    sources: Arc<Sources>,
    metrics: Arc<Metrics>,
}

/// What became of a source's children.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Some were created. The caches show them in a moment.
    Created,
    /// All are up to date.
    UpToDate,
    /// The source or the cluster has to change first.
    Rejected(Rejection),
    /// The namespace is being deleted, so nothing can be created in it.
    NamespaceTerminating,
}

/// What became of one child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Applied {
    UpToDate,
    Created,
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
    pub(crate) const fn new(
        client: Client,
        cache: Cache,
        events: SourceEventPublisher,
        sources: Arc<Sources>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { client, cache, events, sources, metrics }
    }

    /// Creates and updates the children, and deletes those that are no longer desired.
    ///
    /// # Errors
    ///
    /// At the first child that can't be written, if a retry may succeed. Those before it have been
    /// applied.
    pub(crate) async fn apply(
        &self,
        source: ValidSource<'_>,
        children: &Children,
    ) -> Result<Outcome, ApplyError> {
        match self.apply_all(source, children).await {
            Ok(Applied::Created) => Ok(Outcome::Created),
            Ok(Applied::UpToDate) => Ok(Outcome::UpToDate),
            Err(ApplyError::Rejected(rejection)) => Ok(Outcome::Rejected(rejection)),
            Err(ApplyError::NamespaceTerminating { .. }) => Ok(Outcome::NamespaceTerminating),
            Err(error) => Err(error),
        }
    }

    async fn apply_all(
        &self,
        source: ValidSource<'_>,
        children: &Children,
    ) -> Result<Applied, ApplyError> {
        let mut present = Vec::new();
        let mut foreign = Vec::new();
        for child in &children.objects {
            let cached = self.cache.child(child.kind, source.namespace(), source.name());
            if let Some(cached) = &cached {
                if let Ownership::Foreign(foreign_owner) = owner::of(source, cached) {
                    foreign.push((child.kind, foreign_owner));
                }
                self.state_of(source, |state| state.children.record_shown(child.kind));
            }
            present.push(cached);
        }
        if !foreign.is_empty() {
            return Err(ApplyError::Rejected(owner::rejection(source, &foreign)));
        }
        self.prune(source, children).await?;
        let mut applied = Applied::UpToDate;
        for (child, present) in children.objects.iter().zip(present) {
            let one = match present {
                Some(present) => self.ensure(source, child, &present).await?,
                // Each kind has a cache with a lag of its own, so the child that was created last
                // may be shown first.
                None if self
                    .state_of(source, |state| state.children.is_create_pending(child.kind)) =>
                {
                    Applied::Created
                }
                None => self.create_or_ensure(source, child).await?,
            };
            applied = applied.max(one);
        }
        self.ensure_claims(source).await?;
        Ok(applied)
    }

    /// Creates a child that the cache doesn't show; if it exists after all, it is brought up to
    /// date.
    async fn create_or_ensure(
        &self,
        source: ValidSource<'_>,
        child: &Child,
    ) -> Result<Applied, ApplyError> {
        if self.create(source, child).await? {
            return Ok(Applied::Created);
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

    /// Brings an existing child up to date, if need be by creating it anew.
    async fn ensure(
        &self,
        source: ValidSource<'_>,
        child: &Child,
        present: &DynamicObject,
    ) -> Result<Applied, ApplyError> {
        let action = decide(child, present, |object| {
            self.state_of(source, |state| state.children.matches_last_applied(child.kind, object))
        });
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
                let event = publish::recreated(child.kind.name(), source.name(), why);
                self.events.publish(source.metadata(), event).await;
                if !self.create(source, child).await? {
                    let (kind, name) = (child.kind.name(), source.name().to_owned());
                    return Err(ApplyError::Terminating { kind, name });
                }
                return Ok(Applied::Created);
            }
        }
        Ok(Applied::UpToDate)
    }

    /// Returns whether it was created; false if an object of that name exists.
    async fn create(&self, source: ValidSource<'_>, child: &Child) -> Result<bool, ApplyError> {
        let api = self.api(child.kind, source.namespace());
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match api.create(&parameters, &child.object).await {
            Ok(written) => {
                self.metrics.record_write(child.kind.name(), Write::Create);
                self.state_of(source, |state| {
                    state.children.record_applied(child.kind, &written);
                    state.children.record_create(child.kind);
                });
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
        self.state_of(source, |state| state.children.record_applied(child.kind, &written));
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

    fn state_of<R>(&self, source: ValidSource<'_>, then: impl FnOnce(&mut SourceState) -> R) -> R {
        self.sources.of(source.metadata(), then)
    }
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
