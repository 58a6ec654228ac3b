//! The driver of simulated runs: writes the lines of a period as fast as possible, each stamped
//! with the time it was due.
//!
//! Streams whose lines must be in one order (they share an output, or a limit of lines) are merged
//! by one thread; others are distributed over all threads. What is merged depends on the documents
//! alone, so the bytes are the same for any number of threads.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use visor_api::resolved::Interval;
use visor_engine::{simulate::Merge, stream::Stream, time::Time};

use crate::{
    lanes::{Lanes, Numbering},
    metrics::{Metrics, OutputMeter, StreamMeter},
    output::{Address, Batch, Cancellation, Destination, OutputEnd, OutputError, UnfinishedOutput},
    plan::{GeneratorPlan, Limits, Plan},
};

/// The approximate size of a write in bytes.
const WRITE_BYTES: usize = 256 * 1024;
/// The maximum number of lines before the size is checked.
const MAX_LINES_PER_TURN: u64 = 256;
/// While a file has a maximum age, it is written to at least this often, in simulated time.
const SECOND: i64 = 1_000_000_000;

/// How often a named pipe without a reader is retried.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A handle to a running simulation, to watch and to end it.
pub(crate) struct SimulationHandle {
    cancellation: Cancellation,
    stop: AtomicBool,
    /// The time that the slowest thread has reached, for the progress; in nanoseconds since the
    /// epoch.
    reached: AtomicI64,
}

impl SimulationHandle {
    /// A simulation that has not started.
    ///
    /// # Errors
    ///
    /// If the outputs can't be set up.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            cancellation: Cancellation::new()?,
            stop: AtomicBool::default(),
            reached: AtomicI64::default(),
        })
    }

    /// Ends the run at once, even if a write is blocked.
    pub(crate) fn cancel(&self) {
        self.stop();
        self.cancellation.cancel();
    }

    /// Ends the run after the current write.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The time that the run has reached, approximately.
    pub(crate) fn reached(&self) -> Time {
        Time::from_nanos(self.reached.load(Ordering::Relaxed))
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Why a simulated run can't start, or ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulationError {
    #[error(
        "source {0}: the simulated time has no end; \
         use --for DURATION, or set spec.stopAfter"
    )]
    Endless(String),
    #[error(
        "source {source_name}, generator {generator}, stream {stream}: an unlimited stream needs \
         a limit of lines when it is simulated (spec.stopAfter.lines, or -n), or \
         another interval"
    )]
    UnlimitedWithoutLines { source_name: String, generator: String, stream: String },
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Writes the lines of all sources from `start` to their ends. Returns the outputs with unwritten
/// or unread lines.
///
/// # Errors
///
/// If the run has no end, or an output fails; then the complete lines that were written remain.
pub(crate) fn run(
    plan: Plan,
    start: Time,
    threads: usize,
    metrics: &Metrics,
    handle: &SimulationHandle,
) -> (Vec<UnfinishedOutput>, Result<(), SimulationError>) {
    if let Err(error) = plan.generators.iter().try_for_each(check) {
        return (Vec::new(), Err(error));
    }
    handle.reached.store(start.as_nanos(), Ordering::Relaxed);
    let groups: Vec<Group> = groups(plan)
        .into_iter()
        .map(|generators| Group::new(generators, start, metrics, &handle.cancellation))
        .collect();
    let waiting = Mutex::new(groups.into_iter());
    let work = || {
        let (mut unfinished, mut outcome) = (Vec::new(), Ok(()));
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(group) = next else { return (unfinished, outcome) };
            let (left, ended) = group.run(handle);
            unfinished.extend(left);
            if ended.is_err() {
                handle.stop();
                outcome = outcome.and(ended);
                return (unfinished, outcome);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let (mut unfinished, mut outcome) = (Vec::new(), Ok(()));
        for worker in workers {
            // A worker that panicked has printed why on standard error.
            let (left, ended) = worker.join().unwrap_or((Vec::new(), Ok(())));
            unfinished.extend(left);
            outcome = outcome.and(ended);
        }
        (unfinished, outcome)
    })
}

/// Whether a generator's simulated run has an end.
fn check(generator: &GeneratorPlan) -> Result<(), SimulationError> {
    let limits = &generator.limits;
    if generator.suspended || limits.counts_lines() {
        return Ok(());
    }
    if limits.duration().is_none() {
        return Err(SimulationError::Endless(generator.key.source.clone()));
    }
    match generator.streams.iter().find(|stream| stream.timing.interval == Interval::Unlimited) {
        None => Ok(()),
        Some(stream) => Err(SimulationError::UnlimitedWithoutLines {
            source_name: generator.key.source.clone(),
            generator: generator.key.generator.clone(),
            stream: stream.name.clone(),
        }),
    }
}

/// Groups generators that share an output or a limit of lines, in the order of the documents.
fn groups(plan: Plan) -> Vec<Vec<GeneratorPlan>> {
    let mut groups: Vec<Vec<GeneratorPlan>> = Vec::new();
    for generator in plan.generators {
        let belongs = |other: &GeneratorPlan| {
            other.output.address == generator.output.address
                || (generator.limits.counts_lines() && other.key.source == generator.key.source)
        };
        let (mut joined, apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.iter().any(belongs));
        groups = apart;
        let mut group: Vec<GeneratorPlan> = joined.drain(..).flatten().collect();
        group.push(generator);
        groups.push(group);
    }
    groups
}

/// Streams that are merged into one order of time.
struct Group {
    merge: Merge,
    members: Vec<SimulatedStream>,
    outputs: Vec<SimulatedOutput>,
    lanes: Arc<Lanes>,
}

/// A stream of a group, without its lines.
struct SimulatedStream {
    /// How often a line shows its token, at most.
    tokens: usize,
    meter: Arc<StreamMeter>,
    output: usize,
    limits: Limits,
    end: Time,
}

struct SimulatedOutput {
    name: String,
    destination: Box<dyn Destination>,
    meter: OutputMeter,
    batch: Batch,
    numbering: Numbering,
    ages: bool,
    written: Time,
    end: OutputEnd,
}

impl Group {
    fn new(
        generators: Vec<GeneratorPlan>,
        start: Time,
        metrics: &Metrics,
        cancellation: &Cancellation,
    ) -> Self {
        let mut places: HashMap<Address, usize> = HashMap::new();
        let (mut outputs, mut members, mut streams): (Vec<_>, Vec<_>, Vec<Stream>) =
            Default::default();
        for generator in generators {
            let plan = &generator.output;
            let output = *places.entry(plan.address.clone()).or_insert_with(|| {
                outputs.push(SimulatedOutput {
                    name: plan.name.clone(),
                    end: OutputEnd::Complete,
                    destination: plan.destination(cancellation),
                    meter: metrics.output(&plan.name),
                    batch: Batch::default(),
                    numbering: Numbering::simulated(
                        metrics.lanes(),
                        &plan.name,
                        generator.lane_seed(start),
                    ),
                    ages: plan.rotation.as_ref().is_some_and(|rule| rule.max_age.is_some()),
                    written: start,
                });
                outputs.len() - 1
            });
            let duration = generator.limits.duration();
            let duration = duration.and_then(|duration| i64::try_from(duration.as_nanos()).ok());
            let end = duration.map_or(Time::MAX, |duration| start.saturating_add(duration));
            for named in generator.streams {
                let meter = metrics.stream(&generator.key.stream(&named));
                meter.configured_rate.set(named.timing.lines_per_second);
                if !generator.suspended {
                    let limits = generator.limits.clone();
                    let tokens = named.tokens;
                    members.push(SimulatedStream { tokens, meter, output, limits, end });
                    streams.push(named.start(start));
                }
            }
        }
        let lanes = Arc::clone(metrics.lanes());
        Self { merge: Merge::new(streams), members, outputs, lanes }
    }

    /// Writes the lines of all streams up to their ends. In any case, a partial line is completed
    /// or removed.
    fn run(
        mut self,
        handle: &SimulationHandle,
    ) -> (Vec<UnfinishedOutput>, Result<(), SimulationError>) {
        let mut outcome = self.write_lines(handle);
        let mut unfinished = Vec::new();
        for mut output in self.outputs {
            output.numbering.end();
            let closed = output.destination.close();
            if let Ok(closed) = &closed {
                self.lanes.close(&output.name, closed.in_pipe);
            }
            let (lines, unread) = (output.batch.lines(), closed.as_ref().map_or(0, |c| c.unread));
            outcome = outcome.and(closed.map(|_| ()).map_err(Into::into));
            if lines > 0 || unread > 0 {
                let end = Some(output.end);
                unfinished.push(UnfinishedOutput { output: output.name, lines, end, unread });
            }
        }
        (unfinished, outcome)
    }

    fn write_lines(&mut self, handle: &SimulationHandle) -> Result<(), SimulationError> {
        while let Some((due, index)) = self.merge.peek() {
            let simulated = &self.members[index];
            // A token has the time at which its line was due.
            let max = if simulated.tokens > 0 { 1 } else { MAX_LINES_PER_TURN };
            let max = if due < simulated.end { simulated.limits.take(max) } else { 0 };
            if max == 0 {
                self.merge.end_next();
                continue;
            }
            let output = &mut self.outputs[simulated.output];
            let next_second = due.nanos_since(output.written) >= SECOND;
            if output.batch.len() >= WRITE_BYTES || (output.ages && next_second) {
                output.write(due, handle)?;
                handle.reached.store(due.as_nanos(), Ordering::Relaxed);
                if handle.is_stopped() {
                    return Ok(());
                }
            }
            let flush = if output.ages { output.written.saturating_add(SECOND) } else { Time::MAX };
            let merge = &mut self.merge;
            output.batch.append(&simulated.meter, due, simulated.tokens, |out| {
                let lines = merge.write(simulated.end.min(flush), max, out);
                simulated.limits.return_unused(max - lines);
                lines
            });
            output.batch.complete(&mut output.numbering, due);
        }
        let now = self.outputs.iter().map(|output| output.written).max().unwrap_or_default();
        self.outputs.iter_mut().try_for_each(|output| output.write(now.max(output.written), handle))
    }
}

impl SimulatedOutput {
    /// Writes the batch, at this simulated time. A named pipe waits for its reader.
    fn write(&mut self, now: Time, handle: &SimulationHandle) -> Result<(), SimulationError> {
        let mut is_logged = false;
        loop {
            let progress = self.destination.write(self.batch.records(), now.timestamp());
            self.written = now;
            self.batch.account(&progress, &self.meter, None);
            let Some(error) = progress.error.or(progress.rotation_error) else { return Ok(()) };
            if matches!(error, OutputError::Disconnected { .. }) && !handle.is_stopped() {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::warn!(output = self.name, "{error}");
                }
                thread::sleep(RETRY_INTERVAL);
                continue;
            }
            self.end = error.end();
            if self.end == OutputEnd::Failed {
                self.meter.errors.inc();
            }
            return Err(error.into());
        }
    }
}

#[cfg(test)]
mod tests;
