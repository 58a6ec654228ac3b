//! An event loop: a thread with a single-threaded runtime on which the streams of its generators
//! run. It shares only counters, the limits of a source, and standard streams with other loops.
//! It is controlled by commands: apply a plan, reopen files, end.

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
    task::{JoinHandle, JoinSet, LocalSet, spawn_local},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use visor_api::source::StreamKind;
use visor_engine::{log::NamedStream, random::Seed, time::Time};

use crate::{
    clock::Clock,
    live_stream::{Change, Control, LiveStream},
    metrics::{Metrics, StreamMeter},
    output::{Address, Buffer, OutputPlan, Outputs, WriteThreads},
    plan::{GeneratorKey, GeneratorPlan, Limits},
};

/// How long outputs may take to write what is left after a signal. With the time to stop, it is
/// well within the second that a person or a grace period allows.
const FLUSH_TIME: Duration = Duration::from_millis(600);
/// How long outputs that can't, because a disk is full, may take to end with a complete line.
const CANCEL_TIME: Duration = Duration::from_millis(150);
/// From this number of streams on, wake-ups are coalesced: lines are up to 20 ms late then.
const COALESCED_FROM: usize = 100;
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// A command to a loop.
pub(crate) enum LoopCommand {
    /// Run these generators and no others; running ones continue, and new ones start at this time
    /// on every loop.
    Apply(Vec<GeneratorPlan>, Instant),
    /// Reopen all files by their names.
    Reopen,
    /// Stop all streams, write what is left however long that takes, and report that it is done.
    End(oneshot::Sender<()>),
    /// End within a second.
    Abort,
}

/// What the loops share with each other and with the rest of the program.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) outputs: Arc<Outputs>,
    /// How late a line may be written; later ones are skipped. `None` if none is.
    pub(crate) max_lag: Option<Duration>,
}

/// What is running, and what the main thread waits for.
#[derive(Default)]
pub(crate) struct Activity {
    /// Running streams, and plans that a loop has yet to apply: those may add streams.
    ongoing: AtomicUsize,
    /// Notified when all streams have ended by themselves.
    pub(crate) finished: Notify,
}

impl Activity {
    /// Something starts.
    pub(crate) fn begin(&self) {
        self.ongoing.fetch_add(1, Ordering::AcqRel);
    }

    /// Something has ended; if it was the last, everything has finished.
    fn end(&self) {
        if self.ongoing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finished.notify_one();
        }
    }
}

/// Starts a loop on its own thread; it is controlled by the sender.
pub(crate) fn spawn(
    number: usize,
    shared: Shared,
) -> io::Result<(mpsc::UnboundedSender<LoopCommand>, thread::JoinHandle<()>)> {
    let (sender, commands) = mpsc::unbounded_channel();
    // One more thread than there are blocked writes; idle threads end.
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(16_384)
        .thread_stack_size(256 * 1024)
        .build()?;
    let thread = thread::Builder::new().name(format!("loop-{number}")).spawn(move || {
        LocalSet::new().block_on(&runtime, EventLoop::new(shared).run(commands));
        // Writes that are still blocked end with the process.
        runtime.shutdown_background();
    })?;
    Ok((sender, thread))
}

struct EventLoop {
    shared: Shared,
    write_threads: WriteThreads,
    clock: Rc<Clock>,
    generators: HashMap<GeneratorKey, RunningGenerator>,
    outputs: HashMap<Address, LoopOutput>,
    /// The writers of outputs that this loop was the first to use.
    writers: JoinSet<()>,
    /// Notified when an output has ended.
    output_ended: Arc<Notify>,
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

/// An output, as far as this loop writes to it.
struct LoopOutput {
    buffer: Rc<Buffer>,
    plan: OutputPlan,
}

impl EventLoop {
    fn new(shared: Shared) -> Self {
        Self {
            shared,
            write_threads: WriteThreads::default(),
            clock: Rc::new(Clock::start()),
            generators: HashMap::new(),
            outputs: HashMap::new(),
            writers: JoinSet::new(),
            output_ended: Arc::default(),
        }
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<LoopCommand>) {
        let mut clock_check = interval(CLOCK_CHECK);
        clock_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let clock = Rc::clone(&self.clock);
        spawn_local(async move { clock.run_timer().await });
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                _ = clock_check.tick() => {
                    self.check_clock();
                    continue;
                }
                () = self.output_ended.notified() => {
                    self.stop_streams_of_ended_outputs();
                    continue;
                }
            };
            match command {
                Some(LoopCommand::Apply(plan, now)) => {
                    self.apply(plan, self.clock.at(now.into()));
                    self.shared.activity.end();
                }
                Some(LoopCommand::Reopen) => {
                    self.outputs.values().for_each(|output| output.buffer.reopen());
                }
                Some(LoopCommand::End(done)) => {
                    self.end(commands).await;
                    // There is no receiver after an abort.
                    let _ = done.send(());
                    return;
                }
                Some(LoopCommand::Abort) | None => return,
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a person reads it")]
    fn check_clock(&self) {
        if let Some(change) = self.clock.check_system_clock() {
            let seconds = change as f64 / 1e9;
            tracing::warn!(
                seconds,
                "the system clock was set; time stamps follow it, schedules don't"
            );
        }
    }

    /// Runs these generators and no others.
    fn apply(&mut self, plan: Vec<GeneratorPlan>, now: Time) {
        let wanted: Vec<GeneratorKey> =
            plan.iter().map(|generator| generator.key.clone()).collect();
        let gone: Vec<GeneratorKey> =
            self.generators.keys().filter(|key| !wanted.contains(key)).cloned().collect();
        for generator in gone.iter().filter_map(|key| self.generators.remove(key)) {
            generator.streams.values().for_each(RunningStream::stop);
        }
        // First the outputs that remain or are new, then the streams, then the outputs to drop: an
        // output ends when nobody has a buffer of it.
        for generator in plan {
            let buffer = self.buffer(&generator.output);
            self.apply_generator(generator, &buffer, now);
        }
        self.drop_unused_outputs();
        let streams: usize = self.generators.values().map(|g| g.streams.len()).sum();
        self.clock.coalesce(streams >= COALESCED_FROM);
    }

    fn apply_generator(&mut self, plan: GeneratorPlan, buffer: &Rc<Buffer>, now: Time) {
        let mut earlier = self.generators.remove(&plan.key);
        let moved =
            earlier.as_ref().is_some_and(|earlier| earlier.output.address != plan.output.address);
        let mut streams = HashMap::new();
        for named in plan.streams {
            let name = named.name.clone();
            let meter = self.shared.metrics.stream(&plan.key.stream(&named));
            meter.configured_rate.set(if plan.suspended {
                0.0
            } else {
                named.timing.lines_per_second
            });
            let running = earlier.as_mut().and_then(|earlier| earlier.streams.remove(&name));
            let running = match running {
                Some(running) if running.kind == named.kind && running.seed == named.seed => {
                    let control = &running.control;
                    if moved {
                        control.send(Change::Buffer(Rc::clone(buffer)));
                    }
                    control.send(Change::Stream(Box::new(named)));
                    control.send(Change::Suspend(plan.suspended));
                    control.send(Change::Limits(plan.limits.clone()));
                    running
                }
                other => {
                    other.iter().for_each(RunningStream::stop);
                    let limits = plan.limits.clone();
                    self.start_stream((named, now), meter, buffer, limits, plan.suspended)
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
        buffer: &Rc<Buffer>,
        limits: Limits,
        suspended: bool,
    ) -> RunningStream {
        let control = Rc::new(Control::default());
        let (kind, seed) = (named.kind, named.seed);
        let live = Box::new(LiveStream {
            tokens: named.tokens,
            stream: named.start(start),
            meter: Arc::clone(&meter),
            buffer: Rc::clone(buffer),
            limits,
            suspended,
            max_lag: self.shared.max_lag,
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

    /// The buffer of an output: the existing one, or a new one if there is none, or if the output
    /// has ended.
    fn buffer(&mut self, plan: &OutputPlan) -> Rc<Buffer> {
        if let Some(output) = self.outputs.get_mut(&plan.address)
            && !output.buffer.has_ended()
        {
            if output.plan.rotation != plan.rotation {
                output.buffer.set_rotation(plan.rotation.clone());
                output.plan = plan.clone();
            }
            return Rc::clone(&output.buffer);
        }
        let (buffer, writer) = self.shared.outputs.buffer(plan, &self.output_ended);
        if let Some(writer) = writer {
            self.writers
                .spawn_local(writer.run(self.write_threads.clone(), Rc::clone(&self.clock)));
        }
        let output = LoopOutput { buffer: Rc::new(buffer), plan: plan.clone() };
        let buffer = Rc::clone(&output.buffer);
        self.outputs.insert(plan.address.clone(), output);
        buffer
    }

    /// Stops the streams of outputs that have ended. If each stream waited for that itself, every
    /// line would register and deregister a waiter.
    fn stop_streams_of_ended_outputs(&mut self) {
        while self.writers.try_join_next().is_some() {}
        for generator in self.generators.values() {
            let output = self.outputs.get(&generator.output.address);
            if output.is_some_and(|output| output.buffer.has_ended()) {
                generator.streams.values().for_each(|stream| stream.control.send(Change::Stop));
            }
        }
    }

    fn drop_unused_outputs(&mut self) {
        let generators = &self.generators;
        self.outputs.retain(|address, _| {
            generators.values().any(|generator| generator.output.address == *address)
        });
    }

    /// Stops all streams and writes what is left: for as long as it takes or, after an abort, for a
    /// limited time.
    async fn end(mut self, commands: mpsc::UnboundedReceiver<LoopCommand>) {
        let streams: Vec<RunningStream> = self
            .generators
            .drain()
            .flat_map(|(_, generator)| generator.streams.into_values())
            .collect();
        for stream in &streams {
            stream.control.send(Change::Stop);
        }
        for stream in streams {
            // A stream can only fail by a panic, and then its lines are lost.
            let _ = stream.task.await;
        }
        self.outputs.clear();
        tokio::select! {
            () = all_end(&mut self.writers) => return,
            () = abort_time(commands) => {}
        }
        self.shared.outputs.cancel();
        let _ = timeout(CANCEL_TIME, all_end(&mut self.writers)).await;
    }
}

/// Waits for all of them to end.
async fn all_end(writers: &mut JoinSet<()>) {
    while writers.join_next().await.is_some() {}
}

/// Returns when the time that outputs have after an abort is over.
async fn abort_time(mut commands: mpsc::UnboundedReceiver<LoopCommand>) {
    loop {
        match commands.recv().await {
            Some(LoopCommand::Abort) => return sleep(FLUSH_TIME).await,
            Some(_) => {}
            None => return pending().await,
        }
    }
}

impl RunningStream {
    /// Stops a stream that is no longer in the document.
    fn stop(&self) {
        self.meter.configured_rate.set(0.0);
        self.control.send(Change::Stop);
    }
}

#[cfg(test)]
mod tests;
