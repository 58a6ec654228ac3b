//! The driver of simulated runs: the lines of a span of time, as fast as the machine can write
//! them, each stamped with the time it was due.
//!
//! Streams whose lines must come in one order (they share an output, or a limit of lines) are
//! merged by one thread; those that needn't are spread over all. What is merged depends on the
//! documents alone, so the bytes are the same for any number of threads.

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
    batch::Batch,
    event_loop::Remainder,
    metrics::{Metrics, OutputMeter, StreamMeter},
    outlet::End,
    plan::{GeneratorPlan, Limits, Plan},
    sink::{SharedSink, SinkError, Target},
    sinks::Sinks,
};

/// Lines are written in pieces of about this size.
const PIECE: usize = 256 * 1024;
/// At most so many lines are written before the size of the piece is looked at.
const LINES_AT_ONCE: u64 = 256;
/// While a file can become too old, it is written to at least this often, in simulated time.
const SECOND: i64 = 1_000_000_000;

/// How often a named pipe is asked whether it has a reader.
const PAUSE: Duration = Duration::from_millis(100);

/// How a simulated run is doing; anybody may look, and anybody may end it.
pub(crate) struct Course {
    sinks: Sinks,
    stop: AtomicBool,
    /// The time that the slowest thread has come to, for a picture of the progress; in nanoseconds
    /// since the epoch.
    reached: AtomicI64,
}

impl Course {
    /// A run that has yet to begin.
    ///
    /// # Errors
    ///
    /// If the outputs can't be set up.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            sinks: Sinks::new()?,
            stop: AtomicBool::default(),
            reached: AtomicI64::default(),
        })
    }

    /// Has the run end at once, although an output hasn't taken the piece yet.
    pub(crate) fn give_up(&self) {
        self.stop();
        self.sinks.give_up();
    }

    /// Has the run end after the piece it is writing.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// About the time that the run has come to.
    pub(crate) fn reached(&self) -> Time {
        Time::from_nanos(self.reached.load(Ordering::Relaxed))
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Why a simulated run can't begin, or ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulationError {
    #[error(
        "source {0}: nothing says when the simulated time ends; \
         give --for DURATION, or set spec.stopAfter"
    )]
    Endless(String),
    #[error(
        "source {source_name}, generator {generator}, stream {stream}: an unlimited stream takes \
         no time when it is simulated; limit its lines (spec.stopAfter.lines, or -n), or give it \
         another interval"
    )]
    UnlimitedWithoutLines { source_name: String, generator: String, stream: String },
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// Writes the lines of all sources from `start` to their ends. Says what outputs
/// have left unwritten or unread.
///
/// # Errors
///
/// If the run has no end, or an output fails; then what was written stays, in whole lines.
pub(crate) fn run(
    plan: Plan,
    start: Time,
    threads: usize,
    metrics: &Metrics,
    course: &Course,
) -> (Vec<Remainder>, Result<(), SimulationError>) {
    if let Err(error) = plan.generators.iter().try_for_each(check) {
        return (Vec::new(), Err(error));
    }
    course.reached.store(start.as_nanos(), Ordering::Relaxed);
    let groups: Vec<Group> = groups(plan)
        .into_iter()
        .map(|generators| Group::new(generators, start, metrics, &course.sinks))
        .collect();
    let waiting = Mutex::new(groups.into_iter());
    let work = || {
        let (mut remainders, mut outcome) = (Vec::new(), Ok(()));
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(group) = next else { return (remainders, outcome) };
            let (left, ended) = group.run(course);
            remainders.extend(left);
            if ended.is_err() {
                course.stop();
                outcome = outcome.and(ended);
                return (remainders, outcome);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let (mut remainders, mut outcome) = (Vec::new(), Ok(()));
        for worker in workers {
            // A worker that panicked has said why on standard error.
            let (left, ended) = worker.join().unwrap_or((Vec::new(), Ok(())));
            remainders.extend(left);
            outcome = outcome.and(ended);
        }
        (remainders, outcome)
    })
}

/// Whether a generator's simulated run comes to an end.
fn check(generator: &GeneratorPlan) -> Result<(), SimulationError> {
    let limits = &generator.limits;
    if generator.suspended || limits.counts_lines() {
        return Ok(());
    }
    if limits.duration().is_none() {
        return Err(SimulationError::Endless(generator.key.source.clone()));
    }
    match generator.streams.iter().find(|stream| stream.pace.interval == Interval::Unlimited) {
        None => Ok(()),
        Some(stream) => Err(SimulationError::UnlimitedWithoutLines {
            source_name: generator.key.source.clone(),
            generator: generator.key.generator.clone(),
            stream: stream.name.clone(),
        }),
    }
}

/// Puts generators together that share an output or a limit of lines, in the documents' order.
fn groups(plan: Plan) -> Vec<Vec<GeneratorPlan>> {
    let mut groups: Vec<Vec<GeneratorPlan>> = Vec::new();
    for generator in plan.generators {
        let belongs = |other: &GeneratorPlan| {
            other.output.target == generator.output.target
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
    lanes: Vec<Lane>,
    outputs: Vec<SimulatedOutput>,
}

/// What belongs to a stream of a group besides its lines.
struct Lane {
    meter: Arc<StreamMeter>,
    output: usize,
    limits: Limits,
    end: Time,
}

struct SimulatedOutput {
    name: String,
    sink: SharedSink,
    meter: OutputMeter,
    batch: Batch,
    ages: bool,
    written: Time,
    end: End,
}

impl Group {
    fn new(generators: Vec<GeneratorPlan>, start: Time, metrics: &Metrics, sinks: &Sinks) -> Self {
        let mut places: HashMap<Target, usize> = HashMap::new();
        let (mut outputs, mut lanes, mut streams): (Vec<_>, Vec<_>, Vec<Stream>) =
            Default::default();
        for generator in generators {
            let plan = &generator.output;
            let output = *places.entry(plan.target.clone()).or_insert_with(|| {
                outputs.push(SimulatedOutput {
                    name: plan.name.clone(),
                    end: End::Whole,
                    sink: sinks.sink(plan),
                    meter: metrics.output(&plan.name),
                    batch: Batch::default(),
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
                meter.target.set(named.pace.lines_per_second);
                if !generator.suspended {
                    let limits = generator.limits.clone();
                    lanes.push(Lane { meter, output, limits, end });
                    streams.push(named.start(start));
                }
            }
        }
        Self { merge: Merge::new(streams), lanes, outputs }
    }

    /// Writes the lines of all streams up to their ends. Whatever happens, what was begun is brought
    /// to a whole line, or cut back to one.
    fn run(mut self, course: &Course) -> (Vec<Remainder>, Result<(), SimulationError>) {
        let mut outcome = self.write_lines(course);
        let mut remainders = Vec::new();
        for output in self.outputs {
            let closed = output.sink.close();
            let (lines, unread) = (output.batch.lines(), closed.as_ref().map_or(0, |c| c.unread));
            outcome = outcome.and(closed.map(|_| ()).map_err(Into::into));
            if lines > 0 || unread > 0 {
                let end = Some(output.end);
                remainders.push(Remainder { output: output.name, lines, end, unread });
            }
        }
        (remainders, outcome)
    }

    fn write_lines(&mut self, course: &Course) -> Result<(), SimulationError> {
        while let Some((due, index)) = self.merge.peek() {
            let lane = &self.lanes[index];
            let most = if due < lane.end { lane.limits.take(LINES_AT_ONCE) } else { 0 };
            if most == 0 {
                self.merge.end_next();
                continue;
            }
            let output = &mut self.outputs[lane.output];
            let next_second = due.nanos_since(output.written) >= SECOND;
            if output.batch.len() >= PIECE || (output.ages && next_second) {
                output.write(due, course)?;
                course.reached.store(due.as_nanos(), Ordering::Relaxed);
                if course.is_stopped() {
                    return Ok(());
                }
            }
            let flush = if output.ages { output.written.saturating_add(SECOND) } else { Time::MAX };
            let merge = &mut self.merge;
            output.batch.append(&lane.meter, due, |out| {
                let lines = merge.write(lane.end.min(flush), most, out);
                lane.limits.give_back(most - lines);
                lines
            });
        }
        let now = self.outputs.iter().map(|output| output.written).max().unwrap_or_default();
        self.outputs.iter_mut().try_for_each(|output| output.write(now.max(output.written), course))
    }
}

impl SimulatedOutput {
    /// Writes what has been gathered, at this simulated time. A named pipe waits for its reader.
    fn write(&mut self, now: Time, course: &Course) -> Result<(), SimulationError> {
        let mut is_told = false;
        loop {
            let progress = self.sink.write(self.batch.bytes(), now.timestamp());
            self.written = now;
            self.batch.account(&progress, &self.meter, None);
            let Some(error) = progress.error.or(progress.rotation_error) else { return Ok(()) };
            if matches!(error, SinkError::NoReader { .. }) && !course.is_stopped() {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(output = self.name, "{error}");
                }
                thread::sleep(PAUSE);
                continue;
            }
            self.end = match &error {
                SinkError::NoReader { .. } | SinkError::GivenUp { .. } => End::GivenUp,
                error if error.is_broken_pipe() => End::NobodyReads,
                SinkError::Failed { .. } => {
                    self.meter.errors.inc();
                    End::Failed
                }
            };
            return Err(error.into());
        }
    }
}

#[cfg(test)]
mod tests;
