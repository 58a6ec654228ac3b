//! A live run: event loops on their own threads, and on the main thread signals, reloads, metrics
//! and the table.

use std::{
    collections::HashMap,
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    time::timeout,
};
use visor_http::Readiness;
use visor_libc::memory;

use super::{
    Run, endings, length::RunLength, serve, signals::StopSignals, table_ticker::TableTicker, ticker,
};
use crate::{
    descriptors,
    documents::Documents,
    event_loop::{self, Activity, LoopCommand, Shared},
    metrics::{Metrics, Reload},
    output::Outputs,
    plan::{GeneratorKey, Plan},
    table::Table,
};

/// How often documents are checked for changes.
const DOCUMENT_CHECK: Duration = Duration::from_millis(500);
/// After an abort, all loops have ended by then, or never will.
const END_TIME: Duration = Duration::from_millis(900);

/// Runs until a signal, or until all sources have ended by themselves.
pub(super) async fn run(
    mut run: Run,
    plan: Plan,
    metrics: &Arc<Metrics>,
    table: Option<Table>,
) -> anyhow::Result<ExitCode> {
    let mut hang_up = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
    let mut stop = StopSignals::new()?;
    let readiness = Arc::new(Readiness::default());
    serve(run.listen()?, metrics, &readiness);

    let activity = Arc::new(Activity::default());
    let outputs = Outputs::new(Arc::clone(metrics)).context("cannot set up the outputs")?;
    let outputs = Arc::new(outputs);
    outputs.set_retry_limit(run.max_failure());
    let shared = Shared {
        metrics: Arc::clone(metrics),
        activity: Arc::clone(&activity),
        outputs: Arc::clone(&outputs),
        max_lag: run.max_lag,
    };
    let mut loops = Loops::start(run.threads, &shared)?;
    loops.apply(plan);
    readiness.set(true);

    let mut document_check = ticker(DOCUMENT_CHECK);
    let mut table = TableTicker::new(table, metrics);
    let started = Instant::now();
    let has_finished = loop {
        tokio::select! {
            () = stop.requested() => break false,
            () = outputs.reader_gone.notified() => break false,
            () = activity.finished.notified() => break true,
            _ = hang_up.recv() => {
                reload(&mut run, &mut loops, metrics, true);
                outputs.set_retry_limit(run.max_failure());
                loops.report(|| LoopCommand::Reopen);
            }
            _ = document_check.tick() => {
                if run.documents.as_mut().is_some_and(Documents::changed) {
                    reload(&mut run, &mut loops, metrics, false);
                    outputs.set_retry_limit(run.max_failure());
                }
            }
            () = table.is_due() => {
                table.draw(&run, i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX));
            }
        }
    };
    readiness.set(false);
    let mut ended = pin!(loops.end());
    let have_ended = 'ended: {
        if has_finished {
            // The outputs take as long as they need, unless there is a signal, or nobody
            // reads them.
            tokio::select! {
                () = &mut ended => break 'ended true,
                () = stop.requested() => {}
                () = outputs.reader_gone.notified() => {}
            }
        }
        loops.report(|| LoopCommand::Abort);
        tokio::select! {
            ended = timeout(END_TIME, &mut ended) => ended.is_ok(),
            never = stop.requested_again() => match never {},
        }
    };
    drop(table);
    outputs.flush_log();
    let unfinished = have_ended.then(|| outputs.unfinished());
    Ok(endings::report(unfinished.as_deref(), run.summary))
}

/// Reloads the documents, or logs why not and continues as before.
fn reload(run: &mut Run, loops: &mut Loops, metrics: &Metrics, asked_for: bool) {
    let Some(documents) = &mut run.documents else { return };
    let read = match documents.read_if_different() {
        None if asked_for => {
            tracing::info!("the documents have not changed");
            return;
        }
        None => return,
        Some(read) => read.map_err(anyhow::Error::from),
    };
    let planned = read.and_then(|sources| {
        let plan = Plan::new(&sources, &run.settings, &mut run.carry_over)?;
        descriptors::check(&plan, run.threads)?;
        Ok((sources, plan))
    });
    match planned {
        Ok((sources, plan)) => {
            tracing::info!(sources = sources.len(), "reloaded the documents");
            documents.log_notes();
            run.length = RunLength::of(&sources, run.settings.duration);
            loops.apply(plan);
            drop(sources);
            memory::release_free();
            metrics.record_reload(Reload::Success);
        }
        Err(problems) => {
            tracing::error!("reload failed; keeping the previous configuration:\n{problems}");
            metrics.record_reload(Reload::Failure);
        }
    }
}

/// The event loops, and the assignment of generators to them.
struct Loops {
    senders: Vec<mpsc::UnboundedSender<LoopCommand>>,
    activity: Arc<Activity>,
    assignments: HashMap<GeneratorKey, usize>,
}

impl Loops {
    fn start(threads: usize, shared: &Shared) -> anyhow::Result<Self> {
        let senders = (0..threads.max(1)).map(|number| {
            let (sender, _) = event_loop::spawn(number, shared.clone())?;
            Ok(sender)
        });
        let senders: std::io::Result<Vec<_>> = senders.collect();
        Ok(Self {
            senders: senders.context("cannot start the event loops")?,
            activity: Arc::clone(&shared.activity),
            assignments: HashMap::new(),
        })
    }

    /// Makes the loops run a plan: a generator stays on its loop, a new one is assigned to the loop
    /// with the fewest streams.
    fn apply(&mut self, plan: Plan) {
        let mut parts: Vec<Vec<_>> = self.senders.iter().map(|_| Vec::new()).collect();
        let mut streams = vec![0; parts.len()];
        let earlier = std::mem::take(&mut self.assignments);
        let (settled, new): (Vec<_>, Vec<_>) =
            plan.generators.into_iter().partition(|generator| earlier.contains_key(&generator.key));
        for generator in settled.into_iter().chain(new) {
            let least_loaded =
                (0..parts.len()).min_by_key(|assigned| streams[*assigned]).unwrap_or(0);
            let assigned = earlier.get(&generator.key).copied().unwrap_or(least_loaded);
            self.assignments.insert(generator.key.clone(), assigned);
            streams[assigned] += generator.streams.len();
            parts[assigned].push(generator);
        }
        let now = Instant::now();
        parts.iter().flatten().for_each(|generator| generator.limits.start(now));
        // Counted before the first loop can finish.
        self.senders.iter().for_each(|_| self.activity.begin());
        for (sender, part) in self.senders.iter().zip(parts) {
            // A loop that has ended ends with the program.
            let _ = sender.send(LoopCommand::Apply(part, now));
        }
    }

    fn report(&self, command: impl Fn() -> LoopCommand) {
        for sender in &self.senders {
            let _ = sender.send(command());
        }
    }

    /// Ends all loops.
    fn end(&self) -> impl Future<Output = ()> + use<> {
        let mut answers = Vec::new();
        for sender in &self.senders {
            let (done, answer) = oneshot::channel();
            if sender.send(LoopCommand::End(done)).is_ok() {
                answers.push(answer);
            }
        }
        async {
            for answer in answers {
                // A loop that has ended without an answer has ended, too.
                let _ = answer.await;
            }
        }
    }
}
