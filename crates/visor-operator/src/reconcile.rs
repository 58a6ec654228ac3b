//! The reconciliation of one source: check it, build its children, apply them, update its status.
//! It runs for each change of a source, its children or its pods, and after each scrape round in
//! which its counts have changed. It is idempotent.

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
    all_counts::AllCounts,
    apply::{Applier, ApplyError, MAX_CACHE_LAG, notify_pods},
    build::{
        self, Settings,
        labels::{self, FIELD_MANAGER},
    },
    cache::{self, Cache},
    children::ChildKind,
    events::{self, EventPublisher},
    failed_creates,
    metrics::{Metrics, Write},
    observed::{self, Observed},
    other_operators::OtherOperators,
    pod_owner::SourceIdentity,
    queue::Queue,
    source::{self, Rejection, ValidSource, namespaced_name},
    status::{self, StatusInputs},
    status_rate_limiter::StatusRateLimiter,
};

/// A source, or an object that fails to parse as one: it must not stop the others from being
/// reconciled.
pub(crate) type GuardedSource = DeserializeGuard<FakeLogSource>;

/// What a reconciliation needs.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) cache: Cache,
    pub(crate) applier: Applier,
    pub(crate) event_publisher: EventPublisher,
    pub(crate) all_counts: Arc<AllCounts>,
    pub(crate) status_rate_limiter: StatusRateLimiter,
    pub(crate) queue: Queue,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    pub(crate) failures: FailureCounts,
    pub(crate) other_operators: OtherOperators,
}

/// Why a reconciliation failed and is to be retried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Build(#[from] build::BuildError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("cannot notify the pods: {0}")]
    Notify(kube::Error),
    #[error("cannot read the source: {0}")]
    Read(kube::Error),
    #[error("cannot update the status: {0}")]
    Status(kube::Error),
}

/// When to retry a source that was rejected because of other objects: nothing reports when they
/// have changed.
const RETRY_REJECTED: Duration = Duration::from_secs(15);

/// When to check again whether another operator still manages a source.
const RETRY_OTHER_OPERATOR: Duration = Duration::from_mins(1);

/// How many consecutive failures are not reported in the status: some seconds.
const FAILURES_BEFORE_REPORT: u32 = 4;

/// Reconciles a source.
///
/// # Errors
///
/// If a retry may succeed.
pub(crate) async fn reconcile(
    object: Arc<GuardedSource>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let metadata = object.meta();
    let (source, namespace) = (metadata.name.as_deref(), metadata.namespace.as_deref());
    // Log lines have the source and the number of the reconciliation.
    let number = format!("{:08x}", rand::random::<u32>());
    let span = info_span!("reconcile", source, namespace, reconcile = number);
    timed_reconcile(&object, &context).instrument(span).await
}

async fn timed_reconcile(
    object: &GuardedSource,
    context: &Context,
) -> Result<Action, ReconcileError> {
    context.queue.dequeue(&namespaced_name(object.meta()));
    let began = Instant::now();
    let result = match &object.0 {
        // The garbage collector deletes its children.
        _ if object.meta().deletion_timestamp.is_some() => Ok(Action::await_change()),
        Ok(source) => context.reconcile_readable(source).await,
        Err(invalid) => context.reconcile_malformed(invalid).await,
    };
    let took = began.elapsed();
    context.metrics.record_reconcile(result.is_ok(), took);
    match &result {
        Ok(_) => {
            context.failures.forget(object.meta());
            debug!(seconds = took.as_secs_f64(), "reconciled");
        }
        Err(error) => warn!(%error, "reconcile failed; will retry"),
    }
    result
}

/// When to retry after an error: with exponential backoff.
#[expect(clippy::needless_pass_by_value, reason = "the controller passes owned values")]
pub(crate) fn after_error(
    object: Arc<GuardedSource>,
    _: &ReconcileError,
    context: Arc<Context>,
) -> Action {
    Action::requeue(context.failures.next_backoff(object.meta()))
}

/// The result of applying a source's children.
enum Applied {
    /// Children were created.
    Created,
    /// All children are up to date, with a document of this hash.
    UpToDate { document_hash: String },
    /// The namespace is being deleted, so nothing can be created in it.
    NamespaceTerminating,
}

impl Context {
    async fn reconcile_readable(&self, source: &FakeLogSource) -> Result<Action, ReconcileError> {
        let identity = SourceIdentity::of(&source.metadata, Some(&source.spec));
        let saved = source.status.as_ref().map(status::saved_counts).unwrap_or_default();
        let labeled = self.cache.pods_labelled(&identity);
        self.all_counts
            .begin(&identity, saved, &labeled, |pod, source| self.cache.is_of(pod, source));

        // First, because the other operator may allow more.
        if let Some(operator) = self.other_operator(&source.metadata) {
            if self.other_operators.is_active(&operator).await {
                return Ok(self.leave_to_other(&operator, &source.metadata).await);
            }
            info!(operator, "taking over from an operator that is no longer active");
        }
        let checked = self.settings.policy.check(&source.spec).and_then(|()| source::check(source));
        let is_valid = checked.is_ok();
        // What failed and is to be retried. It is reported in the status after a few
        // attempts.
        let mut failure = None;
        let outcome = match checked.as_ref().map(ValidSource::of) {
            Ok(valid) => match self.ensure(valid).await {
                // The new children trigger another reconciliation in a moment,
                // unless they are deleted before a watch has seen them.
                Ok(Ok(Applied::Created)) => return Ok(Action::requeue(MAX_CACHE_LAG)),
                Ok(Ok(Applied::NamespaceTerminating)) => {
                    return Ok(Action::requeue(RETRY_REJECTED));
                }
                Ok(Ok(Applied::UpToDate { document_hash })) => {
                    // A pod that can't be notified gets its document later.
                    failure = self.notify_changed_pods(valid, &document_hash).await.err();
                    Ok(valid)
                }
                Ok(Err(rejection)) => Err(rejection),
                Err(error) if self.failures.count(&source.metadata) < FAILURES_BEFORE_REPORT => {
                    return Err(error);
                }
                Err(error) => {
                    let rejection = Rejection::new(status::RECONCILE_ERROR, error.to_string());
                    failure = Some(error);
                    Err(rejection)
                }
            },
            Err(rejection) => Err(rejection.clone()),
        };
        let pods = self.pods_of(&identity);
        let (workload, check_again) = if source.spec.resolved_workload() == Workload::Sidecar {
            (Some((Workload::Sidecar, observed::sidecars(&pods))), None)
        } else {
            self.workload(&source.metadata, &pods).await
        };
        let inputs = StatusInputs {
            generation: source.metadata.generation.unwrap_or(0),
            source: outcome.as_ref().copied(),
            workload,
            totals: self.all_counts.totals(&identity.uid),
        };
        let wait_for_status_write =
            self.update_status(&source.metadata, source.status.as_ref(), &inputs).await?;
        if let Some(error) = failure {
            return Err(error);
        }
        // An invalid source waits for its author.
        let retry = (is_valid && outcome.is_err()).then_some(RETRY_REJECTED);
        Ok(requeue_after(retry.into_iter().chain(wait_for_status_write).chain(check_again).min()))
    }

    /// The other operator that is named on the children of a source.
    fn other_operator(&self, source: &ObjectMeta) -> Option<String> {
        let (namespace, name) = (source.namespace.as_deref()?, source.name.as_deref()?);
        let child = self.cache.child(ChildKind::ConfigMap, namespace, name)?;
        let mut owners = child.owner_references().iter();
        let is_of_it = owners.any(|owner| Some(&owner.uid) == source.uid.as_ref());
        let operator = child.annotations().get(labels::OPERATOR_ANNOTATION)?;
        (is_of_it && *operator != self.settings.operator).then(|| operator.clone())
    }

    /// Leaves a source to the operator that manages it, and reports that.
    async fn leave_to_other(&self, operator: &str, source: &ObjectMeta) -> Action {
        let note = events::managed_by_other_operator(operator, &self.settings.operator);
        self.event_publisher.publish(source, note).await;
        Action::requeue(RETRY_OTHER_OPERATOR)
    }

    /// Builds and applies the children. A rejection needs a change of the source or of the cluster.
    async fn ensure(
        &self,
        source: ValidSource<'_>,
    ) -> Result<Result<Applied, Rejection>, ReconcileError> {
        let children = build::children(source, &self.settings)?;
        match self.applier.apply(source, &children).await {
            Ok(true) => return Ok(Ok(Applied::Created)),
            Ok(false) => {}
            Err(ApplyError::Rejected(rejection)) => return Ok(Err(rejection)),
            Err(ApplyError::NamespaceTerminating { .. }) => {
                return Ok(Ok(Applied::NamespaceTerminating));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Ok(Applied::UpToDate { document_hash: children.document_hash }))
    }

    /// The pods of a source: those that belong to it, and those that are counted already, because
    /// their controllers may have been deleted before them.
    fn pods_of(&self, source: &SourceIdentity) -> Vec<Arc<Pod>> {
        let mut pods = self.cache.pods_labelled(source);
        pods.retain(|pod| self.all_counts.counts(pod) || self.cache.is_of(pod, source));
        pods
    }

    /// Makes running pods read a changed document at once, not within a minute or two.
    async fn notify_changed_pods(
        &self,
        source: ValidSource<'_>,
        document_hash: &str,
    ) -> Result<(), ReconcileError> {
        let document = self.cache.child(ChildKind::ConfigMap, source.namespace(), source.name());
        let changed = document.as_ref().and_then(cache::last_written);
        let pods = self.pods_of(&SourceIdentity::of(source.metadata(), Some(source.spec())));
        notify_pods(&self.client, &self.metrics, &pods, document_hash, changed)
            .await
            .map_err(ReconcileError::Notify)
    }

    /// The existing workload of the source, and when to check again if its pods are missing:
    /// nothing reports when more is known.
    async fn workload(
        &self,
        source: &ObjectMeta,
        pods: &[Arc<Pod>],
    ) -> (Option<(Workload, Observed)>, Option<Duration>) {
        let Some((workload, kind, object)) = self.own_workload(source) else { return (None, None) };
        let mut observed = observed::workload(kind, &object, pods);
        observed.up_to_date &= !self.applier.is_stale(&object);
        let mut again = None;
        if observed.missing > 0 && observed.problem.is_none() {
            if failed_creates::should_have_pods(&object, Timestamp::now()) {
                again = Some(RETRY_REJECTED);
                match failed_creates::last_message(&self.client, &object).await {
                    Ok(rejection) => observed.problem = rejection,
                    Err(error) => warn!(%error, "cannot list the events of the workload"),
                }
            } else {
                again = Some(failed_creates::CREATE_TIME.unsigned_abs());
            }
        }
        (Some((workload, observed)), again)
    }

    /// The workload that the source controls, unless it is being deleted.
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

    /// Writes the status if it has changed, and publishes an event. If the write has to wait,
    /// returns for how long.
    async fn update_status(
        &self,
        metadata: &ObjectMeta,
        old: Option<&FakeLogSourceStatus>,
        inputs: &StatusInputs<'_>,
    ) -> Result<Option<Duration>, ReconcileError> {
        let new = status::next(old, inputs, Timestamp::now());
        if Some(&new) == old {
            return Ok(None);
        }
        let uid = metadata.uid.as_deref().unwrap_or_default();
        if let Some(wait) = self.status_rate_limiter.wait(uid, status::is_urgent(old, &new)) {
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
            // A precondition: the server rejects the patch if the source has been replaced.
            "metadata": {"name": name, "uid": metadata.uid},
            "status": new,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch_status(name, &parameters, &Patch::Apply(patch)).await {
            Ok(_) => {
                self.status_rate_limiter.record_write(uid);
                self.metrics.record_write(&resource.kind, Write::Status);
            }
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {
                debug!(source = namespaced_name(metadata), "the source was deleted");
                return Ok(None);
            }
            Err(error) => return Err(ReconcileError::Status(error)),
        }
        if let Some(new_event) = events::for_status_change(old, &new) {
            self.event_publisher.publish(metadata, new_event).await;
        }
        Ok(None)
    }

    /// Reports an object that the schema accepts but that isn't a source, such as one with a
    /// duration beyond all bounds.
    async fn reconcile_malformed(&self, invalid: &InvalidObject) -> Result<Action, ReconcileError> {
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
        let rejection = match visor_api::document::from_json(json) {
            Err(problem) => Rejection::new("Malformed", problem.to_string()),
            // It has been corrected meanwhile; the next reconciliation handles it.
            Ok(_) => return Ok(Action::await_change()),
        };
        let inputs = StatusInputs {
            generation: metadata.generation.unwrap_or(0),
            source: Err(&rejection),
            workload: self
                .workload(metadata, &self.pods_of(&SourceIdentity::of(metadata, None)))
                .await
                .0,
            totals: None,
        };
        Ok(requeue_after(self.update_status(metadata, old.as_ref(), &inputs).await?))
    }
}

fn requeue_after(wait: Option<Duration>) -> Action {
    wait.map_or_else(Action::await_change, Action::requeue)
}

/// The number of consecutive failures of each source.
#[derive(Default)]
pub(crate) struct FailureCounts(Mutex<HashMap<String, u32>>);

impl FailureCounts {
    const MIN_BACKOFF: Duration = Duration::from_millis(500);
    const MAX_BACKOFF: Duration = Duration::from_mins(1);

    fn next_backoff(&self, source: &ObjectMeta) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(namespaced_name(source)).or_default();
        let pause = Self::MIN_BACKOFF.saturating_mul(2_u32.saturating_pow(*count));
        *count = count.saturating_add(1);
        // Jitter: sources that failed together are not retried together.
        pause.min(Self::MAX_BACKOFF).mul_f64(rand::random_range(0.75..1.25))
    }

    /// The number of consecutive failures.
    fn count(&self, source: &ObjectMeta) -> u32 {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&namespaced_name(source)).copied().unwrap_or(0)
    }

    fn forget(&self, source: &ObjectMeta) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&namespaced_name(source));
    }

    /// Drops the entries of sources that no longer exist.
    pub(crate) fn retain(&self, names: &std::collections::HashSet<String>) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|namespaced_name, _| names.contains(namespaced_name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_a_minute_and_is_reset_by_a_success() {
        let failures = FailureCounts::default();
        let source = ObjectMeta::default();
        let pauses: Vec<_> = (0..20).map(|_| failures.next_backoff(&source)).collect();
        assert!(pauses[0] < Duration::from_secs(1));
        assert!(pauses[3] > pauses[0]);
        let longest = FailureCounts::MAX_BACKOFF.mul_f64(1.25);
        assert!(pauses.iter().all(|pause| *pause <= longest), "{pauses:?}");
        assert!(pauses[19] >= FailureCounts::MAX_BACKOFF.mul_f64(0.75));
        failures.forget(&source);
        assert!(failures.next_backoff(&source) < Duration::from_secs(1));
    }
}
