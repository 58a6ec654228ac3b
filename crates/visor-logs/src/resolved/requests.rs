//! The choices for requests of an access log.

use std::{num::NonZeroU32, ops::RangeInclusive};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Choices;
use crate::{log_format::Namespace, quantity::Duration};

/// The choices for requests. An absent list is the default server's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requests {
    /// Whether some are malformed.
    pub malformed: bool,
    /// The clients' addresses.
    pub clients: Clients,
    /// The authenticated users.
    pub users: Option<Choices<String>>,
    /// The methods.
    pub methods: Option<Choices<String>>,
    /// The request targets.
    pub targets: Option<Choices<RequestTarget>>,
    /// The protocols.
    pub protocols: Option<Choices<String>>,
    /// The status codes.
    pub statuses: Option<Choices<u16>>,
    /// The sizes in bytes of bodies of targets without a size.
    pub sizes: Option<Choices<RangeInclusive<u64>>>,
    /// The referers.
    pub referers: Option<Choices<String>>,
    /// The user agents.
    pub user_agents: Option<Choices<String>>,
    /// The names of the virtual hosts.
    pub virtual_hosts: Option<Choices<String>>,
    /// The times to serve a request.
    pub durations: Option<Choices<RangeInclusive<Duration>>>,
    /// The values of directives that name something.
    pub directives: Vec<NamedDirective>,
}

/// A request target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestTarget {
    /// The path, optionally with a query.
    pub target: String,
    /// The size of its body in bytes; `None` to draw one.
    pub size: Option<u64>,
}

/// A pool of client addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clients {
    /// The number of different addresses.
    pub pool: NonZeroU32,
    /// How often each of them is drawn.
    pub distribution: Distribution,
    /// The networks of the addresses. An absent list is the default server's.
    pub networks: Option<Choices<IpNet>>,
}

/// A directive such as `%{X-Request-Id}i`, and its values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedDirective {
    /// The namespace of the name.
    pub namespace: Namespace,
    /// The name; case-insensitive, as headers and cookies are.
    pub name: String,
    /// The values.
    pub values: Choices<String>,
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
