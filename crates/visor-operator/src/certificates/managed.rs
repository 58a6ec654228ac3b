//! Certificates of the operator's own: every operator follows the Secret and presents its
//! certificate, and the leader makes sure that it holds a valid one.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, future, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource,
    core::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    select,
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, warn};

use crate::metrics::Metrics;

use super::{
    reconciler::{CertificateReconciler, delay_until, now},
    resolver::Resolver,
    store,
    trust::Configuration,
};

/// The backoff after an error, doubled up to the maximum.
const MIN_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_mins(1);
/// The minimum time between two writes. If something else keeps changing the same objects, the two
/// don't overload the API server.
const MIN_WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Names and lifetimes.
#[derive(Debug, Clone)]
pub(crate) struct CertificateSettings {
    /// The namespace of the Secret.
    pub(crate) namespace: String,
    pub(crate) secret: String,
    /// The configurations of the webhooks.
    pub(crate) configurations: Vec<Configuration>,
    /// The DNS names of the certificate.
    pub(crate) names: Vec<String>,
    pub(crate) certificate_validity: Duration,
    pub(crate) authority_validity: Duration,
}

/// Keeps the certificates up to date and presents them. Never returns. `is_leader` says whether this
/// operator is the leader.
pub(crate) async fn manage(
    client: Client,
    settings: CertificateSettings,
    is_leader: watch::Receiver<bool>,
    resolver: Arc<Resolver>,
    metrics: Arc<Metrics>,
) {
    let changed = Notify::new();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &settings.namespace);
    let follow_secret =
        follow_secret(secrets.clone(), &settings.secret, &resolver, &changed, &metrics);
    let reconcile_as_leader =
        reconcile_as_leader(client, secrets, settings.clone(), is_leader, &changed, &metrics);
    // Boxed, because these futures are large.
    future::join(Box::pin(follow_secret), Box::pin(reconcile_as_leader)).await;
}

/// Presents the certificate in the Secret, and reports each change of it.
async fn follow_secret(
    secrets: Api<Secret>,
    name: &str,
    resolver: &Resolver,
    changed: &Notify,
    metrics: &Metrics,
) {
    let mut events = pin!(events_of(secrets, "Secret", name, metrics));
    while let Some(event) = events.next().await {
        match event {
            Event::Init => {}
            Event::Apply(secret) | Event::InitApply(secret) => {
                present(&secret, resolver);
                changed.notify_one();
            }
            // The last certificate stays in use.
            Event::Delete(_) | Event::InitDone => changed.notify_one(),
        }
    }
}

fn present(secret: &Secret, resolver: &Resolver) {
    match store::loaded(secret) {
        Ok(loaded) => resolver.set(loaded),
        Err(error) if store::has_certificate(secret) => {
            warn!(%error, "cannot use the certificate in the Secret; keeping the previous one");
        }
        Err(_) => debug!("the Secret has no certificate yet"),
    }
}

/// Reconciles as long as this operator is the leader.
async fn reconcile_as_leader(
    client: Client,
    secrets: Api<Secret>,
    settings: CertificateSettings,
    mut is_leader: watch::Receiver<bool>,
    changed: &Notify,
    metrics: &Arc<Metrics>,
) {
    loop {
        if is_leader.wait_for(|is_leader| *is_leader).await.is_err() {
            // The operator is shutting down.
            return;
        }
        let lost_leadership = async {
            if is_leader.wait_for(|is_leader| !*is_leader).await.is_err() {
                future::pending::<()>().await;
            }
        };
        let events = settings.configurations.iter().map(|configuration| {
            let resource = configuration.resource();
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let kind = configuration.kind();
            events_of(api, kind, configuration.name(), metrics).boxed()
        });
        let events = stream::select_all(events);
        let reconciler = CertificateReconciler::new(
            secrets.clone(),
            &client,
            settings.clone(),
            Arc::clone(metrics),
        );
        select! {
            () = reconcile_on_changes(reconciler, events, changed) => return,
            () = lost_leadership => {}
        }
    }
}

/// Reconciles at each change and when an action is due, and with backoff after an error.
async fn reconcile_on_changes(
    mut reconciler: CertificateReconciler,
    events: impl Stream<Item = Event<DynamicObject>>,
    changed: &Notify,
) {
    let mut events = pin!(events);
    let mut next = Instant::now();
    let mut backoff = MIN_BACKOFF;
    loop {
        select! {
            () = changed.notified() => {}
            event = events.next() => match event {
                Some(Event::Init | Event::InitApply(_)) => continue,
                Some(Event::Apply(_) | Event::Delete(_) | Event::InitDone) => {}
                None => return,
            },
            () = sleep_until(next) => {}
        }
        match reconciler.reconcile(now).await {
            Ok(outcome) => {
                backoff = MIN_BACKOFF;
                next = Instant::now() + delay_until(outcome.next_check, now());
                if outcome.has_finished {
                    sleep(MIN_WRITE_INTERVAL).await;
                }
            }
            Err(error) => {
                if error.is_conflict() {
                    debug!(%error, "the object has changed meanwhile; retrying");
                } else {
                    warn!(%error, "cannot reconcile the webhook's certificates; will retry");
                }
                sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
                next = Instant::now();
            }
        }
    }
}

/// The changes of one object. Errors are logged, and the watch is restarted with backoff.
fn events_of<'a, K>(
    api: Api<K>,
    kind: &'static str,
    name: &str,
    metrics: &'a Metrics,
) -> impl Stream<Item = Event<K>> + use<'a, K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    watcher(api, only).default_backoff().filter_map(move |event| {
        future::ready(match event {
            Ok(event) => Some(event),
            Err(error) => {
                metrics.watch_failed();
                warn!(kind, %error, "watch failed; will retry");
                None
            }
        })
    })
}
