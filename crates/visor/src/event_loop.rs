//! An event loop: a thread with a single-threaded runtime, on which the streams of its generators
//! take turns. Nothing on it is shared with another loop but the counters, the limits of a source,
//! and the standard streams.
//!
//! A loop does what it is told: follow a plan, reopen its files, end.

use std::{
    collections::HashMap,
    io,
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::{Notify, mpsc, oneshot},
    task::{JoinHandle, LocalSet, spawn_local},
    time::{MissedTickBehavior, interval, timeout},
};
use visor_api::source;
use visor_engine::{generator::NamedStream, random::Seed};

use crate::{
    clock::Clock,
    live::{Control, LiveStream, Order},
    metrics::{Metrics, StreamMeter},
    outlet::Outlet,
    plan::{GeneratorKey, GeneratorPlan, Limits, OutputPlan},
    sink::{SharedSink, Sink, Target},
};

/// At the end, outputs have this long to take what is left. With the time to stop it is well
/// within the second that a person, or a grace period, grants.
const FLUSH_TIME: Duration = Duration::from_millis(600);
/// And those that can't, because a disk is full, this long to end with a whole line.
const GIVE_UP_TIME: Duration = Duration::from_millis(150);
/// From so many on, streams share their wake-ups: their lines are up to 20 ms late for it.
const MANY_STREAMS: usize = 100;
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// What a loop is told.
pub(crate) enum Command {
    /// Run these generators and no others; what runs already goes on.
    Follow(Vec<GeneratorPlan>),
    /// Open all files anew by their names.
    Reopen,
    /// Stop all streams, write what is left, and say how many lines could not be written.
    End(oneshot::Sender<u64>),
}

/// What loops share and tell the rest of the program.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) standard: Arc<StandardSinks>,
}

/// How many streams run, and what the program waits for.
#[derive(Default)]
pub(crate) struct Activity {
    streams: AtomicUsize,
    /// Told when the last stream has ended by itself.
    pub(crate) finished: Notify,
    /// Told when nobody reads an output any more.
    pub(crate) nobody_reads: Notify,
}

/// Standard output and standard error, which all loops share.
pub(crate) struct StandardSinks {
    stdout: SharedSink,
    stderr: SharedSink,
}

impl Default for StandardSinks {
    fn default() -> Self {
        Self {
            stdout: SharedSink::new(Sink::new(Target::Stdout, None)),
            stderr: SharedSink::new(Sink::new(Target::Stderr, None)),
        }
    }
}

impl StandardSinks {
    /// The sink of an output: one of these, or one of its own for a file.
    pub(crate) fn sink(&self, output: &OutputPlan) -> SharedSink {
        match output.target {
            Target::Stdout => self.stdout.clone(),
            Target::Stderr => self.stderr.clone(),
            Target::File(_) => {
                SharedSink::of_one_owner(Sink::new(output.target.clone(), output.rotation.clone()))
            }
        }
    }
}

/// Starts a loop on a thread of its own; it is told what to do by the sender.
pub(crate) fn spawn(
    number: usize,
    shared: Shared,
) -> io::Result<(mpsc::UnboundedSender<Command>, thread::JoinHandle<()>)> {
    let (sender, commands) = mpsc::unbounded_channel();
    // As many threads as there are writes in progress; they end when they have been idle.
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(16_384)
        .thread_stack_size(256 * 1024)
        .build()?;
    let thread = thread::Builder::new().name(format!("loop-{number}")).spawn(move || {
        LocalSet::new().block_on(&runtime, EventLoop::new(shared).run(commands));
        // Writes that are still blocked are left to the end of the process.
        runtime.shutdown_background();
    })?;
    Ok((sender, thread))
}

struct EventLoop {
    shared: Shared,
    clock: Rc<Clock>,
    started: i64,
    generators: HashMap<GeneratorKey, RunningGenerator>,
    outlets: HashMap<Target, RunningOutlet>,
    /// Outlets that are writing what is left.
    closing: Vec<RunningOutlet>,
}

struct RunningGenerator {
    output: OutputPlan,
    streams: HashMap<String, RunningStream>,
}

struct RunningStream {
    spec: source::Stream,
    seed: Seed,
    meter: Arc<StreamMeter>,
    control: Rc<Control>,
    task: JoinHandle<()>,
}

struct RunningOutlet {
    outlet: Rc<Outlet>,
    plan: OutputPlan,
    task: JoinHandle<()>,
}

impl EventLoop {
    fn new(shared: Shared) -> Self {
        let clock = Rc::new(Clock::start());
        Self {
            shared,
            started: clock.now(),
            clock,
            generators: HashMap::new(),
            outlets: HashMap::new(),
            closing: Vec::new(),
        }
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut clock_check = interval(CLOCK_CHECK);
        clock_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                _ = clock_check.tick() => {
                    self.check_clock();
                    continue;
                }
            };
            match command {
                Some(Command::Follow(plan)) => self.follow(plan),
                Some(Command::Reopen) => {
                    for running in self.outlets.values() {
                        running.outlet.reopen();
                    }
                }
                Some(Command::End(done)) => {
                    let unwritten = self.end().await;
                    // Nobody waits for the answer if the program is ending in haste.
                    let _ = done.send(unwritten);
                    return;
                }
                None => return,
            }
        }
    }

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
    fn follow(&mut self, plan: Vec<GeneratorPlan>) {
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
            self.follow_generator(generator, &outlet);
        }
        self.close_unused_outlets();
        let streams: usize = self.generators.values().map(|g| g.streams.len()).sum();
        self.clock.share_wakes(streams >= MANY_STREAMS);
    }

    fn follow_generator(&mut self, plan: GeneratorPlan, outlet: &Rc<Outlet>) {
        let mut earlier = self.generators.remove(&plan.key);
        let moved =
            earlier.as_ref().is_some_and(|earlier| earlier.output.target != plan.output.target);
        let mut streams = HashMap::new();
        for named in plan.streams {
            let spec = named.spec.clone();
            let meter = self.shared.metrics.stream(&plan.key.stream(&spec));
            let rate = spec.resolved_interval().lines_per_second();
            meter.target.set(if plan.suspended { 0.0 } else { rate });
            let running = earlier.as_mut().and_then(|earlier| earlier.streams.remove(&spec.name));
            let running = match running {
                Some(running) if running.spec.kind == spec.kind && running.seed == named.seed => {
                    let control = &running.control;
                    if moved {
                        control.order(Order::Outlet(Rc::clone(outlet)));
                    }
                    if running.spec.resolved_interval() != spec.resolved_interval()
                        || running.spec.surges != spec.surges
                    {
                        let surges = spec.surges.clone();
                        control.order(Order::Pace(spec.resolved_interval(), surges));
                    }
                    control.order(Order::Content(Box::new(named.content)));
                    control.order(Order::Suspend(plan.suspended));
                    control.order(Order::Limits(plan.limits.clone()));
                    RunningStream { spec, ..running }
                }
                other => {
                    other.iter().for_each(RunningStream::stop);
                    self.start_stream(named, meter, outlet, plan.limits.clone(), plan.suspended)
                }
            };
            streams.insert(running.spec.name.clone(), running);
        }
        if let Some(earlier) = earlier {
            earlier.streams.values().for_each(RunningStream::stop);
        }
        self.generators.insert(plan.key, RunningGenerator { output: plan.output, streams });
    }

    fn start_stream(
        &self,
        named: NamedStream,
        meter: Arc<StreamMeter>,
        outlet: &Rc<Outlet>,
        limits: Limits,
        suspended: bool,
    ) -> RunningStream {
        let control = Rc::new(Control::default());
        let (spec, seed) = (named.spec.clone(), named.seed);
        let live = LiveStream {
            stream: named.start(self.clock.now()),
            meter: Arc::clone(&meter),
            outlet: Rc::clone(outlet),
            limits,
            suspended,
            clock: Rc::clone(&self.clock),
            started: self.started,
            control: Rc::clone(&control),
        };
        let activity = Arc::clone(&self.shared.activity);
        activity.streams.fetch_add(1, Ordering::Relaxed);
        let task = spawn_local(async move {
            live.run().await;
            if activity.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
                activity.finished.notify_one();
            }
        });
        RunningStream { spec, seed, meter, control, task }
    }

    /// The outlet of an output: the one there is, or a new one.
    fn outlet(&mut self, plan: &OutputPlan) -> Rc<Outlet> {
        if let Some(running) = self.outlets.get_mut(&plan.target) {
            if running.plan.rotation != plan.rotation {
                running.outlet.set_rotation(plan.rotation.clone());
                running.plan = plan.clone();
            }
            return Rc::clone(&running.outlet);
        }
        let outlet = Rc::new(Outlet::new(
            &plan.name,
            self.shared.standard.sink(plan),
            self.shared.metrics.output(&plan.name),
            Rc::clone(&self.clock),
        ));
        let writer = Rc::clone(&outlet);
        let activity = Arc::clone(&self.shared.activity);
        let task = spawn_local(async move {
            if writer.write().await.is_err() {
                activity.nobody_reads.notify_one();
            }
        });
        let running = RunningOutlet { outlet: Rc::clone(&outlet), plan: plan.clone(), task };
        self.outlets.insert(plan.target.clone(), running);
        outlet
    }

    fn close_unused_outlets(&mut self) {
        self.closing.retain(|closing| !closing.task.is_finished());
        let used = |target: &Target| {
            self.generators.values().any(|generator| generator.output.target == *target)
        };
        let unused: Vec<Target> = self.outlets.keys().filter(|t| !used(t)).cloned().collect();
        for running in unused.iter().filter_map(|target| self.outlets.remove(target)) {
            running.outlet.close();
            self.closing.push(running);
        }
    }

    /// Stops all streams and writes what is left, as far as outputs take it in time.
    async fn end(mut self) -> u64 {
        let streams: Vec<RunningStream> = self
            .generators
            .drain()
            .flat_map(|(_, generator)| generator.streams.into_values())
            .collect();
        for stream in &streams {
            stream.control.order(Order::Stop);
        }
        for stream in streams {
            // A stream has no way to fail but a panic, and then its lines are gone with it.
            let _ = stream.task.await;
        }
        self.close_unused_outlets();
        let flushed = async {
            for closing in &mut self.closing {
                let _ = (&mut closing.task).await;
            }
        };
        let _ = timeout(FLUSH_TIME, flushed).await;
        let unwritten = self.closing.iter().map(|closing| closing.outlet.unwritten()).sum();
        let given_up = self.closing.into_iter().filter(|closing| !closing.task.is_finished());
        let cut: Vec<JoinHandle<()>> = given_up.map(|c| spawn_local(c.give_up())).collect();
        let cut = async {
            for outlet in cut {
                let _ = outlet.await;
            }
        };
        let _ = timeout(GIVE_UP_TIME, cut).await;
        unwritten
    }
}

impl RunningOutlet {
    /// Leaves what hasn't been written, and has the sink end with a whole line.
    async fn give_up(self) {
        self.task.abort();
        let _ = self.task.await;
        self.outlet.close_sink().await;
    }
}

impl RunningStream {
    /// Ends a stream that a document no longer has.
    fn stop(&self) {
        self.meter.target.set(0.0);
        self.control.order(Order::Stop);
    }
}
