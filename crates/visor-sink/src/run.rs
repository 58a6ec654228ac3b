//! A run: listeners, and what happens every second, until the verdict.

use std::{convert::Infallible, io, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tracing::{info, warn};
use visor_http::{Handshake, Limits, ListenAddress, Page, bind, pages};
use visor_proof::{Delivery, delivery::Contents};
use visor_runtime::{console, shutdown::ShutdownSignals};

use crate::{
    audit::Audit,
    cli::Options,
    emitted::Place,
    fault::Faults,
    grpc::Calls,
    metrics::Metrics,
    page::{self, Shown},
    security::{Credentials, Security, Stream},
    server::Server,
    sockets::Sockets,
    state::StateFile,
    table::Table,
};
use visor_protocols::framing::{Forward, Framing, Lines, Syslog};

/// How often it is asked what was emitted.
const TICK: Duration = Duration::from_secs(1);

/// The limits of the port for requests.
const LIMITS: Limits = Limits {
    connections: 1024,
    head: Duration::from_secs(10),
    body: Duration::from_mins(1),
    work: Duration::from_mins(1),
    answer: Duration::from_secs(30),
    idle: Duration::from_mins(5),
    buffer: 64 << 10,
    socket_buffer: 256 << 10,
};

const CANNOT_WRITE: &str = "cannot write the state (--state)";

/// The bytes of datagrams that wait.
const DATAGRAMS_BUFFER: usize = 4 << 20;

/// Runs the sink, and prints the verdict at its end.
///
/// # Errors
///
/// If it can't listen, or can't print the verdict.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let verdict = runtime.block_on(watch(options))?;
    // Connections that are still open end with the program.
    runtime.shutdown_background();
    let text = verdict.show(options.output, &options.allow, "visor sink");
    console::print(&text).context("cannot write to standard output")?;
    Ok(verdict.outcome(&options.allow).exit_status().into())
}

async fn watch(options: &Options) -> anyhow::Result<visor_proof::Verdict> {
    let mut delivery = Delivery::default();
    for field in &options.raw {
        delivery.set_contents(field, Contents::Lines);
    }
    for field in &options.unchecked {
        delivery.set_contents(field, Contents::Unchecked);
    }
    let state = options.state.as_deref().map(StateFile::open).transpose()?;
    let places = options.emitted.iter().map(ToString::to_string);
    let audit = Audit::new(delivery, options.settle.0, places, state)?;
    let metrics = Arc::new(Metrics::new()?);
    let mut signals = ShutdownSignals::listen()?;
    let faults = Arc::new(Faults::new(&options.fault));
    serve(options, &audit, &metrics, &faults)?;

    let mut table = Table::on_terminal();
    let end = options.duration.map(|duration| Instant::now() + duration.0);
    let mut asking: Vec<Asking<'_>> = options.emitted.iter().map(Asking::new).collect();
    let mut ticker = interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let is_complete = loop {
        tokio::select! {
            _ = signals.received() => break false,
            () = at(end) => break false,
            error = audit.failure() => return Err(error).context(CANNOT_WRITE),
            _ = ticker.tick() => {}
        }
        for (place, asking) in asking.iter_mut().enumerate() {
            asking.ask(place, &audit).await;
        }
        let verdict = audit.tick();
        if let Some(file) = audit.keep() {
            // Else what was answered a moment before the machine stops would be lost with it.
            spawn_blocking(move || file.sync_data()).await?.context(CANNOT_WRITE)?;
        }
        if let Some(table) = &mut table {
            table.show(&verdict, &metrics.protocols(&faults.counts()));
        }
        if options.until_complete && audit.is_complete() {
            break true;
        }
    };
    drop(table);
    audit.finish(is_complete).context(CANNOT_WRITE)?;
    Ok(audit.verdict())
}

/// Waits until then; without a time, forever.
async fn at(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// A place that is asked, and whether it answered last time.
struct Asking<'a> {
    place: &'a Place,
    answers: Option<bool>,
}

impl<'a> Asking<'a> {
    const fn new(place: &'a Place) -> Self {
        Self { place, answers: None }
    }

    async fn ask(&mut self, index: usize, audit: &Audit) {
        match self.place.read().await {
            Ok(Some(report)) => {
                audit.emitted(index, report);
                self.answers = Some(true);
            }
            Ok(None) => {
                if self.answers.is_none() {
                    info!("waiting for {}", self.place);
                }
                self.answers = Some(false);
            }
            Err(error) => {
                // Once: a generator that has ended doesn't answer anymore.
                if self.answers != Some(false) {
                    warn!("{error}");
                }
                self.answers = Some(false);
            }
        }
    }
}

/// Makes the framing of a connection.
type NewFraming = Box<dyn Fn() -> Box<dyn Framing> + Send + Sync>;

/// Listens everywhere. What is served ends with the process.
fn serve(
    options: &Options,
    audit: &Arc<Audit>,
    metrics: &Arc<Metrics>,
    faults: &Arc<Faults>,
) -> anyhow::Result<()> {
    let listener = listen(options.http, "http")?;
    let security = |protocol| Security::new(options.tls.as_deref(), protocol);
    let credentials = Credentials::read(options.credentials.as_deref())?;
    let (known, keys) = (credentials.clone(), credentials.tokens());
    let server = Server::new(Arc::clone(audit), Arc::clone(metrics), Arc::clone(faults), known);
    let calls = Calls::new(Arc::clone(audit), Arc::clone(metrics), Arc::clone(faults), credentials);
    let sockets = Sockets::new(Arc::clone(audit), Arc::clone(metrics), Arc::clone(faults));
    let (counters, counted) = (Arc::clone(metrics), Arc::clone(faults));
    let (audited, verdicts) = (Arc::clone(audit), Arc::clone(audit));
    let (audit, metrics, faults) = (Arc::clone(audit), Arc::clone(metrics), Arc::clone(faults));
    let allowed = options.allow.clone();
    let page = move |render: fn(&Shown<'_>) -> String| {
        let (verdict, faults) = (audit.verdict(), faults.counts());
        let shown = Shown {
            outcome: verdict.outcome(&allowed),
            verdict: &verdict,
            history: &audit.history(),
            protocols: &metrics.protocols(&faults),
            faults: &faults,
        };
        Ok::<_, Infallible>(render(&shown))
    };
    let page = Arc::new(page);
    let content = Arc::clone(&page);
    let shown = vec![
        Page::metrics(move || counters.render(&counted, &audited.verdict())),
        Page::json("/verdict", move || serde_json::to_string(&verdicts.verdict())),
        Page::html("/content", move || content(page::content)),
    ];
    let server = server.with_home(move || page(page::page).unwrap_or_default());
    let routes = move |handle| server.routes(pages(shown, || Ok(()))(handle));
    tokio::spawn(visor_http::serve(listener, LIMITS, security(Some("http/1.1"))?, routes));

    if let Some(address) = options.grpc {
        let (listener, security) = (listen(address, "grpc")?, security(Some("h2"))?);
        let serve = move |stream, connection| {
            let (security, calls) = (security.clone(), calls.clone());
            async move { calls.serve(begin(&security, stream).await?, connection).await }
        };
        tokio::spawn(visor_http::accept(listener, LIMITS.connections, serve));
    }
    if options.forward.is_some() && options.credentials.is_some() && keys.is_empty() {
        bail!("the credentials have no token, which --forward takes for the shared key");
    }
    let forward =
        move || -> Box<dyn Framing> { Box::new(Forward::new(keys.clone(), rand::random())) };
    let framings: [(_, _, NewFraming); 3] = [
        ("forward", options.forward, Box::new(forward)),
        ("syslog", options.syslog, Box::new(|| Box::<Syslog>::default())),
        ("lines", options.lines, Box::new(|| Box::<Lines>::default())),
    ];
    for (name, address, framing) in framings {
        let Some(address) = address else { continue };
        let (listener, security) = (listen(address, name)?, security(None)?);
        let sockets = sockets.clone();
        let serve = move |stream, connection| {
            let (security, sockets, framing) = (security.clone(), sockets.clone(), framing());
            async move { sockets.serve(begin(&security, stream).await?, connection, framing).await }
        };
        tokio::spawn(visor_http::accept(listener, LIMITS.connections, serve));
    }
    if let Some(address) = options.syslog {
        let socket = visor_http::bind_datagrams(address, DATAGRAMS_BUFFER)
            .with_context(|| format!("cannot take datagrams at {address} (--syslog)"))?;
        info!(listener = "syslog-udp", address = %socket.local_addr()?, "listening");
        tokio::spawn(sockets.clone().serve_datagrams(socket, Box::<Syslog>::default()));
    }
    if options.stdin {
        let lines = sockets.serve_stdin(tokio::io::stdin(), Box::<Lines>::default());
        tokio::spawn(async move {
            if let Err(error) = lines.await {
                warn!(%error, "cannot read standard input");
            }
        });
    }
    Ok(())
}

/// Performs the handshake of a connection, within a time.
async fn begin(security: &Security, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    timeout(LIMITS.head, security.perform(stream)).await?
}

fn listen(address: ListenAddress, name: &'static str) -> anyhow::Result<TcpListener> {
    let listener =
        bind(address, &LIMITS).with_context(|| format!("cannot listen on {address} (--{name})"))?;
    info!(listener = name, address = %listener.local_addr()?, "listening");
    Ok(listener)
}
