//! The distribution of the time between two lines of a stream, and its surges.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use visor_logs::resolved;
pub use visor_logs::resolved::{Exponential, Normal, Uniform};

use crate::{bounded::Bounded, quantity::Duration};

/// The distribution of the time between two lines of a stream. Exactly one field is set.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Interval {
    /// A constant time.
    Fixed(Duration),
    /// A time between two bounds, uniformly distributed.
    Uniform(Uniform),
    /// Independent arrivals (a Poisson process): many short times, a few long ones.
    Exponential(Exponential),
    /// Normally distributed times; negative samples are drawn again.
    Normal(Normal),
    /// Evenly spaced lines at this rate.
    Rate(Rate),
    /// As fast as the output accepts lines.
    Unlimited(Unlimited),
}

impl From<Interval> for resolved::Interval {
    fn from(interval: Interval) -> Self {
        match interval {
            Interval::Fixed(every) => Self::Fixed(every),
            Interval::Uniform(interval) => Self::Uniform(interval),
            Interval::Exponential(interval) => Self::Exponential(interval),
            Interval::Normal(interval) => Self::Normal(interval),
            Interval::Rate(interval) => Self::Rate(interval.lines_per_second.get()),
            Interval::Unlimited(_) => Self::Unlimited,
        }
    }
}

/// A rate.
pub type LinesPerSecond = Bounded<NonZeroU32, 1, 100_000_000>;

/// Evenly spaced lines.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Lines per second. For less than one per second, use `fixed`.
    pub lines_per_second: LinesPerSecond,
}

/// As fast as the output accepts lines.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
pub struct Unlimited {}

/// A recurring period of more lines (or fewer, or none).
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Surge {
    /// The time from the start of one surge to the start of the next. The first one starts after
    /// this time. At least 1ms, and at least a hundred-thousandth of the mean interval.
    pub every: Duration,
    /// The length of a surge; shorter than `every`.
    pub duration: Duration,
    /// The factor of the rate; 0 is no lines. The factors of overlapping surges are multiplied.
    pub factor: Bounded<u32, 0, 10_000>,
}
