//! A stream: its timing, and the content of its lines.

use std::num::NonZeroU32;

use crate::{
    quantity::Duration,
    source::{self, Exponential, Normal, StreamKind, Uniform},
};

/// One kind of line in a log; `L` is the content of its lines.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stream<L> {
    /// Its name, unique within the generator.
    pub name: String,
    /// The kind of line, as metrics name it.
    pub kind: StreamKind,
    /// When its lines are due.
    pub timing: Timing,
    /// The content of its lines.
    pub lines: L,
}

/// When the lines of a stream are due.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Timing {
    /// The distribution of the time between two lines.
    pub interval: Interval,
    /// The time from the start to the first line; `None`: as if a line had just been written.
    pub initial_delay: Option<Duration>,
    /// Periods of more lines, or of fewer.
    pub surges: Vec<Surge>,
    /// The configured rate in lines per second, without surges; infinite for an unlimited stream.
    pub lines_per_second: f64,
}

/// The distribution of the time between two lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interval {
    /// Always the same time.
    Fixed(Duration),
    /// Uniformly distributed between two bounds.
    Uniform(Uniform),
    /// Exponentially distributed: independent arrivals.
    Exponential(Exponential),
    /// Normally distributed, without negative times.
    Normal(Normal),
    /// Evenly spaced, with this many lines per second.
    Rate(NonZeroU32),
    /// As fast as the output accepts lines.
    Unlimited,
}

/// A recurring period of more lines (or fewer, or none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surge {
    /// From the start of one to the start of the next.
    pub every: Duration,
    /// How long it lasts; shorter than `every`.
    pub duration: Duration,
    /// The factor of the rate; 0 is no lines.
    pub factor: u32,
}

impl<L> Stream<L> {
    /// A stream of the document with lines of this content.
    pub(super) fn resolve(stream: &source::Stream, lines: L) -> Self {
        let timing = Timing::resolve(stream);
        Self { name: stream.name.clone(), kind: stream.kind, timing, lines }
    }
}

impl Timing {
    fn resolve(stream: &source::Stream) -> Self {
        let interval = stream.resolved_interval();
        let surge = |surge: &source::Surge| Surge {
            every: surge.every,
            duration: surge.duration,
            factor: surge.factor.get(),
        };
        Self {
            lines_per_second: interval.lines_per_second(),
            interval: interval.into(),
            initial_delay: stream.initial_delay,
            surges: stream.surges.iter().map(surge).collect(),
        }
    }
}

impl From<source::Interval> for Interval {
    fn from(interval: source::Interval) -> Self {
        match interval {
            source::Interval::Fixed(every) => Self::Fixed(every),
            source::Interval::Uniform(interval) => Self::Uniform(interval),
            source::Interval::Exponential(interval) => Self::Exponential(interval),
            source::Interval::Normal(interval) => Self::Normal(interval),
            source::Interval::Rate(interval) => Self::Rate(interval.lines_per_second.get()),
            source::Interval::Unlimited(_) => Self::Unlimited,
        }
    }
}
