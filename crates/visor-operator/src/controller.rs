//! The controller: reconciles each source. It runs for each change of a source, its children or its
//! pods, and after each scrape round in which its counts have changed. It is idempotent.
//!
//! | module | step |
//! |---|---|
//! | `observe` | what there is: pods, the workload, another operator |
//! | `validate` | whether it is a source that may be built |
//! | `build` | the desired children (pure) |
//! | `apply` | writes those that differ |
//! | `status` | conditions and numbers (pure), and their write |
//! | `publish` | events |
//! | `state` | what is remembered of each source |
//! | `rounds` | scrapes the pods, and enqueues the sources whose counts have changed |
//! | `queue` | how many sources wait |

pub(crate) mod apply;
pub(crate) mod build;
mod malformed;
pub(crate) mod observe;
pub(crate) mod publish;
pub(crate) mod queue;
pub(crate) mod rounds;
pub(crate) mod state;
pub(crate) mod status;
mod validate;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kube::{Client, Resource, api::ObjectMeta, runtime::controller::Action};
use tracing::{Instrument as _, debug, info_span, warn};
use visor_api::FakeLogSource;

use crate::{
    metrics::Metrics,
    pods::owner::SourceIdentity,
    source::{GuardedSource, Rejection, ValidSource, namespaced_name},
};
use apply::{Applier, ApplyError, Outcome, notify_pods};
use build::{Children, Settings, children::ChildKind};
use observe::{
    cache::{self, Cache},
    other_operators::OtherOperators,
};
use publish::SourceEventPublisher;
use queue::Queue;
use state::{MAX_CACHE_LAG, Sources};
use status::StatusInputs;

/// What a reconciliation needs.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) cache: Cache,
    pub(crate) applier: Applier,
    pub(crate) events: SourceEventPublisher,
    pub(crate) sources: Arc<Sources>,
    /// The minimum time between two writes of a source's status in which only numbers have changed.
    pub(crate) status_interval: Duration,
    pub(crate) queue: Queue,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
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
    context.timed_reconcile(&object).instrument(span).await
}

/// When to retry after an error: with exponential backoff.
#[expect(clippy::needless_pass_by_value, reason = "the controller passes owned values")]
pub(crate) fn after_error(
    object: Arc<GuardedSource>,
    _: &ReconcileError,
    context: Arc<Context>,
) -> Action {
    Action::requeue(context.sources.of(object.meta(), |state| state.failures.next_backoff()))
}

impl Context {
    async fn timed_reconcile(&self, object: &GuardedSource) -> Result<Action, ReconcileError> {
        self.queue.dequeue(&namespaced_name(object.meta()));
        let began = Instant::now();
        let result = match &object.0 {
            // The garbage collector deletes its children.
            _ if object.meta().deletion_timestamp.is_some() => Ok(Action::await_change()),
            Ok(source) => self.reconcile_source(source).await,
            Err(invalid) => self.reconcile_malformed(invalid).await,
        };
        let took = began.elapsed();
        self.metrics.record_reconcile(result.is_ok(), took);
        match &result {
            Ok(_) => {
                self.sources.of(object.meta(), |state| state.failures.reset());
                debug!(seconds = took.as_secs_f64(), "reconciled");
            }
            Err(error) => warn!(%error, "reconcile failed; will retry"),
        }
        result
    }

    /// Observes, validates, builds, applies, and reports.
    async fn reconcile_source(&self, source: &FakeLogSource) -> Result<Action, ReconcileError> {
        let identity = SourceIdentity::of(&source.metadata, Some(&source.spec));
        self.begin_counting(source, &identity);
        // Before it is validated, because the other operator may allow more.
        if let Some(operator) = self.other_operator(&source.metadata).await {
            let event = publish::managed_by_other_operator(&operator, &self.settings.operator);
            self.events.publish(&source.metadata, event).await;
            return Ok(Action::requeue(RETRY_OTHER_OPERATOR));
        }
        let resolved = match validate::check(source, &self.settings.policy) {
            Ok(resolved) => resolved,
            // It waits for its author.
            Err(rejection) => return self.report(source, &identity, Err(&rejection), None).await,
        };
        let valid = ValidSource::of(&resolved);
        match self.build_and_apply(valid, &identity).await {
            // The new children trigger another reconciliation in a moment, unless they are deleted
            // before a watch has seen them.
            Ok(Outcome::Created) => Ok(Action::requeue(MAX_CACHE_LAG)),
            Ok(Outcome::NamespaceTerminating) => Ok(Action::requeue(RETRY_REJECTED)),
            Ok(Outcome::UpToDate) => self.report(source, &identity, Ok(valid), None).await,
            Ok(Outcome::Rejected(rejection)) => {
                self.report(source, &identity, Err(&rejection), Some(RETRY_REJECTED)).await
            }
            // The children are up to date; a pod that can't be notified gets its document later.
            Err(error @ ReconcileError::Notify(_)) => {
                self.report(source, &identity, Ok(valid), None).await?;
                Err(error)
            }
            Err(error) => {
                if self.failures(&source.metadata) >= FAILURES_BEFORE_REPORT {
                    let rejection = Rejection::new(status::RECONCILE_ERROR, error.to_string());
                    self.report(source, &identity, Err(&rejection), None).await?;
                }
                Err(error)
            }
        }
    }

    /// Builds and applies the children, and tells the pods if their document has changed.
    async fn build_and_apply(
        &self,
        source: ValidSource<'_>,
        identity: &SourceIdentity,
    ) -> Result<Outcome, ReconcileError> {
        let children = build::children(source, &self.settings)?;
        let outcome = self.applier.apply(source, &children).await?;
        if outcome == Outcome::UpToDate {
            self.notify_changed_pods(source, identity, &children).await?;
        }
        Ok(outcome)
    }

    /// Makes running pods read a changed document at once, not within a minute or two.
    async fn notify_changed_pods(
        &self,
        source: ValidSource<'_>,
        identity: &SourceIdentity,
        children: &Children,
    ) -> Result<(), ReconcileError> {
        let document = self.cache.child(ChildKind::ConfigMap, source.namespace(), source.name());
        let changed = document.as_ref().and_then(cache::last_written);
        let pods = self.pods_of(identity);
        notify_pods(&self.client, &self.metrics, &pods, &children.document_hash, changed)
            .await
            .map_err(ReconcileError::Notify)
    }

    /// Reports in the status what is observed of an accepted or a rejected source. It is reconciled
    /// again after `retry`, or before that if there is more to report by then.
    async fn report(
        &self,
        source: &FakeLogSource,
        identity: &SourceIdentity,
        accepted: Result<ValidSource<'_>, &Rejection>,
        retry: Option<Duration>,
    ) -> Result<Action, ReconcileError> {
        let observed = self.observe(&source.metadata, identity).await;
        let inputs = StatusInputs {
            generation: source.metadata.generation.unwrap_or(0),
            source: accepted,
            workload: observed.workload,
            totals: self.sources.totals(&identity.uid),
        };
        let wait = self.update_status(&source.metadata, source.status.as_ref(), &inputs).await?;
        Ok(requeue_after([retry, wait, observed.look_again].into_iter().flatten().min()))
    }

    fn failures(&self, source: &ObjectMeta) -> u32 {
        self.sources.of(source, |state| state.failures.count())
    }
}

fn requeue_after(wait: Option<Duration>) -> Action {
    wait.map_or_else(Action::await_change, Action::requeue)
}
