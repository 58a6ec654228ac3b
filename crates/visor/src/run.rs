//! A run from start to end: what `visor run` and `visor emit` have in common, and the choice
//! between the two drivers, live and simulated.

mod endings;
mod length;
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
use visor_http::{Limits, ListenAddress, Page, Plain, Readiness, bind, pages};
use visor_libc::memory;
use visor_runtime::{early_signals, logging::LoggingFormat};

use length::RunLength;

use crate::{
    cli::{self, Listen},
    clock::wall,
    descriptors,
    documents::Documents,
    emit::EmitPlan,
    logging,
    metrics::Metrics,
    plan::{CarryOver, Plan, Settings},
    report::Report,
    summary,
    table::{self, Table},
};

/// The default address of the metrics.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9464";

/// `visor run` is a service: after a long stall, a burst of old lines would be useless.
const MAX_LAG: time::Duration = time::Duration::from_secs(10);

/// How long an output may fail in a run that ends by itself.
const MAX_FAILURE: time::Duration = time::Duration::from_secs(10);
/// The same for `visor emit`, where a person waits.
const MAX_FAILURE_OF_EMIT: time::Duration = time::Duration::from_secs(2);

/// The maximum number of failing outputs in a readiness response.
const NOT_READY: &str = "not writing lines\n";
/// So many outputs that fail are shown with the reason.
const MAX_FAILING_SHOWN: usize = 10;

/// Everything that a run needs.
struct Run {
    /// The documents, if they can be reloaded.
    documents: Option<Documents>,
    /// Values of options that may not be what was meant.
    notes: Vec<String>,
    length: RunLength,
    settings: Settings,
    carry_over: CarryOver,
    threads: usize,
    listen: ListenMode,
    /// When simulated time starts; `None` for a live run.
    simulated_from: Option<Time>,
    /// How late a line may be written; later ones are skipped. `None` if none is.
    max_lag: Option<time::Duration>,
    logging_format: LoggingFormat,
    /// Whether a table is shown during the run and a summary at the end; and whether lines that
    /// were written but not read are reported. Unwritten lines always are.
    summary: bool,
    metrics: Arc<Metrics>,
    /// Where to write the counts.
    report: Option<Arc<Report>>,
}

/// Where metrics are served.
#[derive(Clone, Copy, PartialEq)]
enum ListenMode {
    Disabled,
    /// Here if the address is free; a second run on the same machine works without.
    IfAvailable,
    At(ListenAddress),
}

/// `visor run`.
pub(crate) fn run(
    options: cli::RunOptions,
    logging_format: LoggingFormat,
) -> anyhow::Result<ExitCode> {
    let metrics = new_metrics(options.identity.clone())?;
    let report = options.report.map(|path| Arc::new(Report::open(path, Arc::clone(&metrics))));
    if let Some(report) = &report {
        let report = Arc::clone(report);
        early_signals::before_exit(move || report.end());
    }
    let mut documents = Documents::open(&options.file)?;
    let sources = if options.wait {
        logging::start(logging_format, None);
        match wait::read(&mut documents)? {
            Some(sources) => sources,
            None => return Ok(ExitCode::SUCCESS),
        }
    } else {
        documents.read()?
    };
    let listen = match options.listen {
        Some(Listen::At(address)) => ListenMode::At(address),
        None if !options.simulate => ListenMode::IfAvailable,
        Some(Listen::Nowhere) | None => ListenMode::Disabled,
    };
    let simulated_from = match (options.simulate, options.start) {
        (false, _) => None,
        (true, None) => Some(wall()),
        (true, Some(start)) => Some(start.time(&TimeZone::UTC, options.duration)?),
    };
    Run {
        documents: Some(documents),
        notes: Vec::new(),
        length: RunLength::of(&sources, options.duration),
        settings: Settings {
            output_dir: options.output_dir,
            seed: options.seed,
            identity: options.identity,
            duration: options.duration,
        },
        carry_over: CarryOver::default(),
        threads: options.threads.into(),
        listen,
        simulated_from,
        max_lag: Some(MAX_LAG),
        logging_format,
        summary: true,
        metrics,
        report,
    }
    .start(sources)
}

/// `visor emit`.
pub(crate) fn emit(
    options: &cli::EmitOptions,
    logging_format: LoggingFormat,
) -> anyhow::Result<ExitCode> {
    let EmitPlan { source, output_dir, simulated_from, notes } =
        options.plan().map_err(anyhow::Error::msg)?;
    let sources = vec![source];
    let metrics = new_metrics(None)?;
    let report = options.report.clone();
    let report = report.map(|path| Arc::new(Report::open(path, Arc::clone(&metrics))));
    Run {
        documents: None,
        notes,
        length: RunLength::of(&sources, None),
        settings: Settings { output_dir: or_current_directory(output_dir), ..Settings::default() },
        carry_over: CarryOver::default(),
        threads: 1,
        listen: ListenMode::Disabled,
        simulated_from,
        // All lines are written, however slow the reader is.
        max_lag: None,
        logging_format,
        summary: false,
        metrics,
        report,
    }
    .start(sources)
}

fn new_metrics(identity: Option<String>) -> anyhow::Result<Arc<Metrics>> {
    let metrics = Metrics::new().context("cannot set up the metrics")?;
    metrics.lanes().set_identity(identity);
    Ok(Arc::new(metrics))
}

fn or_current_directory(directory: PathBuf) -> PathBuf {
    if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory }
}

impl Run {
    /// Runs these sources. They are dropped as soon as there is a plan, because there may be
    /// thousands.
    fn start(mut self, sources: Vec<ResolvedSource>) -> anyhow::Result<ExitCode> {
        let progress_bars =
            table::on_terminal().filter(|_| self.summary && self.has_the_terminal(&sources));
        logging::start(self.logging_format, progress_bars.clone());
        if let Some(documents) = &mut self.documents {
            documents.log_notes();
        }
        for note in &self.notes {
            tracing::info!("{note}");
        }
        let metrics = Arc::clone(&self.metrics);
        let plan = Plan::new(&sources, &self.settings, &mut self.carry_over)?;
        descriptors::raise_limit();
        descriptors::check(&plan, self.threads)?;
        drop(sources);
        memory::release_free();
        let table = progress_bars.map(|progress_bars| {
            Table::new(Arc::clone(&metrics), progress_bars, self.length.length())
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the event loop")?;
        let report = self.report.take();
        if let Some(report) = &report {
            report.warn();
        }
        let (summary, logging_format) = (self.summary, self.logging_format);
        let ended = match self.simulated_from {
            None => runtime.block_on(async {
                report.iter().for_each(Report::write_periodically);
                live::run(self, plan, &metrics, table).await
            }),
            Some(start) => runtime.block_on(simulated::run(self, plan, start, &metrics, table)),
        };
        if let Some(report) = report {
            report.end();
        }
        if summary && !metrics.streams().is_empty() {
            summary::print(&metrics, logging_format);
        }
        let skipped: u64 = metrics.streams().iter().map(|meter| meter.skipped.get()).sum();
        if skipped > 0 {
            tracing::warn!(lines = skipped, "lines skipped: the output was too slow");
        }
        let code = ended?;
        // Threads may still be blocked in writes to pipes that aren't read; they end with the
        // process and don't delay it.
        runtime.shutdown_background();
        Ok(code)
    }

    /// How long a failing output is retried; `None` is forever, for a service.
    fn max_failure(&self) -> Option<time::Duration> {
        match &self.documents {
            None => Some(MAX_FAILURE_OF_EMIT),
            Some(_) if self.length.is_finite() => Some(MAX_FAILURE),
            Some(_) => None,
        }
    }

    /// Whether the terminal is free for a table: no lines are written to it.
    fn has_the_terminal(&self, sources: &[ResolvedSource]) -> bool {
        let plain = self.logging_format == LoggingFormat::Text;
        let stdout_is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        let generators = sources.iter().flat_map(|source| &source.generators);
        let uses_terminal = |output: &Output| {
            *output == Output::Stderr || (*output == Output::Stdout && stdout_is_terminal)
        };
        plain && !generators.map(|generator| &generator.output).any(uses_terminal)
    }

    /// Listens on the configured address. The actual address is logged.
    fn listen(&self) -> anyhow::Result<Option<TcpListener>> {
        let server = match self.listen {
            ListenMode::Disabled => return Ok(None),
            ListenMode::At(address) => {
                let asked = bind(address, &Limits::PAGES);
                asked.with_context(|| {
                    format!("cannot listen on {address}; choose another address with --listen")
                })?
            }
            ListenMode::IfAvailable => {
                let Ok(address) = DEFAULT_ADDRESS.parse() else { return Ok(None) };
                match bind(address, &Limits::PAGES) {
                    Ok(server) => server,
                    Err(error) => {
                        tracing::warn!(
                            "no metrics: cannot listen on {address} ({error}); \
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

/// Serves until the end of the process.
fn serve(server: Option<TcpListener>, metrics: &Arc<Metrics>, readiness: &Arc<Readiness>) {
    if let Some(listener) = server {
        let (metrics, readiness) = (Arc::clone(metrics), Arc::clone(readiness));
        let outputs = Arc::clone(&metrics);
        let ready = move || {
            if readiness.get() { outputs_ready(&outputs) } else { Err(NOT_READY.to_owned()) }
        };
        let (emitted, counts) = (Arc::clone(&metrics), Arc::clone(&metrics));
        let shown = vec![
            Page::metrics(move || metrics.render()),
            Page::json("/emitted", move || serde_json::to_string(&emitted.emitted(false))),
            Page::json("/counts", move || serde_json::to_string(&counts.counts())),
        ];
        let pages = pages(shown, ready);
        tokio::spawn(visor_http::serve(listener, Limits::PAGES, Plain, pages));
    }
}

/// Whether every output accepts lines; the reasons of those that don't.
fn outputs_ready(metrics: &Metrics) -> Result<(), String> {
    let mut failing = metrics.failing_outputs();
    if failing.is_empty() {
        return Ok(());
    }
    if let Some(others @ 1..) = failing.len().checked_sub(MAX_FAILING_SHOWN) {
        failing.truncate(MAX_FAILING_SHOWN);
        failing.push(format!("and {others} more failing outputs"));
    }
    Err(failing.join("\n") + "\n")
}

/// A ticker with this period between ticks, also after a long pause.
fn ticker(period: time::Duration) -> tokio::time::Interval {
    let mut ticker = interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}
