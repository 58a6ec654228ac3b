//! `visor-operator run`: starts everything in order, and shuts it down in order.
//!
//! It serves its health endpoints first; waits until the API server serves `FakeLogSource`s; waits
//! until it is the leader; and then runs the controllers until it receives a signal or loses the
//! Lease. Losing the Lease is an error that ends the process at once, because another operator is
//! the leader by then.
//!
//! The webhooks serve all the time, leader or not.

mod controllers;
mod webhooks;

use std::{env, fs, future::Future, pin::pin, sync::Arc, time::Duration};

use ::http::{HeaderValue, header::USER_AGENT};
use anyhow::{Context as _, bail};
use futures::future;
use kube::{Client, Config, client::ClientBuilder};
use tokio::{
    select,
    sync::{oneshot, watch},
    time::{sleep, timeout},
};
use tracing::{info, warn};
use visor_http::{Limits, Page, Plain, Readiness, bind, pages};
use visor_runtime::shutdown::ShutdownSignals;

use crate::{
    api_client::{self, ApiCapabilities, RequestLayer, Throttle},
    cli::Run,
    controller::{
        build::{Settings, children::ChildKind},
        publish::EventPublisher,
    },
    injector::Injector,
    leader::{Candidate, Fence, Leadership},
    metrics::Metrics,
    policy::Policy,
};

use webhooks::Webhooks;

const LOST_LEADERSHIP: &str = "lost leadership; exiting";
/// How long reconciliations in progress may take after a signal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long API servers may take to learn that a webhook is no longer ready.
const ENDPOINT_LAG: Duration = Duration::from_secs(5);
/// How long the last reviews may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval of checks whether the API server is ready.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Runs until a signal.
///
/// # Errors
///
/// If it can't start, or has lost the Lease.
pub(crate) async fn run(options: Run) -> anyhow::Result<()> {
    let mut end = ShutdownSignals::listen().context("cannot install signal handlers")?;
    let metrics = Arc::new(Metrics::new().context("cannot set up the metrics")?);
    let readiness = Arc::new(Readiness::default());
    let listener = bind(options.listen, &Limits::PAGES).with_context(|| {
        format!("cannot listen on {}; choose another address with --listen", options.listen)
    })?;
    let address = listener.local_addr()?;
    let rendered = Arc::clone(&metrics);
    let shown_readiness = Arc::clone(&readiness);
    let ready = move || {
        if shown_readiness.get() { Ok(()) } else { Err("not ready\n".to_owned()) }
    };
    let shown = pages(vec![Page::metrics(move || rendered.render())], ready);
    tokio::spawn(visor_http::serve(listener, Limits::PAGES, Plain, shown));
    let identity = identity(&options);
    info!(version = env!("CARGO_PKG_VERSION"), identity, %address, "visor-operator");

    let config = config(&identity).await?;
    let throttle = Some(Arc::new(Throttle::default()));
    let throttled = RequestLayer { metrics: Arc::clone(&metrics), throttle, fence: None };
    let client = client(&config, &throttled)?;
    let Some(api_capabilities) = or_shutdown(&mut end, server_ready(&client, &options)).await
    else {
        return Ok(());
    };
    let namespace = own_namespace(&options);
    let settings = Settings {
        image: options.image.clone(),
        image_pull_policy: options.image_pull_policy.as_str().to_owned(),
        user: options.generator_user.0,
        native_sidecars: api_capabilities.native_sidecars,
        pod_monitors: options.pod_monitors && api_capabilities.pod_monitors,
        policy: Policy { allowed: options.allowed.clone(), forbidden: options.forbidden.clone() },
        operator: format!("{namespace}/{}", options.lease_name),
    };
    let (is_leader, leader_watch) = watch::channel(false);
    let webhooks = if options.inject || options.validate {
        let lookup_requests = RequestLayer { throttle: Some(Arc::default()), ..throttled.clone() };
        let shared = webhooks::Shared {
            client: client.clone(),
            metrics: Arc::clone(&metrics),
            settings: settings.clone(),
            api_capabilities,
            asking: self::client(&config, &lookup_requests)?,
            namespace: namespace.clone(),
            is_leader: leader_watch,
        };
        Some(webhooks::start(&options, shared, Arc::clone(&readiness))?)
    } else {
        readiness.set(true);
        None
    };
    let fence = (!options.no_leader_election).then(Fence::default);
    let leadership = if let Some(fence) = &fence {
        let name = &options.lease_name;
        let unthrottled = RequestLayer { throttle: None, ..throttled.clone() };
        let candidate = Candidate::new(
            self::client(&config, &unthrottled)?,
            &namespace,
            name,
            &identity,
            options.lease_duration,
            fence.clone(),
        );
        let Some(leadership) = or_shutdown(&mut end, candidate.acquire()).await else {
            drain(webhooks.as_ref(), &readiness).await;
            return Ok(());
        };
        Some(leadership)
    } else {
        None
    };
    metrics.set_leader(true);
    is_leader.send_replace(true);
    let client = self::client(&config, &RequestLayer { fence, ..throttled })?;
    let event_publisher = EventPublisher::new(client.clone(), &identity);
    let work = ControllerInputs {
        client,
        metrics,
        settings,
        event_publisher,
        injector: webhooks.as_ref().and_then(|webhooks| webhooks.injector.clone()),
        options,
    };
    let done = run_as_leader(work, leadership, &mut end).await;
    is_leader.send_replace(false);
    if done.is_ok() {
        drain(webhooks.as_ref(), &readiness).await;
    }
    done
}

/// API servers call the webhooks of an operator for some moments after it is no longer ready, until
/// all have learned of that; so long they are served. Then the reviews that are being answered are
/// finished.
async fn drain(webhooks: Option<&Webhooks>, readiness: &Readiness) {
    readiness.set(false);
    if let Some(webhooks) = webhooks {
        sleep(ENDPOINT_LAG).await;
        if timeout(DRAIN_TIMEOUT, webhooks.server.drain()).await.is_err() {
            warn!("some connections to the webhooks did not end in time");
        }
    }
}

/// Everything that the controllers need.
#[derive(Clone)]
struct ControllerInputs {
    client: Client,
    metrics: Arc<Metrics>,
    settings: Settings,
    event_publisher: EventPublisher,
    injector: Option<Arc<Injector>>,
    options: Run,
}

/// Runs the controllers until a signal, or until the Lease is lost.
async fn run_as_leader(
    work: ControllerInputs,
    mut leadership: Option<Leadership>,
    end: &mut ShutdownSignals,
) -> anyhow::Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let mut controllers = pin!(controllers::run_controllers(work, async {
        // A dropped sender means the same.
        stopped.await.ok();
    }));
    {
        // The Lease is renewed until the last reconciliation has finished.
        let mut lost = pin!(async {
            match &mut leadership {
                Some(leadership) => leadership.lost().await,
                None => std::future::pending().await,
            }
        });
        select! {
            () = &mut controllers => bail!("all watches have ended"),
            why = &mut lost => bail!("{LOST_LEADERSHIP}: {why}"),
            _ = end.received() => info!("received a signal; finishing reconciliations in progress"),
        }
        let _ = stop.send(());
        select! {
            done = timeout(SHUTDOWN_TIMEOUT, &mut controllers) => if done.is_err() {
                // They may still be in progress, so the Lease is left to expire.
                warn!("reconciliations did not finish in time; the next leader will finish them");
                return Ok(());
            },
            why = &mut lost => bail!("{LOST_LEADERSHIP}: {why}"),
            _ = end.received() => bail!("received a second signal; exiting"),
        }
    }
    if let Some(leadership) = leadership {
        leadership.release().await;
    }
    Ok(())
}

/// The address of the API server, found as by kubectl or in a pod, and the user agent.
async fn config(identity: &str) -> anyhow::Result<Config> {
    let mut config =
        Config::infer().await.context("found neither a kubeconfig nor a service account")?;
    let program = concat!("visor-operator/", env!("CARGO_PKG_VERSION"));
    let who = HeaderValue::from_str(&format!("{program} ({identity})"));
    config.headers.push((USER_AGENT, who.unwrap_or(HeaderValue::from_static(program))));
    // The client's own retries ignore the Lease; the callers retry.
    config.default_retry = false;
    Ok(config)
}

fn client(config: &Config, requests: &RequestLayer) -> anyhow::Result<Client> {
    let builder = ClientBuilder::try_from(config.clone())
        .context("cannot create the client of the API server")?;
    Ok(builder.with_layer(requests).build())
}

/// Waits until the API server serves `FakeLogSource`s, and returns what else it supports. Of
/// several namespaces one is enough: the watches of others wait by themselves.
async fn server_ready(client: &Client, options: &Run) -> ApiCapabilities {
    let scopes = scopes(options);
    let mut logged = String::new();
    loop {
        let ready = async {
            let api_capabilities =
                ApiCapabilities::discover(client, &ChildKind::PodMonitor.resource()).await?;
            let served = scopes.iter().map(|scope| {
                let asked = api_client::serves_sources(client, scope.as_deref());
                Box::pin(asked)
            });
            future::select_ok(served).await?;
            Ok::<_, kube::Error>(api_capabilities)
        };
        match ready.await {
            Ok(api_capabilities) => return api_capabilities,
            Err(error) => {
                // Logged once for each reason.
                let reason = error.to_string();
                if reason != logged {
                    warn!(
                        error = reason,
                        "cannot list FakeLogSources; will retry (is the custom \
                         resource definition installed, and may this service account list them?)"
                    );
                    logged = reason;
                }
                sleep(CHECK_INTERVAL).await;
            }
        }
    }
}

/// The namespaces to watch, one by one; `None` is all of them.
fn scopes(options: &Run) -> Vec<Option<String>> {
    let mut named = options.namespaces.clone();
    named.sort();
    named.dedup();
    if named.is_empty() { vec![None] } else { named.into_iter().map(Some).collect() }
}

fn identity(options: &Run) -> String {
    let random = || format!("visor-operator-{:08x}", rand::random::<u32>());
    options.identity.clone().or_else(|| env::var("POD_NAME").ok()).unwrap_or_else(random)
}

/// The namespace of the Lease.
fn own_namespace(options: &Run) -> String {
    const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    options
        .lease_namespace
        .clone()
        .or_else(|| env::var("POD_NAMESPACE").ok())
        .or_else(|| fs::read_to_string(NAMESPACE_FILE).ok())
        .unwrap_or_else(|| "default".to_owned())
}

/// The result of a future, unless a signal arrives first.
async fn or_shutdown<T>(
    end: &mut ShutdownSignals,
    something: impl Future<Output = T>,
) -> Option<T> {
    select! {
        done = something => Some(done),
        _ = end.received() => None,
    }
}
