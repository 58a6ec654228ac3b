//! A run from its beginning to its end: what `visor run` and `visor emit` have in common, and where
//! the two drivers part, live and simulated.

mod endings;
mod extent;
mod live;
mod signals;
mod simulated;
mod table_ticker;
mod wait;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time};

use anyhow::Context;
use jiff::tz::TimeZone;
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval},
};
use visor_api::{ResolvedSource, resolved::Output};
use visor_engine::time::Time;
use visor_http::{Limits, ListenAddress, Plain, Readiness, bind, pages};

use extent::Extent;

use crate::{
    cli::{self, Diagnostics, Listen},
    clock::wall,
    documents::Documents,
    early_signals,
    emit::Emission,
    logging,
    metrics::Metrics,
    plan::{Memory, Plan, Settings},
    report::Report,
    summary,
    table::{self, Table},
};

/// Where metrics are served unless the command line says otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9464";

/// `visor run` is a service: after a long stall, a flood of old lines would help nobody.
const LONGEST_LAG: time::Duration = time::Duration::from_secs(10);

/// In a run that ends by itself, an output that fails for so long has failed.
const LONGEST_FAILURE: time::Duration = time::Duration::from_secs(10);
/// And under `visor emit`, where somebody waits.
const LONGEST_FAILURE_OF_EMIT: time::Duration = time::Duration::from_secs(2);

/// What a program that doesn't write says of its readiness.
const NOT_WRITING: &str = "not writing lines\n";
/// So many outputs that fail are shown with the reason.
const FAILING_SHOWN: usize = 10;

/// Everything that a run needs to know.
struct Run {
    /// The documents, if they can change while they run.
    documents: Option<Documents>,
    extent: Extent,
    settings: Settings,
    memory: Memory,
    threads: usize,
    listen: Listening,
    /// When simulated time begins; `None` for a live run.
    simulated_from: Option<Time>,
    /// How late a line may be written; later ones are skipped. `None` if none ever is.
    longest_lag: Option<time::Duration>,
    diagnostics: Diagnostics,
    /// Whether to show a table meanwhile and a summary in the end; and whether what was written
    /// but never read is worth a word. If not, only that it was not is.
    summary: bool,
    metrics: Arc<Metrics>,
    /// Where to write the sums, meanwhile and in the end.
    report: Option<Arc<Report>>,
}

/// Where metrics are to be served.
#[derive(Clone, Copy, PartialEq)]
enum Listening {
    Nowhere,
    /// There if it is free; a second run on a laptop does without.
    IfFree,
    At(ListenAddress),
}

/// `visor run`.
pub(crate) fn run(options: cli::RunOptions, diagnostics: Diagnostics) -> anyhow::Result<ExitCode> {
    let metrics = new_metrics()?;
    let report = options.report.map(|path| Arc::new(Report::open(path, Arc::clone(&metrics))));
    report.iter().for_each(early_signals::report_to);
    let mut documents = Documents::open(&options.file)?;
    let sources = if options.wait {
        logging::start(diagnostics, None);
        match wait::read(&mut documents)? {
            Some(sources) => sources,
            None => return Ok(ExitCode::SUCCESS),
        }
    } else {
        documents.read()?
    };
    let listen = match options.listen {
        Some(Listen::At(address)) => Listening::At(address),
        None if !options.simulate => Listening::IfFree,
        Some(Listen::Nowhere) | None => Listening::Nowhere,
    };
    let simulated_from = match (options.simulate, options.start) {
        (false, _) => None,
        (true, None) => Some(wall()),
        (true, Some(start)) => Some(start.time(&TimeZone::UTC, options.duration)?),
    };
    Run {
        documents: Some(documents),
        extent: Extent::of(&sources, options.duration),
        settings: Settings {
            output_dir: options.output_dir,
            seed: options.seed,
            identity: options.identity,
            duration: options.duration,
        },
        memory: Memory::default(),
        threads: options.threads.into(),
        listen,
        simulated_from,
        longest_lag: Some(LONGEST_LAG),
        diagnostics,
        summary: true,
        metrics,
        report,
    }
    .start(sources)
}

/// `visor emit`.
pub(crate) fn emit(
    options: &cli::EmitOptions,
    diagnostics: Diagnostics,
) -> anyhow::Result<ExitCode> {
    let Emission { source, output_dir, simulated_from } =
        options.emission().map_err(anyhow::Error::msg)?;
    let sources = vec![source];
    Run {
        documents: None,
        extent: Extent::of(&sources, None),
        settings: Settings { output_dir: or_here(output_dir), ..Settings::default() },
        memory: Memory::default(),
        threads: 1,
        listen: Listening::Nowhere,
        simulated_from,
        // Who asks for lines gets them, however slow the reader is.
        longest_lag: None,
        diagnostics,
        summary: false,
        metrics: new_metrics()?,
        report: None,
    }
    .start(sources)
}

fn new_metrics() -> anyhow::Result<Arc<Metrics>> {
    Ok(Arc::new(Metrics::new().context("setting up the metrics")?))
}

fn or_here(directory: PathBuf) -> PathBuf {
    if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory }
}

impl Run {
    /// Runs these sources. They are dropped as soon as there is a plan, for there may be thousands.
    fn start(mut self, sources: Vec<ResolvedSource>) -> anyhow::Result<ExitCode> {
        let bars = table::on_terminal().filter(|_| self.summary && self.has_the_terminal(&sources));
        logging::start(self.diagnostics, bars.clone());
        if let Some(documents) = &mut self.documents {
            documents.log_notes();
        }
        let metrics = Arc::clone(&self.metrics);
        let plan = Plan::new(&sources, &self.settings, &mut self.memory)?;
        drop(sources);
        let table = bars.map(|bars| Table::new(Arc::clone(&metrics), bars, self.extent.length()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the event loop")?;
        let report = self.report.take();
        if let Some(report) = &report {
            report.warn();
        }
        let (summary, diagnostics) = (self.summary, self.diagnostics);
        let ended = match self.simulated_from {
            None => runtime.block_on(async {
                report.iter().for_each(Report::keep);
                live::run(self, plan, &metrics, table).await
            }),
            Some(start) => runtime.block_on(simulated::run(self, plan, start, &metrics, table)),
        };
        if let Some(report) = report {
            report.end();
        }
        if summary && !metrics.streams().is_empty() {
            summary::print(&metrics, diagnostics);
        }
        let skipped: u64 = metrics.streams().iter().map(|meter| meter.skipped.get()).sum();
        if skipped > 0 {
            tracing::warn!(lines = skipped, "skipped: the output was too slow for them");
        }
        let code = ended?;
        // Threads may still be blocked in writes to pipes that nobody reads; they go with the
        // process rather than hold it up.
        runtime.shutdown_background();
        Ok(code)
    }

    /// For how long an output that fails is tried again; `None` is for ever, as for a service.
    fn longest_failure(&self) -> Option<time::Duration> {
        match &self.documents {
            None => Some(LONGEST_FAILURE_OF_EMIT),
            Some(_) if self.extent.is_finite() => Some(LONGEST_FAILURE),
            Some(_) => None,
        }
    }

    /// Whether the terminal is free for a table: no lines go to it.
    fn has_the_terminal(&self, sources: &[ResolvedSource]) -> bool {
        let plain = self.diagnostics == Diagnostics::Text;
        let stdout_is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        let generators = sources.iter().flat_map(|source| &source.generators);
        let takes_it = |output: &Output| {
            *output == Output::Stderr || (*output == Output::Stdout && stdout_is_terminal)
        };
        plain && !generators.map(|generator| &generator.output).any(takes_it)
    }

    /// Listens where it is wished. The address is logged, for it may be one of many.
    fn listen(&self) -> anyhow::Result<Option<TcpListener>> {
        let server = match self.listen {
            Listening::Nowhere => return Ok(None),
            Listening::At(address) => {
                let asked = bind(address, &Limits::PAGES);
                asked.with_context(|| {
                    format!("cannot listen on {address}; choose another --listen")
                })?
            }
            Listening::IfFree => {
                let Ok(address) = DEFAULT_ADDRESS.parse() else { return Ok(None) };
                match bind(address, &Limits::PAGES) {
                    Ok(server) => server,
                    Err(error) => {
                        tracing::warn!(
                            "no metrics: {address} can't be listened on ({error}); \
                             choose another address with --listen"
                        );
                        return Ok(None);
                    }
                }
            }
        };
        tracing::info!(address = %server.local_addr()?, "listening");
        Ok(Some(server))
    }
}

/// Has a server answer until the end of the program.
fn serve(server: Option<TcpListener>, metrics: &Arc<Metrics>, readiness: &Arc<Readiness>) {
    if let Some(listener) = server {
        let (metrics, readiness) = (Arc::clone(metrics), Arc::clone(readiness));
        let outputs = Arc::clone(&metrics);
        let ready =
            move || if readiness.get() { written(&outputs) } else { Err(NOT_WRITING.to_owned()) };
        let pages = pages(move || metrics.render(), ready);
        tokio::spawn(visor_http::serve(listener, Limits::PAGES, Plain, pages));
    }
}

/// Whether every output takes its lines; what is in the way of some, if not.
fn written(metrics: &Metrics) -> Result<(), String> {
    let mut failing = metrics.failing_outputs();
    if failing.is_empty() {
        return Ok(());
    }
    if let Some(others @ 1..) = failing.len().checked_sub(FAILING_SHOWN) {
        failing.truncate(FAILING_SHOWN);
        failing.push(format!("and {others} more outputs that fail"));
    }
    Err(failing.join("\n") + "\n")
}

/// Ticks that are so far apart, also after a long pause.
fn ticker(period: time::Duration) -> tokio::time::Interval {
    let mut ticker = interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}
