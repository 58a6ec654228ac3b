//! Certificates of our own: every operator follows the Secret and shows what is in it, and the one
//! that acts sees to it that there is something good in it.

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
    resolver::Resolver,
    store,
    trust::Configuration,
    writer::{Writer, now, until},
};

/// The pause after an error; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The pause after a write: if somebody else has other ideas of what should be there, the two of us
/// don't keep the API server busy.
const BREATH: Duration = Duration::from_secs(1);

/// What is kept where.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where the Secret is.
    pub(crate) namespace: String,
    pub(crate) secret: String,
    /// The configurations of the webhooks.
    pub(crate) configurations: Vec<Configuration>,
    /// The names that the certificate is for.
    pub(crate) names: Vec<String>,
    pub(crate) certificate_validity: Duration,
    pub(crate) authority_validity: Duration,
}

/// Keeps the certificates and shows them, for ever. `leads` says whether this operator is the one
/// that acts.
pub(crate) async fn keep(
    client: Client,
    settings: Settings,
    leads: watch::Receiver<bool>,
    resolver: Arc<Resolver>,
    metrics: Arc<Metrics>,
) {
    let changed = Notify::new();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &settings.namespace);
    let follow = follow(secrets.clone(), &settings.secret, &resolver, &changed, &metrics);
    let lead = lead(client, secrets, settings.clone(), leads, &changed, &metrics);
    // On the heap, for they are large.
    future::join(Box::pin(follow), Box::pin(lead)).await;
}

/// Shows what is in the Secret, and tells of each change of it.
async fn follow(
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
                show(&secret, resolver);
                changed.notify_one();
            }
            // What was shown is shown still.
            Event::Delete(_) | Event::InitDone => changed.notify_one(),
        }
    }
}

fn show(secret: &Secret, resolver: &Resolver) {
    match store::loaded(secret) {
        Ok(loaded) => resolver.show(loaded),
        Err(error) if store::has_certificate(secret) => {
            warn!(%error, "the Secret's certificate can't be used; the one before stays in use");
        }
        Err(_) => debug!("there is no certificate in the Secret yet"),
    }
}

/// Writes as long as this operator is the one that acts.
async fn lead(
    client: Client,
    secrets: Api<Secret>,
    settings: Settings,
    mut leads: watch::Receiver<bool>,
    changed: &Notify,
    metrics: &Arc<Metrics>,
) {
    loop {
        if leads.wait_for(|leads| *leads).await.is_err() {
            // Nobody is left to say that it ever will.
            return;
        }
        let no_longer = async {
            if leads.wait_for(|leads| !*leads).await.is_err() {
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
        let writer = Writer::new(secrets.clone(), &client, settings.clone(), Arc::clone(metrics));
        select! {
            () = write(writer, events, changed) => return,
            () = no_longer => {}
        }
    }
}

/// Looks at each change and whenever it is time, and after an error after a growing pause.
async fn write(
    mut writer: Writer,
    events: impl Stream<Item = Event<DynamicObject>>,
    changed: &Notify,
) {
    let mut events = pin!(events);
    let mut next = Instant::now();
    let mut pause = PAUSE;
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
        match writer.look(now).await {
            Ok(looked) => {
                pause = PAUSE;
                next = Instant::now() + until(looked.again, now());
                if looked.wrote {
                    sleep(BREATH).await;
                }
            }
            Err(error) => {
                if error.is_conflict() {
                    debug!(%error, "somebody was quicker; looking again");
                } else {
                    warn!(%error, "the webhook's certificates can't be kept; trying again");
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                next = Instant::now();
            }
        }
    }
}

/// The changes of one object. Errors are logged; the watch goes on after a growing pause.
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
                warn!(kind, %error, "a watch failed; it goes on after a pause");
                None
            }
        })
    })
}
