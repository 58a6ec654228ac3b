//! What the leader runs: the controllers, which reconcile every source at start and at each change,
//! and the scraping of pods. If namespaces are given, each has its own controller, so that a Role
//! in each is sufficient.

use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use kube::{
    Api, Resource,
    runtime::{
        Controller, Predicate, PredicateConfig, WatchStreamExt,
        controller::{self, Error as ControllerError},
        predicates, reflector, watcher,
    },
};
use tokio::{select, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{error, info, warn};

use super::{ControllerInputs, scopes};
use crate::{
    api_client,
    controller::{
        Context, after_error,
        apply::Applier,
        build::children::ChildKind,
        observe::{cache::Cache, other_operators::OtherOperators},
        publish::SourceEventPublisher,
        queue::Queue,
        reconcile, rounds,
        state::Sources,
    },
    injector,
    source::{GuardedSource, namespaced_name, namespaced_name_of},
};

/// Changes of a source's children arrive in bursts. A reconciliation waits until this long after
/// the last one.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// The capacity of the queue of sources whose counts have changed.
const QUEUE_CAPACITY: usize = 64;

/// Runs until `stop` completes, or a watch ends, which none should.
pub(super) async fn run_controllers(
    work: ControllerInputs,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let stop = stop.shared();
    let scopes = scopes(&work.options).into_iter();
    let publishing = async {
        if let Some(injector) = &work.injector {
            let ControllerInputs { client, event_publisher, metrics, .. } = work.clone();
            Box::pin(injector::publish_events(
                client,
                Arc::clone(injector),
                event_publisher,
                metrics,
            ))
            .await;
        }
        pending::<()>().await;
    };
    let mut controllers: FuturesUnordered<_> =
        scopes.map(|scope| Box::pin(run_in(scope, work.clone(), stop.clone()))).collect();
    let controllers =
        async { while controllers.next().await.is_some() && stop.peek().is_some() {} };
    select! {
        () = controllers => {}
        () = publishing => {}
    }
}

/// Reconciles every source of a namespace at start and at each change, until `stop` completes.
async fn run_in(
    scope: Option<String>,
    work: ControllerInputs,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let ControllerInputs { client, metrics, settings, event_publisher, options, .. } = work;
    let namespace = scope.as_deref();
    let kinds = ChildKind::EVERYWHERE.into_iter();
    let kinds = kinds.chain(settings.pod_monitors.then_some(ChildKind::PodMonitor));
    let sources = Arc::new(Sources::default());
    let (cache, touched) = Cache::watch(&client, namespace, kinds, &metrics, Arc::clone(&sources));
    let events = SourceEventPublisher::new(event_publisher, Arc::clone(&sources));
    let applier = Applier::new(
        client.clone(),
        cache.clone(),
        events.clone(),
        Arc::clone(&sources),
        Arc::clone(&metrics),
    );
    let context = Arc::new(Context {
        client: client.clone(),
        cache: cache.clone(),
        applier,
        events,
        sources,
        status_interval: options.status_interval,
        queue: Queue::new(Arc::clone(&metrics)),
        metrics: Arc::clone(&metrics),
        settings,
        other_operators: OtherOperators::new(client.clone()),
    });

    // The caches are synced before the first reconciliation, or everything would seem to be missing.
    // Changes in between need no requests of their own, because every source is reconciled anyway.
    let mut touched = touched;
    let early = async { while touched.next().await.is_some() {} };
    select! {
        () = cache.synced() => info!(namespace, "caches synced"),
        () = early => return,
    }

    let api: Api<GuardedSource> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (sources, writer) = reflector::store();
    let failed = Arc::clone(&metrics);
    let (of_sources, for_children) = (Arc::clone(&context), Arc::clone(&context));
    let changes = watcher(api, api_client::paged_watch())
        .modify(|source: &mut GuardedSource| source.meta_mut().managed_fields = None)
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        // Changes of the status are our own.
        .predicate_filter(
            predicates::generation.fallback(predicates::resource_version),
            PredicateConfig::default(),
        )
        .inspect(move |change| match change {
            Ok(source) => of_sources.queue.enqueue(namespaced_name(source.meta())),
            Err(error) => {
                failed.watch_failed();
                warn!(kind = "FakeLogSource", %error, "watch failed; will retry");
            }
        });
    let touched = touched.map(move |source| {
        let source = source.into_kind_unchecked::<GuardedSource>(());
        for_children.queue.enqueue(namespaced_name_of(&source));
        source
    });
    let (outdated_sender, outdated) = mpsc::channel(QUEUE_CAPACITY);
    let rounds = rounds::run_rounds(
        Arc::clone(&context),
        sources.clone(),
        options.status_interval,
        outdated_sender,
    );
    let controller = Controller::for_stream(changes, sources)
        .with_config(
            controller::Config::default().debounce(DEBOUNCE).concurrency(options.concurrency),
        )
        .reconcile_on(touched)
        .reconcile_on(ReceiverStream::new(outdated))
        .graceful_shutdown_on(stop)
        .run(reconcile, after_error, context)
        .for_each(|result| async move {
            // Errors of reconciliations and of watches are logged where they occur; and
            // a child may exist for a moment longer than its source.
            if let Err(error @ ControllerError::RunnerError(_)) = result {
                error!(%error, "controller error");
            }
        });
    select! {
        () = controller => {}
        () = rounds => {}
    }
}

#[cfg(test)]
mod tests;
