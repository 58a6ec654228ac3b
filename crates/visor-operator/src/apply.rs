//! From what is wished to what there is: the only module that writes children.
//!
//! A child is written by server-side apply with one field manager, and only if it doesn't say what is
//! wished. Whose a child is, is looked at first: what the source doesn't control is never touched.
//! The cache says what there is; but it sees only objects with our label. So a child that it doesn't
//! know of is made by a request that fails if there is one of that name, whosever it is.

mod claims;
mod managed_fields;
mod owner;
mod plan;
mod touch;

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
        labels::{MANAGER, OPERATOR},
    },
    cache::Cache,
    children::{Child, ChildKind},
    events::{self, Announcer},
    metrics::{Metrics, Write},
    source::{Refusal, ValidSource},
};
use owner::Owner;
use plan::{Plan, plan};
pub(crate) use touch::touch_pods;

/// Writes children.
pub(crate) struct Applier {
    client: Client,
    cache: Cache,
    announcer: Announcer,
    metrics: Arc<Metrics>,
    /// Children as the server wrote them down when it was told what is wished, by uid.
    written: Mutex<HashMap<String, Written>>,
    /// Children that were made and that the cache hasn't shown yet.
    on_their_way: Mutex<HashMap<Place, Made>>,
}

/// Where a child is: its kind, its namespace and its name.
type Place = (ChildKind, String, String);

/// When a child was made, and for which source.
struct Made {
    at: Instant,
    owner: String,
}

/// For so long a child that was made may be on its way into the cache. After that it is asked for.
pub(crate) const LONGEST_WAY: Duration = Duration::from_secs(10);

/// A child as the server wrote it down.
struct Written {
    /// What it said. Where that isn't word for word what was wished (a quantity of `1000m` becomes
    /// `1`), it is no drift.
    content_hash: String,
    /// How often what was wished of it had changed by then. A cache that shows less is behind.
    generation: Option<i64>,
}

/// Why children are not as wished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// Nothing will come of it until somebody changes something.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// Another operator has just made them. When the cache knows them, that is decided upon.
    #[error("another operator has made them meanwhile")]
    OfAnotherOperator,
    /// It was there a moment ago.
    #[error("{kind} {name} has gone while it was looked at")]
    Gone { kind: &'static str, name: String },
    /// It was deleted, but is still there.
    #[error("{kind} {name} is about to go")]
    Going { kind: &'static str, name: String },
    /// The namespace is about to go, and the source with it.
    #[error("the namespace of {kind} {name} is being terminated")]
    NamespaceGoing { kind: &'static str, name: String },
    /// It may go well the next time.
    #[error("{action} {kind} {name}: {error}")]
    Failed { action: &'static str, kind: &'static str, name: String, error: kube::Error },
}

impl Applier {
    pub(crate) fn new(
        client: Client,
        cache: Cache,
        announcer: Announcer,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            client,
            cache,
            announcer,
            metrics,
            written: Mutex::default(),
            on_their_way: Mutex::default(),
        }
    }

    /// Makes the children what they should be, and removes those that should no longer be. Says
    /// whether one was made that wasn't there.
    ///
    /// # Errors
    ///
    /// At the first child that can't be written. Those before it are.
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
                if let Owner::Foreign(whose) = owner::of(source, cached) {
                    foreign.push((child.kind, whose));
                }
                self.on_their_way().remove(&place(source, child.kind));
            }
            present.push(cached);
        }
        if !foreign.is_empty() {
            return Err(ApplyError::Refused(owner::refusal(source, &foreign)));
        }
        self.prune(source, children).await?;
        let mut any_made = false;
        for (child, present) in children.objects.iter().zip(present) {
            any_made |= match present {
                Some(present) => self.put_right(source, child, &present).await?,
                // The caches of several kinds are late by as much as they are: what was made last
                // may be shown first.
                None if self.is_on_its_way(source, child.kind) => true,
                None => self.make(source, child).await?,
            };
        }
        self.put_claims_right(source).await?;
        Ok(any_made)
    }

    /// Makes a child that the cache doesn't know of. If there is one after all, it is put right.
    async fn make(&self, source: ValidSource<'_>, child: &Child) -> Result<bool, ApplyError> {
        if self.create(source, child).await? {
            return Ok(true);
        }
        let asked = self.api(child.kind, source.namespace()).get_opt(source.name()).await;
        // If it has gone meanwhile, it is made at the next look.
        let Some(present) = asked.map_err(failed("getting", child.kind, source))? else {
            return Err(ApplyError::Gone {
                kind: child.kind.name(),
                name: source.name().to_owned(),
            });
        };
        match owner::of(source, &present) {
            Owner::Foreign(whose) => {
                return Err(ApplyError::Refused(owner::refusal(source, &[(child.kind, whose)])));
            }
            Owner::Source if is_of_another_operator(child, &present) => {
                return Err(ApplyError::OfAnotherOperator);
            }
            Owner::Source | Owner::Nobody => {}
        }
        self.put_right(source, child, &present).await
    }

    /// Says whether the child is a new one now.
    async fn put_right(
        &self,
        source: ValidSource<'_>,
        child: &Child,
        present: &DynamicObject,
    ) -> Result<bool, ApplyError> {
        let plan = plan(child, present, |object| self.is_as_written(object));
        let plan = if matches!(owner::of(source, present), Owner::Nobody) {
            plan.of_an_orphan(child.kind)
        } else {
            plan
        };
        match plan {
            Plan::Keep => {}
            Plan::Update => self.update(source, child, present).await?,
            Plan::Annotate => self.annotate(source, child, present).await?,
            Plan::Replace(why) => {
                self.delete(source, child.kind, present).await?;
                let note = events::replaced(child.kind.name(), source.name(), why);
                self.announcer.announce(source.metadata(), note).await;
                if !self.create(source, child).await? {
                    let (kind, name) = (child.kind.name(), source.name().to_owned());
                    return Err(ApplyError::Going { kind, name });
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says whether it was made; not if there is one of that name.
    async fn create(&self, source: ValidSource<'_>, child: &Child) -> Result<bool, ApplyError> {
        let api = self.api(child.kind, source.namespace());
        let parameters =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match api.create(&parameters, &child.object).await {
            Ok(written) => {
                self.metrics.wrote(child.kind.name(), Write::Create);
                self.remember(&written);
                let made = Made { at: Instant::now(), owner: source.uid().to_owned() };
                self.on_their_way().insert(place(source, child.kind), made);
                Ok(true)
            }
            Err(kube::Error::Api(answer)) if answer.reason == "AlreadyExists" => Ok(false),
            Err(error) => Err(failed("making", child.kind, source)(error)),
        }
    }

    /// With force, for a field of ours that somebody else has set is drift. The uid says which
    /// object is meant: should it have been replaced by now, the server refuses.
    async fn update(
        &self,
        source: ValidSource<'_>,
        child: &Child,
        present: &DynamicObject,
    ) -> Result<(), ApplyError> {
        let api = self.api(child.kind, source.namespace());
        if managed_fields::is_of_a_creation(present) {
            let owners = child.object.owner_references();
            let handed_over = managed_fields::hand_over(&api, present, owners).await;
            handed_over.map_err(failed("taking over the fields of", child.kind, source))?;
        }
        let mut object = child.object.clone();
        object.metadata.uid = present.uid();
        let parameters = PatchParams::apply(MANAGER).force();
        let written = api.patch(source.name(), &parameters, &Patch::Apply(&object)).await;
        let written = written.map_err(failed("writing", child.kind, source))?;
        self.metrics.wrote(child.kind.name(), Write::Apply);
        self.remember(&written);
        Ok(())
    }

    /// Writes labels and annotations and nothing else.
    async fn annotate(
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
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let written = api.patch_metadata(source.name(), &parameters, &Patch::Merge(patch)).await;
        written.map_err(failed("annotating", child.kind, source))?;
        self.metrics.wrote(child.kind.name(), Write::Apply);
        Ok(())
    }

    /// Removes children of kinds that the source no longer has.
    async fn prune(&self, source: ValidSource<'_>, children: &Children) -> Result<(), ApplyError> {
        for kind in self.cache.kinds() {
            if children.objects.iter().any(|child| child.kind == kind) {
                continue;
            }
            if let Some(left) = self.cache.child(kind, source.namespace(), source.name())
                && matches!(owner::of(source, &left), Owner::Source)
                && left.metadata.deletion_timestamp.is_none()
            {
                self.delete(source, kind, &left).await?;
            }
        }
        Ok(())
    }

    /// Deletes this very object; its pods go with it.
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
            Ok(_) => self.metrics.wrote(kind.name(), Write::Delete),
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            Err(error) => return Err(failed("deleting", kind, source)(error)),
        }
        Ok(())
    }

    fn api(&self, kind: ChildKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    fn is_on_its_way(&self, source: ValidSource<'_>, kind: ChildKind) -> bool {
        let is_recent = |made: &Made| made.owner == source.uid() && made.at.elapsed() < LONGEST_WAY;
        self.on_their_way().get(&place(source, kind)).is_some_and(is_recent)
    }

    fn on_their_way(&self) -> MutexGuard<'_, HashMap<Place, Made>> {
        self.on_their_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, object: &DynamicObject) {
        if let Some(uid) = object.uid() {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let content_hash = plan::content_hash(object);
            let generation = object.metadata.generation;
            written.insert(uid, Written { content_hash, generation });
        }
    }

    fn is_as_written(&self, object: &DynamicObject) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let known = object.metadata.uid.as_ref().and_then(|uid| written.get(uid));
        known.is_some_and(|known| known.content_hash == plan::content_hash(object))
    }

    /// Whether a child, as the cache shows it, is from before it was last written: what it says of its
    /// pods is then not about what is wished now.
    pub(crate) fn is_behind(&self, object: &DynamicObject) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let known = object.metadata.uid.as_ref().and_then(|uid| written.get(uid));
        known.is_some_and(|known| object.metadata.generation < known.generation)
    }

    /// Forgets children that are no more.
    pub(crate) fn forget_all_but(&self, uids: &std::collections::HashSet<String>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|uid, _| uids.contains(uid));
        self.on_their_way().retain(|_, made| made.at.elapsed() < LONGEST_WAY);
    }
}

fn place(source: ValidSource<'_>, kind: ChildKind) -> Place {
    (kind, source.namespace().to_owned(), source.name().to_owned())
}

/// Whether a child that there is has the mark of another operator.
fn is_of_another_operator(child: &Child, present: &DynamicObject) -> bool {
    let theirs = present.annotations().get(OPERATOR);
    theirs.is_some() && theirs != child.object.annotations().get(OPERATOR)
}

/// Why nothing can be made in a namespace, by the server's own name for it.
const NAMESPACE_GOING: &str = "NamespaceTerminating";

fn says_namespace_is_going(answer: &Status) -> bool {
    let causes = answer.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == NAMESPACE_GOING)
}

/// Sorts an error of the server's: what it will refuse again is refused.
fn failed(
    action: &'static str,
    kind: ChildKind,
    source: ValidSource<'_>,
) -> impl FnOnce(kube::Error) -> ApplyError {
    let name = source.name().to_owned();
    move |error| match &error {
        kube::Error::Api(answer) if says_namespace_is_going(answer) => {
            ApplyError::NamespaceGoing { kind: kind.name(), name }
        }
        // A quota, a webhook, a rule of the server's, or what we may do.
        kube::Error::Api(answer) if matches!(answer.code, 400 | 403 | 422) => {
            let reason = if answer.code == 403 { "Forbidden" } else { "Refused" };
            let message = format!("the API server refuses the {}: {}", kind.name(), answer.message);
            ApplyError::Refused(Refusal::new(reason, message))
        }
        _ => ApplyError::Failed { action, kind: kind.name(), name, error },
    }
}
