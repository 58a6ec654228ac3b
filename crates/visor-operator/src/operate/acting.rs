//! What the operator that leads does: it watches, looks at every source once and again at each
//! change, and asks the pods round by round. Where namespaces are named, it does so in each of them on
//! its own, so that a Role in each is enough.

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

use super::{Work, scopes};
use crate::{
    apply::Applier,
    cache::Cache,
    children::ChildKind,
    cluster, gather, inject,
    other_operators::OtherOperators,
    pace::Pace,
    queue::Queue,
    reconcile::{self, Context, Failures, Guarded},
    source::{place, place_of},
    tallies::Tallies,
};

/// Changes of a source's children come in swarms. A look waits until this long after the last one.
const SWARM: Duration = Duration::from_millis(100);
/// Sources whose pods have written lines, waiting to be looked at.
const WAITING: usize = 64;

/// Acts until `stop` comes, or a watch ends, which none should.
pub(super) async fn act(work: Work, stop: impl Future<Output = ()> + Send + Sync + 'static) {
    let stop = stop.shared();
    let scopes = scopes(&work.options).into_iter();
    let telling = async {
        if let Some(injector) = &work.injector {
            let Work { client, announcer, metrics, .. } = work.clone();
            Box::pin(inject::tell(client, Arc::clone(injector), announcer, metrics)).await;
        }
        pending::<()>().await;
    };
    let mut acting: FuturesUnordered<_> =
        scopes.map(|scope| Box::pin(act_in(scope, work.clone(), stop.clone()))).collect();
    let acting = async { while acting.next().await.is_some() && stop.peek().is_some() {} };
    select! {
        () = acting => {}
        () = telling => {}
    }
}

/// Looks at every source of a namespace once, and again at each change, until `stop` comes.
async fn act_in(
    scope: Option<String>,
    work: Work,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let Work { client, metrics, settings, announcer, options, .. } = work;
    let namespace = scope.as_deref();
    let kinds = ChildKind::EVERYWHERE.into_iter();
    let kinds = kinds.chain(settings.pod_monitors.then_some(ChildKind::PodMonitor));
    let tallies = Arc::new(Tallies::default());
    let (cache, touched) = Cache::watch(&client, namespace, kinds, &metrics, Arc::clone(&tallies));
    let applier =
        Applier::new(client.clone(), cache.clone(), announcer.clone(), Arc::clone(&metrics));
    let context = Arc::new(Context {
        client: client.clone(),
        cache: cache.clone(),
        applier,
        announcer,
        tallies,
        pace: Pace::new(options.status_interval),
        queue: Queue::new(Arc::clone(&metrics)),
        metrics: Arc::clone(&metrics),
        settings,
        failures: Failures::default(),
        other_operators: OtherOperators::new(client.clone()),
    });

    // The caches are filled before the first look, or everything would seem to be missing. What is
    // touched meanwhile needs no look of its own, for every source is looked at once anyway.
    let mut touched = touched;
    let early = async { while touched.next().await.is_some() {} };
    select! {
        () = cache.synced() => info!(namespace, "the caches are filled"),
        () = early => return,
    }

    let api: Api<Guarded> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (sources, writer) = reflector::store();
    let failed = Arc::clone(&metrics);
    let (of_sources, of_children) = (Arc::clone(&context), Arc::clone(&context));
    let changes = watcher(api, cluster::many())
        .modify(|source: &mut Guarded| source.meta_mut().managed_fields = None)
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        // A status is our own doing.
        .predicate_filter(
            predicates::generation.fallback(predicates::resource_version),
            PredicateConfig::default(),
        )
        .inspect(move |change| match change {
            Ok(source) => of_sources.queue.enter(place(source.meta())),
            Err(error) => {
                failed.watch_failed();
                warn!(kind = "FakeLogSource", %error, "a watch failed; it goes on after a pause");
            }
        });
    let touched = touched.map(move |source| {
        let source = source.into_kind_unchecked::<Guarded>(());
        of_children.queue.enter(place_of(&source));
        source
    });
    let (counted, behind) = mpsc::channel(WAITING);
    let rounds =
        gather::rounds(Arc::clone(&context), sources.clone(), options.status_interval, counted);
    let controller = Controller::for_stream(changes, sources)
        .with_config(controller::Config::default().debounce(SWARM).concurrency(options.concurrency))
        .reconcile_on(touched)
        .reconcile_on(ReceiverStream::new(behind))
        .graceful_shutdown_on(stop)
        .run(reconcile::reconcile, reconcile::after_error, context)
        .for_each(|result| async move {
            // An error of a look is told by `after_error`, one of the watch where it comes from; and
            // a child may outlive its source by a moment.
            if let Err(error @ ControllerError::RunnerError(_)) = result {
                error!(%error, "the controller");
            }
        });
    select! {
        () = controller => {}
        () = rounds => {}
    }
}
