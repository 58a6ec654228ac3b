//! A stream: its clock, and what its lines are.

use std::num::NonZeroU32;

use super::number::number;
use crate::{
    problem::{Path, Problem},
    quantity::Duration,
    source::{self, Exponential, Normal, StreamKind, Uniform},
};

/// One kind of line in a log; `L` is what its lines are.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stream<L> {
    /// Its name, unique within the generator.
    pub name: String,
    /// What kind of line, as metrics call it.
    pub kind: StreamKind,
    /// When its lines come.
    pub pace: Pace,
    /// What they are.
    pub lines: L,
}

/// When the lines of a stream come.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Pace {
    /// The law of the time between two lines.
    pub interval: Interval,
    /// How long after its start the first line is due; `None`: as if one had just been written.
    pub initial_delay: Option<Duration>,
    /// Times of more lines, or of fewer.
    pub surges: Vec<Surge>,
    /// The wanted rate in lines a second, surges left out: infinite for an unlimited stream.
    pub lines_per_second: f64,
}

/// The law of the time between two lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interval {
    /// Always the same time.
    Fixed(Duration),
    /// Any time between two bounds, all equally likely.
    Uniform(Uniform),
    /// Independent arrivals.
    Exponential(Exponential),
    /// Times of a bell curve, cut at zero.
    Normal(Normal),
    /// Evenly spaced lines, so many a second.
    Rate(NonZeroU32),
    /// As fast as the output takes them.
    Unlimited,
}

/// A time of more lines (or fewer, or none) that comes back again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surge {
    /// From the start of one to the start of the next.
    pub every: Duration,
    /// How long it lasts; shorter than `every`.
    pub duration: Duration,
    /// How many times as many lines; 0 is silence.
    pub factor: u32,
}

impl<L> Stream<L> {
    /// A stream of the document at `path` whose lines are these.
    pub(super) fn resolve(stream: &source::Stream, lines: L, path: &Path) -> Result<Self, Problem> {
        let pace = Pace::resolve(stream, path)?;
        Ok(Self { name: stream.name.clone(), kind: stream.kind, pace, lines })
    }
}

impl Pace {
    fn resolve(stream: &source::Stream, path: &Path) -> Result<Self, Problem> {
        let interval = stream.resolved_interval();
        let surge = |(index, surge): (usize, &source::Surge)| {
            let factor = path.field("surges").index(index).field("factor");
            let factor = number(surge.factor, &factor)?;
            Ok(Surge { every: surge.every, duration: surge.duration, factor })
        };
        Ok(Self {
            lines_per_second: interval.lines_per_second(),
            interval: Interval::resolve(interval, &path.field("interval"))?,
            initial_delay: stream.initial_delay,
            surges: stream.surges.iter().enumerate().map(surge).collect::<Result<_, _>>()?,
        })
    }
}

impl Interval {
    fn resolve(interval: source::Interval, path: &Path) -> Result<Self, Problem> {
        Ok(match interval {
            source::Interval::Fixed(every) => Self::Fixed(every),
            source::Interval::Uniform(law) => Self::Uniform(law),
            source::Interval::Exponential(law) => Self::Exponential(law),
            source::Interval::Normal(law) => Self::Normal(law),
            source::Interval::Rate(law) => {
                let path = path.field("rate").field("linesPerSecond");
                Self::Rate(number(law.lines_per_second, &path)?)
            }
            source::Interval::Unlimited(_) => Self::Unlimited,
        })
    }
}
