//! When: the random law of the time between two lines of one stream, and its surges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Duration;

/// The law of the time between two lines of a stream. Exactly one of its fields is set.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Interval {
    /// Always the same time.
    Fixed(Duration),
    /// Any time between two bounds, all equally likely.
    Uniform(Uniform),
    /// Independent arrivals (a Poisson process): many short times, a few long ones.
    Exponential(Exponential),
    /// Times around a mean; a negative draw is drawn again.
    Normal(Normal),
    /// Evenly spaced lines, so many a second.
    Rate(Rate),
    /// As fast as the output takes them.
    Unlimited(Unlimited),
}

/// All times between `min` and `max` are equally likely.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Uniform {
    /// The shortest time.
    pub min: Duration,
    /// The longest time.
    pub max: Duration,
}

/// Times of independent arrivals.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Exponential {
    /// The mean time.
    pub mean: Duration,
}

/// Times of a bell curve, cut at zero.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Normal {
    /// The middle of the curve.
    pub mean: Duration,
    /// Its width.
    pub standard_deviation: Duration,
}

/// Evenly spaced lines.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Lines a second. For less than one a second, use `fixed`.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub lines_per_second: i32,
}

/// As fast as the output takes the lines. Only the output's speed sets the pace.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
pub struct Unlimited {}

/// A time of more lines (or fewer, or none) that comes back again and again.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Surge {
    /// From the start of one surge to the start of the next. The first starts when this time has
    /// passed once.
    pub every: Duration,
    /// How long a surge lasts; shorter than `every`.
    pub duration: Duration,
    /// How many times as many lines; 0 is silence. Surges that overlap multiply.
    #[schemars(range(min = 0, max = 10_000))]
    pub factor: i32,
}
