//! Weighted choices, ranges and address pools.

pub(crate) mod resolve;
pub(crate) mod rules;

use std::num::NonZeroU32;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use visor_logs::resolved::Distribution;

use crate::{bounded::Bounded, parsed::Parsed, quantity::Duration};

/// A weight; 0 is never.
pub type Weight = Bounded<u32, 0, 1_000_000>;

/// A number of bytes, up to a tebibyte.
pub type ByteCount = Bounded<u64, 0, 1_099_511_627_776>;

/// The number of addresses in a pool.
pub type PoolSize = Bounded<NonZeroU32, 1, 65_536>;

/// A weighted value.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The value, of at most 8190 bytes. It is escaped as Apache escapes it.
    #[schemars(length(max = 8190))]
    pub value: String,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    pub weight: Weight,
}

/// A weighted status code.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StatusChoice {
    /// The status code of the response.
    pub value: Bounded<u16, 100, 599>,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    pub weight: Weight,
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
    pub weight: Weight,
    /// The size of the response body in bytes if it is sent completely. Default: drawn from
    /// `sizes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteCount>,
}

/// A weighted range of response sizes, uniformly distributed.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SizeRange {
    /// The minimum size in bytes.
    pub min: ByteCount,
    /// The maximum size in bytes.
    pub max: ByteCount,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    pub weight: Weight,
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
    pub weight: Weight,
}

/// A weighted network.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkChoice {
    /// The network, such as `203.0.113.0/24`.
    #[schemars(length(max = 8190))]
    pub value: Parsed<IpNet>,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    pub weight: Weight,
}

/// A pool of client addresses.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Clients {
    /// The number of different addresses, at most as many as the networks have.
    #[serde(default = "fifty")]
    pub pool: PoolSize,
    /// How often each address of the pool is drawn.
    #[serde(default)]
    pub distribution: Distribution,
    /// The networks of the addresses, IPv4 and IPv6, such as `203.0.113.0/24` or `2001:db8::/32`.
    /// Default: networks that are reserved for documentation and benchmarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub networks: Vec<NetworkChoice>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { pool: fifty(), distribution: Distribution::default(), networks: Vec::new() }
    }
}

pub(crate) fn one() -> Weight {
    Weight::of::<1>()
}

fn fifty() -> PoolSize {
    PoolSize::of::<50>()
}
