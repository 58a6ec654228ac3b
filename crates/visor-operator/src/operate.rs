//! `visor-operator run`: starts everything, in order, and ends it, in order.
//!
//! It listens first, so that a kubelet learns how it is; waits for the API server to serve
//! `FakeLogSource`s; stands by until it leads; and then acts until it is told to end, or has lost
//! the Lease. To lose it is an error that ends the process at once, for another one acts by then.
//!
//! The webhooks answer all the while, standing by or acting.

mod acting;
mod webhooks;

use std::{
    env, fs,
    future::Future,
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderValue, header::USER_AGENT};
use anyhow::{Context as _, bail};
use futures::future;
use kube::{Client, Config, client::ClientBuilder};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag::register_conditional_shutdown,
};
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
    time::{sleep, timeout},
};
use tracing::{info, warn};
use visor_http::{Limits, Plain, Readiness, bind, pages};

use crate::{
    build::Settings,
    cli::Run,
    cluster::{self, Abilities},
    events::Announcer,
    inject::Injector,
    leader::{Candidate, Fence, Leadership},
    metrics::Metrics,
    policy::Policy,
    requests::{Manners, Requests},
};

const LOST: &str = "the Lease is lost; ending at once, for another operator acts";
/// How long what is under way may take when the operator is told to end.
const LAST_WORK: Duration = Duration::from_secs(15);
/// How long the webhook answers after the operator has been told to end.
const FAREWELL: Duration = Duration::from_secs(5);
/// The pause between two looks whether the API server is ready for us.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs until it is told to end.
///
/// # Errors
///
/// When it can't begin, or has lost the Lease.
pub(crate) async fn run(options: Run) -> anyhow::Result<()> {
    let mut end = End::listen()?;
    let metrics = Arc::new(Metrics::new().context("the metrics")?);
    let readiness = Arc::new(Readiness::default());
    let listener = bind(options.listen, &Limits::PAGES)
        .with_context(|| format!("cannot listen on {}; choose another --listen", options.listen))?;
    let address = listener.local_addr()?;
    let rendered = Arc::clone(&metrics);
    let shown_readiness = Arc::clone(&readiness);
    let ready = move || {
        if shown_readiness.get() {
            Ok(())
        } else {
            Err("not ready to operate sources\n".to_owned())
        }
    };
    let shown = pages(move || rendered.render(), ready);
    tokio::spawn(visor_http::serve(listener, Limits::PAGES, Plain, shown));
    let identity = identity(&options);
    info!(version = env!("CARGO_PKG_VERSION"), identity, %address, "visor-operator");

    let config = config(&identity).await?;
    let manners = Some(Arc::new(Manners::default()));
    let polite = Requests { metrics: Arc::clone(&metrics), manners, fence: None };
    let client = client(&config, &polite)?;
    let Some(abilities) = unless(&mut end, server_ready(&client, &options)).await else {
        return Ok(());
    };
    let namespace = own_namespace(&options);
    let settings = Settings {
        image: options.image.clone(),
        image_pull_policy: options.image_pull_policy.as_str().to_owned(),
        user: options.generator_user.0,
        native_sidecars: abilities.native_sidecars,
        pod_monitors: options.pod_monitors && abilities.pod_monitors,
        policy: Policy { allowed: options.allowed.clone(), forbidden: options.forbidden.clone() },
        operator: format!("{namespace}/{}", options.lease_name),
    };
    let (leads, led) = watch::channel(false);
    let injector = if options.inject || options.validate {
        let apart = Requests { manners: Some(Arc::default()), ..polite.clone() };
        let shared = webhooks::Shared {
            client: client.clone(),
            metrics: Arc::clone(&metrics),
            settings: settings.clone(),
            abilities,
            asking: self::client(&config, &apart)?,
            namespace: namespace.clone(),
            leads: led,
        };
        webhooks::start(&options, shared, Arc::clone(&readiness))?
    } else {
        readiness.set(true);
        None
    };
    let fence = (!options.no_leader_election).then(Fence::default);
    let leadership = if let Some(fence) = &fence {
        let name = &options.lease_name;
        let prompt = Requests { manners: None, ..polite.clone() };
        let candidate = Candidate::new(
            self::client(&config, &prompt)?,
            &namespace,
            name,
            &identity,
            options.lease_duration,
            fence.clone(),
        );
        match unless(&mut end, candidate.lead()).await {
            Some(leadership) => Some(leadership),
            None => return linger(&options, &readiness).await,
        }
    } else {
        None
    };
    metrics.leads(true);
    leads.send_replace(true);
    let client = self::client(&config, &Requests { fence, ..polite })?;
    let announcer = Announcer::new(client.clone(), &identity);
    let work = Work { client, metrics, settings, announcer, injector, options: options.clone() };
    let done = lead(work, leadership, &mut end).await;
    leads.send_replace(false);
    if done.is_ok() { linger(&options, &readiness).await } else { done }
}

/// The API server asks an operator that has ended for some moments more, until all have heard of its
/// end; until then the webhook answers.
async fn linger(options: &Run, readiness: &Readiness) -> anyhow::Result<()> {
    readiness.set(false);
    if options.inject {
        sleep(FAREWELL).await;
    }
    Ok(())
}

/// Everything that acting takes.
#[derive(Clone)]
struct Work {
    client: Client,
    metrics: Arc<Metrics>,
    settings: Settings,
    announcer: Announcer,
    injector: Option<Arc<Injector>>,
    options: Run,
}

/// Acts until it is told to end, or the Lease is lost.
async fn lead(work: Work, mut leadership: Option<Leadership>, end: &mut End) -> anyhow::Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let mut acting = pin!(acting::act(work, async {
        // That nobody can say it any more means the same.
        stopped.await.ok();
    }));
    {
        // The Lease is renewed until the last work is done.
        let mut lost = pin!(async {
            match &mut leadership {
                Some(leadership) => leadership.lost().await,
                None => std::future::pending().await,
            }
        });
        select! {
            () = &mut acting => bail!("the watches have ended"),
            why = &mut lost => bail!("{LOST}: {why}"),
            () = end.come() => info!("told to end; finishing what is under way"),
        }
        let _ = stop.send(());
        select! {
            done = timeout(LAST_WORK, &mut acting) => if done.is_err() {
                // It may still be under way, so the Lease is left to run out.
                warn!("some of it was not finished in time; another operator will");
                return Ok(());
            },
            why = &mut lost => bail!("{LOST}: {why}"),
            () = end.come() => bail!("told to end twice; ending at once"),
        }
    }
    if let Some(leadership) = leadership {
        leadership.give_back().await;
    }
    Ok(())
}

/// Where the API server is, found as kubectl or a pod does, and as whom it is asked.
async fn config(identity: &str) -> anyhow::Result<Config> {
    let mut config =
        Config::infer().await.context("there is neither a kubeconfig nor a pod's account")?;
    let program = concat!("visor-operator/", env!("CARGO_PKG_VERSION"));
    let who = HeaderValue::from_str(&format!("{program} ({identity})"));
    config.headers.push((USER_AGENT, who.unwrap_or(HeaderValue::from_static(program))));
    // It would begin after 5 ms, and go on whatever becomes of the Lease. Whoever asks tries again.
    config.default_retry = false;
    Ok(config)
}

fn client(config: &Config, requests: &Requests) -> anyhow::Result<Client> {
    let builder =
        ClientBuilder::try_from(config.clone()).context("connecting to the API server")?;
    Ok(builder.with_layer(requests).build())
}

/// Waits until the API server serves `FakeLogSource`s, and says what else it can do. Of several
/// namespaces one is enough: the watches of others wait for themselves.
async fn server_ready(client: &Client, options: &Run) -> Abilities {
    let scopes = scopes(options);
    let mut told = String::new();
    loop {
        let ready = async {
            let abilities = Abilities::ask(client).await?;
            let served = scopes.iter().map(|scope| {
                let asked = cluster::serves_sources(client, scope.as_deref());
                Box::pin(asked)
            });
            future::select_ok(served).await?;
            Ok::<_, kube::Error>(abilities)
        };
        match ready.await {
            Ok(abilities) => return abilities,
            Err(error) => {
                // Once for each reason, not every two seconds.
                let reason = error.to_string();
                if reason != told {
                    warn!(
                        error = reason,
                        "the API server doesn't serve FakeLogSources to us yet; is the custom \
                         resource definition there, and may this account list them?"
                    );
                    told = reason;
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// The namespaces to operate, one by one; `None` is all of them at once.
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

/// Where the Lease is.
fn own_namespace(options: &Run) -> String {
    const OF_THE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    options
        .lease_namespace
        .clone()
        .or_else(|| env::var("POD_NAMESPACE").ok())
        .or_else(|| fs::read_to_string(OF_THE_ACCOUNT).ok())
        .unwrap_or_else(|| "default".to_owned())
}

/// Whether a signal ends the program at once: until something waits for it.
static ENDS_AT_ONCE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// Has signals end the program, before it has begun with anything. As process 1 of a container it has
/// no default action for them: without a handler they would be lost.
///
/// # Errors
///
/// If the system has no handler to spare.
pub(crate) fn end_at_signals() -> anyhow::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        register_conditional_shutdown(signal, 128 + signal, Arc::clone(&ENDS_AT_ONCE))
            .context("catching signals")?;
    }
    Ok(())
}

/// The signals that tell the operator to end.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        let end = Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        };
        ENDS_AT_ONCE.store(false, Ordering::Release);
        Ok(end)
    }

    async fn come(&mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What comes of something, unless the operator is told to end before.
async fn unless<T>(end: &mut End, something: impl Future<Output = T>) -> Option<T> {
    select! {
        done = something => Some(done),
        () = end.come() => None,
    }
}
