//! What: weighted choices, ranges and address pools, the ways every field of content is drawn.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Duration;

/// A text that is drawn as often as its weight says, beside the others of its list.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The text. Bytes that Apache escapes are escaped when it is written.
    #[schemars(length(max = 8190))]
    pub value: String,
    /// How often, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

/// A status code and how often it is drawn.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StatusChoice {
    /// The status code of the response.
    #[schemars(range(min = 100, max = 599))]
    pub value: i32,
    /// How often, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

/// A request target (a path, perhaps with a query) and how often it is drawn.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The request target, such as `/products/17?colour=red`.
    #[schemars(length(min = 1, max = 8190))]
    pub value: String,
    /// How often, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
    /// The size of its body where it is served in full. Absent: drawn from `sizes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_099_511_627_776_i64))]
    pub size: Option<i64>,
}

/// A range of response sizes in bytes, all equally likely, and how often the range is drawn.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SizeRange {
    /// The smallest size in bytes.
    #[schemars(range(min = 0, max = 1_099_511_627_776_i64))]
    pub min: i64,
    /// The largest size in bytes.
    #[schemars(range(min = 0, max = 1_099_511_627_776_i64))]
    pub max: i64,
    /// How often, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

/// A range of times to serve a request (`%D`, `%T`), and how often the range is drawn.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DurationRange {
    /// The shortest time.
    pub min: Duration,
    /// The longest time.
    pub max: Duration,
    /// How often, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

/// The clients: a pool of addresses, and how one is drawn from it.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Clients {
    /// How many different addresses there are.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 65_536))]
    pub pool: i32,
    /// How often each address of the pool comes.
    #[serde(default)]
    pub distribution: Distribution,
    /// The networks that the pool's addresses are taken from, IPv4 and IPv6, such as
    /// `203.0.113.0/24` or `2001:db8::/32`. Absent: networks that are set aside for examples and
    /// benchmarks and so belong to nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub networks: Vec<Choice>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { pool: fifty(), distribution: Distribution::default(), networks: Vec::new() }
    }
}

/// How often each member of a pool is drawn.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// All equally often.
    Uniform,
    /// The middle of the pool most often, by the binomial law with p = 1/2.
    #[default]
    Binomial,
    /// The n-th in proportion to 1/n: a few visitors make most of the traffic.
    Zipf,
}

pub(crate) fn one() -> i32 {
    1
}

fn fifty() -> i32 {
    50
}
