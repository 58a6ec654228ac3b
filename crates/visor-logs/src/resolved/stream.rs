//! A stream: its timing, and the content of its lines.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{quantity::Duration, stream_kind::StreamKind};

/// One kind of line in a log; `L` is the content of its lines.
#[derive(Debug, Clone, PartialEq)]
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

/// Times between `min` and `max`, uniformly distributed.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Uniform {
    /// The minimum time.
    pub min: Duration,
    /// The maximum time.
    pub max: Duration,
}

/// Exponentially distributed times.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Exponential {
    /// The mean time.
    pub mean: Duration,
}

/// Normally distributed times, without negative ones.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Normal {
    /// The mean time.
    pub mean: Duration,
    /// The standard deviation.
    pub standard_deviation: Duration,
}
