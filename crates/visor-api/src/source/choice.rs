//! Weighted choices, ranges and address pools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Duration;

/// A weighted value.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The value, of at most 8190 bytes. It is escaped as Apache escapes it.
    #[schemars(length(max = 8190))]
    pub value: String,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

/// A weighted status code.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StatusChoice {
    /// The status code of the response.
    #[schemars(range(min = 100, max = 599))]
    pub value: i32,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

/// A weighted request target: a path, optionally with a query.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequestTarget {
    /// The request target, such as `/products/17?color=red`, of at most 8190 bytes.
    #[schemars(length(min = 1, max = 8190))]
    pub value: String,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
    /// The size of the response body in bytes if it is sent completely. Default: drawn from
    /// `sizes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_099_511_627_776_i64))]
    pub size: Option<i64>,
}

/// A weighted range of response sizes, uniformly distributed.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SizeRange {
    /// The minimum size in bytes.
    #[schemars(range(min = 0, max = 1_099_511_627_776_i64))]
    pub min: i64,
    /// The maximum size in bytes.
    #[schemars(range(min = 0, max = 1_099_511_627_776_i64))]
    pub max: i64,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

/// A weighted range of times to serve a request (`%D`, `%T`).
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DurationRange {
    /// The minimum time.
    pub min: Duration,
    /// The maximum time.
    pub max: Duration,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

/// A pool of client addresses.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Clients {
    /// The number of different addresses, at most as many as the networks have.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 65_536))]
    pub pool: i32,
    /// How often each address of the pool is drawn.
    #[serde(default)]
    pub distribution: Distribution,
    /// The networks of the addresses, IPv4 and IPv6, such as `203.0.113.0/24` or `2001:db8::/32`.
    /// Default: networks that are reserved for documentation and benchmarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub networks: Vec<Choice>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { pool: fifty(), distribution: Distribution::default(), networks: Vec::new() }
    }
}

/// The distribution of the addresses of a pool.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// All equally often
    Uniform,
    /// The middle of the pool most often: the binomial distribution with p = 1/2; one request in a hundred is from any address of the pool
    #[default]
    Binomial,
    /// The n-th in proportion to 1/n: few clients cause most of the traffic
    Zipf,
}

pub(crate) fn one() -> i32 {
    1
}

fn fifty() -> i32 {
    50
}
