//! An event loop: a thread with a single-threaded runtime, on which the streams of its generators
//! take turns. Nothing on it is shared with another loop but the counters, the limits of a source,
//! and the standard streams.
//!
//! A loop does what it is told: follow a plan, reopen its files, end.

use std::{
    collections::HashMap,
    future::pending,
    io,
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime,
    sync::{Notify, mpsc, oneshot},
    task::{JoinHandle, LocalSet, spawn_local},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use visor_api::source::StreamKind;
use visor_engine::{generator::NamedStream, random::Seed, time::Time};

use crate::{
    clock::Clock,
    live_stream::{Change, Control, LiveStream},
    metrics::{Metrics, StreamMeter},
    outlet::{End, Outlet, Persistence},
    plan::{GeneratorKey, GeneratorPlan, Limits, OutputPlan},
    sink::{Closed, Target},
    sinks::Sinks,
    writers::Writers,
};

/// When the end is hurried, outputs have this long to take what is left. With the time to stop it
/// is well within the second that a person, or a grace period, grants.
const FLUSH_TIME: Duration = Duration::from_millis(600);
/// And those that can't, because a disk is full, this long to end with a whole line.
const GIVE_UP_TIME: Duration = Duration::from_millis(150);
/// From so many on, streams wake together: their lines are up to 20 ms late for it.
const MANY_STREAMS: usize = 100;
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// What a loop is told.
pub(crate) enum Instruction {
    /// Run these generators and no others; what runs already goes on, what is new begins at this
    /// moment on every loop.
    Follow(Vec<GeneratorPlan>, Instant),
    /// Open all files anew by their names.
    Reopen,
    /// Stop all streams, write what is left however long that takes, and say what became of it.
    End(oneshot::Sender<Vec<Remainder>>),
    /// End within the second.
    Hurry,
}

/// What became of an output whose lines are not all written, or not all read.
#[derive(Debug)]
pub(crate) struct Remainder {
    /// The output's name.
    pub(crate) output: String,
    /// How many lines were not written.
    pub(crate) lines: u64,
    /// How it ended. `None` if a write is still under way: then some of the lines may have been
    /// written, although none is counted.
    pub(crate) end: Option<End>,
    /// How many bytes of lines that were written, and counted, will never be read.
    pub(crate) unread: u64,
}

/// What loops share and tell the rest of the program.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) sinks: Arc<Sinks>,
    pub(crate) persistence: Arc<Persistence>,
    /// How late a line may be written; later ones are skipped. `None` if none ever is.
    pub(crate) longest_lag: Option<Duration>,
}

/// What is going on, and what the program waits for.
#[derive(Default)]
pub(crate) struct Activity {
    /// Streams that run, and plans that a loop has yet to follow: those may bring some.
    ongoing: AtomicUsize,
    /// Told when all streams have ended by themselves.
    pub(crate) finished: Notify,
    /// Told when nobody reads a standard stream any more.
    pub(crate) nobody_reads: Notify,
}

impl Activity {
    /// Something begins.
    pub(crate) fn begin(&self) {
        self.ongoing.fetch_add(1, Ordering::AcqRel);
    }

    /// Something has ended; if it was the last, all is finished.
    fn end(&self) {
        if self.ongoing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finished.notify_one();
        }
    }
}

/// Starts a loop on a thread of its own; it is told what to do by the sender.
pub(crate) fn spawn(
    number: usize,
    shared: Shared,
) -> io::Result<(mpsc::UnboundedSender<Instruction>, thread::JoinHandle<()>)> {
    let (sender, instructions) = mpsc::unbounded_channel();
    // As many threads as there are writes that hang, and one; they end when they have been idle.
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(16_384)
        .thread_stack_size(256 * 1024)
        .build()?;
    let thread = thread::Builder::new().name(format!("loop-{number}")).spawn(move || {
        LocalSet::new().block_on(&runtime, EventLoop::new(shared).run(instructions));
        // Writes that are still blocked are left to the end of the process.
        runtime.shutdown_background();
    })?;
    Ok((sender, thread))
}

struct EventLoop {
    shared: Shared,
    writers: Writers,
    clock: Rc<Clock>,
    generators: HashMap<GeneratorKey, RunningGenerator>,
    outlets: HashMap<Target, RunningOutlet>,
    /// Outlets that are writing what is left.
    closing: Vec<RunningOutlet>,
    /// Told when an outlet has ended.
    outlet_ended: Rc<Notify>,
}

struct RunningGenerator {
    output: OutputPlan,
    streams: HashMap<String, RunningStream>,
}

struct RunningStream {
    kind: StreamKind,
    seed: Seed,
    meter: Arc<StreamMeter>,
    control: Rc<Control>,
    task: JoinHandle<()>,
}

struct RunningOutlet {
    outlet: Rc<Outlet>,
    plan: OutputPlan,
    task: JoinHandle<(End, Closed)>,
}

impl EventLoop {
    fn new(shared: Shared) -> Self {
        Self {
            shared,
            writers: Writers::default(),
            clock: Rc::new(Clock::start()),
            generators: HashMap::new(),
            outlets: HashMap::new(),
            closing: Vec::new(),
            outlet_ended: Rc::default(),
        }
    }

    async fn run(mut self, mut instructions: mpsc::UnboundedReceiver<Instruction>) {
        let mut clock_check = interval(CLOCK_CHECK);
        clock_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let clock = Rc::clone(&self.clock);
        spawn_local(async move { clock.ring_bell().await });
        loop {
            let instruction = tokio::select! {
                instruction = instructions.recv() => instruction,
                _ = clock_check.tick() => {
                    self.check_clock();
                    continue;
                }
                () = self.outlet_ended.notified() => {
                    self.end_streams_without_outlet();
                    continue;
                }
            };
            match instruction {
                Some(Instruction::Follow(plan, now)) => {
                    self.follow(plan, self.clock.at(now.into()));
                    self.shared.activity.end();
                }
                Some(Instruction::Reopen) => {
                    for running in self.outlets.values() {
                        running.outlet.reopen();
                    }
                }
                Some(Instruction::End(done)) => {
                    let remainders = self.end(instructions).await;
                    // Nobody waits for the answer if the program is ending in haste.
                    let _ = done.send(remainders);
                    return;
                }
                Some(Instruction::Hurry) | None => return,
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a person reads it")]
    fn check_clock(&self) {
        if let Some(change) = self.clock.check() {
            let seconds = change as f64 / 1e9;
            tracing::warn!(
                seconds,
                "the system's clock was set; stamps follow it, schedules don't"
            );
        }
    }

    /// Runs these generators and no others.
    fn follow(&mut self, plan: Vec<GeneratorPlan>, now: Time) {
        let wanted: Vec<GeneratorKey> =
            plan.iter().map(|generator| generator.key.clone()).collect();
        let gone: Vec<GeneratorKey> =
            self.generators.keys().filter(|key| !wanted.contains(key)).cloned().collect();
        for generator in gone.iter().filter_map(|key| self.generators.remove(key)) {
            generator.streams.values().for_each(RunningStream::stop);
        }
        // First the outputs that stay or come, then the streams, then the outputs that go: a
        // stream that changes its output has the new one before the old one is closed.
        for generator in plan {
            let outlet = self.outlet(&generator.output);
            self.follow_generator(generator, &outlet, now);
        }
        self.close_unused_outlets();
        let streams: usize = self.generators.values().map(|g| g.streams.len()).sum();
        self.clock.use_bell(streams >= MANY_STREAMS);
    }

    fn follow_generator(&mut self, plan: GeneratorPlan, outlet: &Rc<Outlet>, now: Time) {
        let mut earlier = self.generators.remove(&plan.key);
        let moved =
            earlier.as_ref().is_some_and(|earlier| earlier.output.target != plan.output.target);
        let mut streams = HashMap::new();
        for named in plan.streams {
            let name = named.name.clone();
            let meter = self.shared.metrics.stream(&plan.key.stream(&named));
            meter.target.set(if plan.suspended { 0.0 } else { named.pace.lines_per_second });
            let running = earlier.as_mut().and_then(|earlier| earlier.streams.remove(&name));
            let running = match running {
                Some(running) if running.kind == named.kind && running.seed == named.seed => {
                    let control = &running.control;
                    if moved {
                        control.tell(Change::Outlet(Rc::clone(outlet)));
                    }
                    control.tell(Change::Stream(Box::new(named)));
                    control.tell(Change::Suspend(plan.suspended));
                    control.tell(Change::Limits(plan.limits.clone()));
                    running
                }
                other => {
                    other.iter().for_each(RunningStream::stop);
                    let limits = plan.limits.clone();
                    self.start_stream((named, now), meter, outlet, limits, plan.suspended)
                }
            };
            streams.insert(name, running);
        }
        if let Some(earlier) = earlier {
            earlier.streams.values().for_each(RunningStream::stop);
        }
        self.generators.insert(plan.key, RunningGenerator { output: plan.output, streams });
    }

    fn start_stream(
        &self,
        (named, start): (NamedStream, Time),
        meter: Arc<StreamMeter>,
        outlet: &Rc<Outlet>,
        limits: Limits,
        suspended: bool,
    ) -> RunningStream {
        let control = Rc::new(Control::default());
        let (kind, seed) = (named.kind, named.seed);
        let live = Box::new(LiveStream {
            stream: named.start(start),
            meter: Arc::clone(&meter),
            outlet: Rc::clone(outlet),
            limits,
            suspended,
            longest_lag: self.shared.longest_lag,
            clock: Rc::clone(&self.clock),
            control: Rc::clone(&control),
        });
        let activity = Arc::clone(&self.shared.activity);
        activity.begin();
        let task = spawn_local(async move {
            live.run().await;
            activity.end();
        });
        RunningStream { kind, seed, meter, control, task }
    }

    /// The outlet of an output: the one there is, or a new one.
    fn outlet(&mut self, plan: &OutputPlan) -> Rc<Outlet> {
        let alive = |running: &&mut RunningOutlet| running.outlet.end().is_none();
        if let Some(running) = self.outlets.get_mut(&plan.target).filter(alive) {
            if running.plan.rotation != plan.rotation {
                running.outlet.set_rotation(plan.rotation.clone());
                running.plan = plan.clone();
            }
            return Rc::clone(&running.outlet);
        }
        let outlet = Rc::new(Outlet::new(
            &plan.name,
            (self.shared.sinks.sink(plan), self.shared.sinks.turn(&plan.target)),
            self.writers.clone(),
            Arc::clone(&self.shared.persistence),
            self.shared.metrics.output(&plan.name),
            Rc::clone(&self.clock),
        ));
        let writer = Rc::clone(&outlet);
        let activity = Arc::clone(&self.shared.activity);
        let ended = Rc::clone(&self.outlet_ended);
        let task = spawn_local(async move {
            let (end, closed) = writer.write().await;
            ended.notify_one();
            if end == End::NobodyReads {
                activity.nobody_reads.notify_one();
            }
            (end, closed)
        });
        let running = RunningOutlet { outlet: Rc::clone(&outlet), plan: plan.clone(), task };
        self.closing.extend(self.outlets.insert(plan.target.clone(), running));
        outlet
    }

    /// Ends streams whose outlet has ended: if each waited for that, with each line it would join those
    /// who wait, and leave them.
    fn end_streams_without_outlet(&self) {
        for generator in self.generators.values() {
            let outlet = self.outlets.get(&generator.output.target);
            if outlet.is_some_and(|running| running.outlet.end().is_some()) {
                generator.streams.values().for_each(|stream| stream.control.tell(Change::Stop));
            }
        }
    }

    fn close_unused_outlets(&mut self) {
        self.closing.retain(|closing| closing.outlet.end() != Some(End::Whole));
        let used = |target: &Target| {
            self.generators.values().any(|generator| generator.output.target == *target)
        };
        let unused: Vec<Target> = self.outlets.keys().filter(|t| !used(t)).cloned().collect();
        for running in unused.iter().filter_map(|target| self.outlets.remove(target)) {
            running.outlet.close();
            self.closing.push(running);
        }
    }

    /// Stops all streams and writes what is left: for as long as it takes, or, once that is
    /// hurried, as far as outputs take it in time.
    async fn end(mut self, instructions: mpsc::UnboundedReceiver<Instruction>) -> Vec<Remainder> {
        let streams: Vec<RunningStream> = self
            .generators
            .drain()
            .flat_map(|(_, generator)| generator.streams.into_values())
            .collect();
        for stream in &streams {
            stream.control.tell(Change::Stop);
        }
        for stream in streams {
            // A stream has no way to fail but a panic, and then its lines are gone with it.
            let _ = stream.task.await;
        }
        self.close_unused_outlets();
        let outlets: Vec<Rc<Outlet>> =
            self.closing.iter().map(|closing| Rc::clone(&closing.outlet)).collect();
        tokio::select! {
            () = ended(&outlets) => {}
            () = hurried(instructions) => {
                self.shared.sinks.give_up();
                for outlet in &outlets {
                    outlet.hurry();
                }
                let _ = timeout(GIVE_UP_TIME, ended(&outlets)).await;
            }
        }
        let mut remainders = Vec::new();
        for RunningOutlet { outlet, task, .. } in self.closing {
            let (end, closed) = match outlet.end() {
                Some(_) => task.await.map_or((None, Closed::default()), |(end, c)| (Some(end), c)),
                None => (None, Closed::default()),
            };
            let (lines, unread) = (outlet.unwritten(), closed.unread);
            if lines > 0 || unread > 0 {
                let output = outlet.name().to_owned();
                remainders.push(Remainder { output, lines, end, unread });
            }
        }
        remainders
    }
}

/// Waits for all of them to end.
async fn ended(outlets: &[Rc<Outlet>]) {
    for outlet in outlets {
        outlet.ended().await;
    }
}

/// Returns when outputs have had all the time that a hurried end has for them.
async fn hurried(mut instructions: mpsc::UnboundedReceiver<Instruction>) {
    loop {
        match instructions.recv().await {
            Some(Instruction::Hurry) => return sleep(FLUSH_TIME).await,
            Some(_) => {}
            None => return pending().await,
        }
    }
}

impl RunningStream {
    /// Ends a stream that a document no longer has.
    fn stop(&self) {
        self.meter.target.set(0.0);
        self.control.tell(Change::Stop);
    }
}

#[cfg(test)]
mod tests;
