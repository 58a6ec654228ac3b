//! One look at one source: check it, build what it should be made of, apply that, tell how it is.
//! Called for each change of a source, of its children or its pods, and at the end of each round in
//! which its pods have written lines. Looking once more changes nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ObjectMeta, Patch, PatchParams},
    core::{DeserializeGuard, DynamicObject, error_boundary::InvalidObject},
    runtime::controller::Action,
};
use serde_json::{Value, json};
use tracing::{Instrument as _, debug, info, info_span, warn};
use visor_api::{
    FakeLogSource,
    source::{FakeLogSourceStatus, Workload},
};

use crate::{
    apply::{Applier, ApplyError, LONGEST_WAY, touch_pods},
    build::{
        self, Settings,
        labels::{self, MANAGER},
    },
    cache::{self, Cache},
    children::ChildKind,
    events::{self, Announcer},
    metrics::{Metrics, Write},
    observed::{self, Observed},
    other_operators::OtherOperators,
    pace::Pace,
    pod_owner::SourceIdentity,
    pod_refusals,
    queue::Queue,
    source::{self, Refusal, ValidSource, place},
    status::{self, Facts},
    tallies::Tallies,
};

/// A source, or an object that should be one: it must not stop the others from being looked at.
pub(crate) type Guarded = DeserializeGuard<FakeLogSource>;

/// What a look needs.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) cache: Cache,
    pub(crate) applier: Applier,
    pub(crate) announcer: Announcer,
    pub(crate) tallies: Arc<Tallies>,
    pub(crate) pace: Pace,
    pub(crate) queue: Queue,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    pub(crate) failures: Failures,
    pub(crate) other_operators: OtherOperators,
}

/// Why a look is to be repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Build(#[from] build::BuildError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("touching the pods: {0}")]
    Touch(kube::Error),
    #[error("reading the object: {0}")]
    Read(kube::Error),
    #[error("writing the status: {0}")]
    Status(kube::Error),
}

/// When to look again at a source whose name is taken, or that the API server refused: what was in
/// the way may have gone, and nobody tells.
const RETRY_REFUSED: Duration = Duration::from_secs(15);

/// When to look again whether another operator still acts on a source.
const RETRY_OF_ANOTHER: Duration = Duration::from_mins(1);

/// So many looks in a row may fail before that is told: some seconds.
const FAILURES_UNTOLD: u32 = 4;

/// Looks at a source.
///
/// # Errors
///
/// What may go well the next time.
pub(crate) async fn reconcile(
    object: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let metadata = object.meta();
    let (source, namespace) = (metadata.name.as_deref(), metadata.namespace.as_deref());
    // Whatever is logged meanwhile says of which source, and in which look at it.
    let number = format!("{:08x}", rand::random::<u32>());
    let span = info_span!("look", source, namespace, reconcile = number);
    look(&object, &context).instrument(span).await
}

async fn look(object: &Guarded, context: &Context) -> Result<Action, ReconcileError> {
    context.queue.leave(&place(object.meta()));
    let began = Instant::now();
    let result = match &object.0 {
        // Its children go with it; the garbage collector sees to that.
        _ if object.meta().deletion_timestamp.is_some() => Ok(Action::await_change()),
        Ok(source) => context.look_at(source).await,
        Err(invalid) => context.tell_malformed(invalid).await,
    };
    let took = began.elapsed();
    context.metrics.reconciled(result.is_ok(), took);
    match &result {
        Ok(_) => {
            context.failures.forget(object.meta());
            debug!(seconds = took.as_secs_f64(), "looked at");
        }
        Err(error) => warn!(%error, "it can't be put right; trying again after a pause"),
    }
    result
}

/// When to look again after an error: sooner at first, later if it goes on.
#[expect(clippy::needless_pass_by_value, reason = "the controller hands over what it has")]
pub(crate) fn after_error(
    object: Arc<Guarded>,
    _: &ReconcileError,
    context: Arc<Context>,
) -> Action {
    Action::requeue(context.failures.next_pause(object.meta()))
}

/// What came of putting a source's children right.
enum Done {
    /// Children were made that weren't there.
    Made,
    /// All are as they should be, with a document of this hash.
    Right { document_hash: String },
    /// Nothing can be made any more where the source is.
    NamespaceGoing,
}

impl Context {
    async fn look_at(&self, source: &FakeLogSource) -> Result<Action, ReconcileError> {
        let identity = SourceIdentity::of(&source.metadata, Some(&source.spec));
        let before = source.status.as_ref().map(status::counted_before).unwrap_or_default();
        let labelled = self.cache.pods_labelled(&identity);
        self.tallies
            .begin(&identity, before, &labelled, |pod, source| self.cache.is_of(pod, source));

        // Before anything else, for that one may allow what this one doesn't.
        if let Some(mark) = self.mark_of_another(&source.metadata) {
            if self.other_operators.acts(&mark).await {
                return Ok(self.leave_to(&mark, &source.metadata).await);
            }
            info!(mark, "taking the place of an operator that acts no longer");
        }
        let checked = self.settings.policy.check(&source.spec).and_then(|()| source::check(source));
        let is_valid = checked.is_ok();
        // What didn't work, to be tried again. It is told where it is in the way of more than a few
        // looks.
        let mut failure = None;
        let outcome = match checked.as_ref().map(ValidSource::of) {
            Ok(valid) => match self.put_right(valid).await {
                // What was made comes back as a change in a moment, and then there is more to tell;
                // unless it has gone before any watch saw it.
                Ok(Ok(Done::Made)) => return Ok(Action::requeue(LONGEST_WAY)),
                Ok(Ok(Done::NamespaceGoing)) => return Ok(Action::requeue(RETRY_REFUSED)),
                Ok(Ok(Done::Right { document_hash })) => {
                    // A pod that can't be told gets its document later: the source is well.
                    failure = self.tell_pods(valid, &document_hash).await.err();
                    Ok(valid)
                }
                Ok(Err(refusal)) => Err(refusal),
                Err(error) if self.failures.count(&source.metadata) < FAILURES_UNTOLD => {
                    return Err(error);
                }
                Err(error) => {
                    let refusal = Refusal::new(status::FAILING, error.to_string());
                    failure = Some(error);
                    Err(refusal)
                }
            },
            Err(refusal) => Err(refusal.clone()),
        };
        let pods = self.pods_of(&identity);
        let (workload, incomplete) = if source.spec.resolved_workload() == Workload::Sidecar {
            (Some((Workload::Sidecar, observed::guests(&pods))), None)
        } else {
            self.workload(&source.metadata, &pods).await
        };
        let facts = Facts {
            generation: source.metadata.generation.unwrap_or(0),
            source: outcome.as_ref().copied(),
            workload,
            sums: self.tallies.sums(&identity.uid),
        };
        let untold = self.publish(&source.metadata, source.status.as_ref(), &facts).await?;
        if let Some(error) = failure {
            return Err(error);
        }
        // A source that breaks a rule waits for its author.
        let retry = (is_valid && outcome.is_err()).then_some(RETRY_REFUSED);
        Ok(next_look(retry.into_iter().chain(untold).chain(incomplete).min()))
    }

    /// The mark of another operator on the children of a source.
    fn mark_of_another(&self, source: &ObjectMeta) -> Option<String> {
        let (namespace, name) = (source.namespace.as_deref()?, source.name.as_deref()?);
        let child = self.cache.child(ChildKind::ConfigMap, namespace, name)?;
        let mut owners = child.owner_references().iter();
        let is_of_it = owners.any(|owner| Some(&owner.uid) == source.uid.as_ref());
        let mark = child.annotations().get(labels::OPERATOR)?;
        (is_of_it && *mark != self.settings.operator).then(|| mark.clone())
    }

    /// Leaves a source to the operator that acts on it, and says so.
    async fn leave_to(&self, mark: &str, source: &ObjectMeta) -> Action {
        let note = events::of_another_operator(mark, &self.settings.operator);
        self.announcer.announce(source, note).await;
        Action::requeue(RETRY_OF_ANOTHER)
    }

    /// Builds and applies, and says what came of it. What the source's author has to change, or
    /// whoever runs the cluster, is a refusal.
    async fn put_right(
        &self,
        source: ValidSource<'_>,
    ) -> Result<Result<Done, Refusal>, ReconcileError> {
        let children = build::children(source, &self.settings)?;
        match self.applier.apply(source, &children).await {
            Ok(true) => return Ok(Ok(Done::Made)),
            Ok(false) => {}
            Err(ApplyError::Refused(refusal)) => return Ok(Err(refusal)),
            Err(ApplyError::NamespaceGoing { .. }) => return Ok(Ok(Done::NamespaceGoing)),
            Err(error) => return Err(error.into()),
        }
        Ok(Ok(Done::Right { document_hash: children.document_hash }))
    }

    /// The pods of a source: those that are counted, for what controlled them may have gone before
    /// them, and those that will be.
    fn pods_of(&self, source: &SourceIdentity) -> Vec<Arc<Pod>> {
        let mut pods = self.cache.pods_labelled(source);
        pods.retain(|pod| self.tallies.counts(pod) || self.cache.is_of(pod, source));
        pods
    }

    /// Has pods read their document now, not within a minute or two.
    async fn tell_pods(
        &self,
        source: ValidSource<'_>,
        document_hash: &str,
    ) -> Result<(), ReconcileError> {
        let document = self.cache.child(ChildKind::ConfigMap, source.namespace(), source.name());
        let changed = document.as_ref().and_then(cache::last_written);
        let pods = self.pods_of(&SourceIdentity::of(source.metadata(), Some(source.spec())));
        touch_pods(&self.client, &self.metrics, &pods, document_hash, changed)
            .await
            .map_err(ReconcileError::Touch)
    }

    /// The workload that the source has, whatever kind it is of, and when to look at it again if pods of
    /// it are missing: nobody tells when more is known of that.
    async fn workload(
        &self,
        source: &ObjectMeta,
        pods: &[Arc<Pod>],
    ) -> (Option<(Workload, Observed)>, Option<Duration>) {
        let Some((workload, kind, object)) = self.own_workload(source) else { return (None, None) };
        let mut observed = observed::workload(kind, &object, pods);
        observed.settled &= !self.applier.is_behind(&object);
        let mut again = None;
        if observed.missing > 0 && observed.trouble.is_none() {
            if pod_refusals::should_have_pods(&object, Timestamp::now()) {
                again = Some(RETRY_REFUSED);
                match pod_refusals::last(&self.client, &object).await {
                    Ok(refusal) => observed.trouble = refusal,
                    Err(error) => warn!(%error, "events about its pods could not be read"),
                }
            } else {
                again = Some(pod_refusals::ON_THE_WAY.unsigned_abs());
            }
        }
        (Some((workload, observed)), again)
    }

    /// The workload that the source controls and that stays.
    fn own_workload(&self, source: &ObjectMeta) -> Option<(Workload, ChildKind, DynamicObject)> {
        let (namespace, name) = (source.namespace.as_deref()?, source.name.as_deref()?);
        self.cache.kinds().find_map(|kind| {
            let workload = kind.workload()?;
            let object = self.cache.child(kind, namespace, name)?;
            let owners = object.metadata.owner_references.iter().flatten();
            let is_ours =
                owners.map(|owner| Some(&owner.uid)).any(|uid| uid == source.uid.as_ref());
            let stays = object.metadata.deletion_timestamp.is_none();
            (is_ours && stays).then_some((workload, kind, object))
        })
    }

    /// Writes the status, if it says something new, and tells of what matters in it. What may wait
    /// waits: then it says for how long.
    async fn publish(
        &self,
        metadata: &ObjectMeta,
        old: Option<&FakeLogSourceStatus>,
        facts: &Facts<'_>,
    ) -> Result<Option<Duration>, ReconcileError> {
        let new = status::next(old, facts, Timestamp::now());
        if Some(&new) == old {
            return Ok(None);
        }
        let uid = metadata.uid.as_deref().unwrap_or_default();
        if let Some(wait) = self.pace.wait(uid, status::is_urgent(old, &new)) {
            return Ok(Some(wait));
        }
        let resource = kube::core::ApiResource::erase::<FakeLogSource>(&());
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let name = metadata.name.as_deref().unwrap_or_default();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let patch = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            // Should the source have been replaced by one of the same name, the server refuses.
            "metadata": {"name": name, "uid": metadata.uid},
            "status": new,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        match api.patch_status(name, &parameters, &Patch::Apply(patch)).await {
            Ok(_) => {
                self.pace.wrote(uid);
                self.metrics.wrote(&resource.kind, Write::Status);
            }
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {
                debug!(source = place(metadata), "the source went away");
                return Ok(None);
            }
            Err(error) => return Err(ReconcileError::Status(error)),
        }
        if let Some(announcement) = events::of_change(old, &new) {
            self.announcer.announce(metadata, announcement).await;
        }
        Ok(None)
    }

    /// What the schema let through but isn't a source: a duration beyond all bounds, say.
    async fn tell_malformed(&self, invalid: &InvalidObject) -> Result<Action, ReconcileError> {
        let metadata = &invalid.metadata;
        let resource = kube::core::ApiResource::erase::<FakeLogSource>(&());
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let asked = api.get_opt(metadata.name.as_deref().unwrap_or_default()).await;
        let Some(object) = asked.map_err(ReconcileError::Read)? else {
            return Ok(Action::await_change());
        };
        let old = object.data.get("status").cloned().unwrap_or_default();
        let old: Option<FakeLogSourceStatus> = serde_json::from_value(old).ok();
        let json = serde_json::to_value(&object).unwrap_or(Value::Null);
        let refusal = match visor_api::document::from_json(json) {
            Err(problem) => Refusal::new("Malformed", problem.to_string()),
            // It has been put right meanwhile, and the next look will see.
            Ok(_) => return Ok(Action::await_change()),
        };
        let facts = Facts {
            generation: metadata.generation.unwrap_or(0),
            source: Err(&refusal),
            workload: self
                .workload(metadata, &self.pods_of(&SourceIdentity::of(metadata, None)))
                .await
                .0,
            sums: None,
        };
        Ok(next_look(self.publish(metadata, old.as_ref(), &facts).await?))
    }
}

fn next_look(wait: Option<Duration>) -> Action {
    wait.map_or_else(Action::await_change, Action::requeue)
}

/// How often in a row each source could not be put right.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    const FIRST_PAUSE: Duration = Duration::from_millis(500);
    const LONGEST_PAUSE: Duration = Duration::from_mins(1);

    fn next_pause(&self, source: &ObjectMeta) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(place(source)).or_default();
        let pause = Self::FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(*count));
        *count = count.saturating_add(1);
        // Sources that failed together are not to come back together.
        pause.min(Self::LONGEST_PAUSE).mul_f64(rand::random_range(0.75..1.25))
    }

    /// How often in a row it could not.
    fn count(&self, source: &ObjectMeta) -> u32 {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&place(source)).copied().unwrap_or(0)
    }

    fn forget(&self, source: &ObjectMeta) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&place(source));
    }

    /// Forgets sources that are no more.
    pub(crate) fn forget_all_but(&self, places: &std::collections::HashSet<String>) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|place, _| places.contains(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_begin_anew_after_a_success() {
        let failures = Failures::default();
        let source = ObjectMeta::default();
        let pauses: Vec<_> = (0..20).map(|_| failures.next_pause(&source)).collect();
        assert!(pauses[0] < Duration::from_secs(1));
        assert!(pauses[3] > pauses[0]);
        let longest = Failures::LONGEST_PAUSE.mul_f64(1.25);
        assert!(pauses.iter().all(|pause| *pause <= longest), "{pauses:?}");
        assert!(pauses[19] >= Failures::LONGEST_PAUSE.mul_f64(0.75));
        failures.forget(&source);
        assert!(failures.next_pause(&source) < Duration::from_secs(1));
    }
}
