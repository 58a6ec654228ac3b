//! A live run: event loops on threads of their own, and here what they need nothing of: signals,
//! reloads, metrics, the table.

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

use super::{
    Run, endings, extent::Extent, serve, signals::StopSignals, table_ticker::TableTicker, ticker,
};
use crate::{
    documents::Documents,
    event_loop::{self, Activity, Instruction, Remainder, Shared},
    metrics::{Metrics, Reload},
    outlet::Persistence,
    plan::{GeneratorKey, Plan},
    sinks::Sinks,
    table::Table,
};

/// How often documents are looked at.
const DOCUMENT_CHECK: Duration = Duration::from_millis(500);
/// When the end is hurried, all loops have ended by then, or never will.
const END_TIME: Duration = Duration::from_millis(900);

/// Runs until a signal, or until all sources have ended by themselves.
pub(super) async fn run(
    mut run: Run,
    plan: Plan,
    metrics: &Arc<Metrics>,
    table: Option<Table>,
) -> anyhow::Result<ExitCode> {
    let mut hang_up = signal(SignalKind::hangup()).context("catching SIGHUP")?;
    let mut stop = StopSignals::new()?;
    let readiness = Arc::new(Readiness::default());
    serve(run.listen()?, metrics, &readiness);

    let activity = Arc::new(Activity::default());
    let persistence = Arc::new(Persistence::default());
    persistence.set(run.longest_failure());
    let shared = Shared {
        metrics: Arc::clone(metrics),
        activity: Arc::clone(&activity),
        sinks: Arc::new(Sinks::new().context("setting up the outputs")?),
        persistence: Arc::clone(&persistence),
        longest_lag: run.longest_lag,
    };
    let mut loops = Loops::start(run.threads, &shared)?;
    loops.follow(plan);
    readiness.set(true);

    let mut document_check = ticker(DOCUMENT_CHECK);
    let mut table = TableTicker::new(table, metrics);
    let started = Instant::now();
    let has_finished = loop {
        tokio::select! {
            () = stop.asked() => break false,
            () = activity.nobody_reads.notified() => break false,
            () = activity.finished.notified() => break true,
            _ = hang_up.recv() => {
                reload(&mut run, &mut loops, metrics, true);
                persistence.set(run.longest_failure());
                loops.tell(|| Instruction::Reopen);
            }
            _ = document_check.tick() => {
                if run.documents.as_mut().is_some_and(Documents::changed) {
                    reload(&mut run, &mut loops, metrics, false);
                    persistence.set(run.longest_failure());
                }
            }
            () = table.is_due() => {
                table.draw(&run, i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX));
            }
        }
    };
    readiness.set(false);
    let mut remainders = pin!(loops.end());
    let remainders = 'ended: {
        if has_finished {
            // The outputs have all the time that they take, unless a signal says otherwise; and
            // nobody needs it if nobody reads.
            tokio::select! {
                all = &mut remainders => break 'ended Some(all),
                () = stop.asked() => {}
                () = activity.nobody_reads.notified() => {}
            }
        }
        loops.tell(|| Instruction::Hurry);
        tokio::select! {
            all = timeout(END_TIME, &mut remainders) => all.ok(),
            never = stop.asked_again() => match never {},
        }
    };
    drop(table);
    Ok(endings::tell(remainders.as_deref(), run.summary))
}

/// Reads the documents again and follows them, or says why not and goes on as before.
fn reload(run: &mut Run, loops: &mut Loops, metrics: &Metrics, asked_for: bool) {
    let Some(documents) = &mut run.documents else { return };
    let read = match documents.read_if_different() {
        None if asked_for => {
            tracing::info!("the documents haven't changed");
            return;
        }
        None => return,
        Some(read) => read.map_err(anyhow::Error::from),
    };
    let planned = read.and_then(|sources| {
        let plan = Plan::new(&sources, &run.settings, &mut run.memory)?;
        Ok((sources, plan))
    });
    match planned {
        Ok((sources, plan)) => {
            tracing::info!(sources = sources.len(), "reloaded the documents");
            documents.log_notes();
            run.extent = Extent::of(&sources, run.settings.duration);
            loops.follow(plan);
            metrics.reloaded(Reload::Success);
        }
        Err(problems) => {
            tracing::error!("the changed documents are refused, the old ones go on:\n{problems}");
            metrics.reloaded(Reload::Failure);
        }
    }
}

/// The event loops, and which generator lives on which.
struct Loops {
    senders: Vec<mpsc::UnboundedSender<Instruction>>,
    activity: Arc<Activity>,
    homes: HashMap<GeneratorKey, usize>,
}

impl Loops {
    fn start(threads: usize, shared: &Shared) -> anyhow::Result<Self> {
        let senders = (0..threads.max(1)).map(|number| {
            let (sender, _) = event_loop::spawn(number, shared.clone())?;
            Ok(sender)
        });
        let senders: std::io::Result<Vec<_>> = senders.collect();
        Ok(Self {
            senders: senders.context("starting the event loops")?,
            activity: Arc::clone(&shared.activity),
            homes: HashMap::new(),
        })
    }

    /// Has the loops follow a plan: a generator stays where it is, a new one goes where there are
    /// fewest streams.
    fn follow(&mut self, plan: Plan) {
        let mut parts: Vec<Vec<_>> = self.senders.iter().map(|_| Vec::new()).collect();
        let mut streams = vec![0; parts.len()];
        let earlier = std::mem::take(&mut self.homes);
        let (settled, new): (Vec<_>, Vec<_>) =
            plan.generators.into_iter().partition(|generator| earlier.contains_key(&generator.key));
        for generator in settled.into_iter().chain(new) {
            let emptiest = (0..parts.len()).min_by_key(|home| streams[*home]).unwrap_or(0);
            let home = earlier.get(&generator.key).copied().unwrap_or(emptiest);
            self.homes.insert(generator.key.clone(), home);
            streams[home] += generator.streams.len();
            parts[home].push(generator);
        }
        let now = Instant::now();
        parts.iter().flatten().for_each(|generator| generator.limits.begin(now));
        // All of them, before the first of them can be done.
        self.senders.iter().for_each(|_| self.activity.begin());
        for (sender, part) in self.senders.iter().zip(parts) {
            // A loop that doesn't listen any more is ending with the program.
            let _ = sender.send(Instruction::Follow(part, now));
        }
    }

    fn tell(&self, instruction: impl Fn() -> Instruction) {
        for sender in &self.senders {
            let _ = sender.send(instruction());
        }
    }

    /// Ends all loops, and waits for what they say of it.
    fn end(&self) -> impl Future<Output = Vec<Remainder>> + use<> {
        let mut answers = Vec::new();
        for sender in &self.senders {
            let (done, answer) = oneshot::channel();
            if sender.send(Instruction::End(done)).is_ok() {
                answers.push(answer);
            }
        }
        async {
            let mut remainders = Vec::new();
            for answer in answers {
                remainders.extend(answer.await.unwrap_or_default());
            }
            remainders
        }
    }
}
