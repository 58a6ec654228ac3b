//! The choices for requests of an access log.

use std::{num::NonZeroU32, ops::RangeInclusive};

use ipnet::IpNet;

use super::choices::{Choices, choices, texts};
use crate::{
    log_format::{self, Namespace},
    quantity::Duration,
    source::{self, AccessFormat, ByteCount, Distribution, RequestChoices},
};

/// The choices for requests. An absent list is the default server's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
#[non_exhaustive]
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

impl Requests {
    pub(super) fn resolve(content: &RequestChoices, format: AccessFormat) -> Self {
        Self {
            malformed: content.has_malformed_requests(format),
            clients: Clients::resolve(content.clients.as_ref()),
            users: texts(&content.users),
            methods: texts(&content.methods),
            targets: choices(&content.targets, |target| {
                let size = target.size.map(ByteCount::get);
                Some(RequestTarget { target: target.value.clone(), size })
            }),
            protocols: texts(&content.protocols),
            statuses: choices(&content.statuses, |status| Some(status.value.get())),
            sizes: choices(&content.sizes, |size| Some(size.min.get()..=size.max.get())),
            referers: texts(&content.referers),
            user_agents: texts(&content.user_agents),
            virtual_hosts: texts(&content.virtual_hosts),
            durations: choices(&content.durations, |range| Some(range.min..=range.max)),
            directives: content.directives.iter().filter_map(NamedDirective::resolve).collect(),
        }
    }
}

impl Clients {
    pub(super) fn resolve(clients: Option<&source::Clients>) -> Self {
        let clients = clients.cloned().unwrap_or_default();
        Self {
            pool: clients.pool.get(),
            distribution: clients.distribution,
            networks: choices(&clients.networks, |network| network.value.known().copied()),
        }
    }
}

impl NamedDirective {
    fn resolve(directive: &source::DirectiveValues) -> Option<Self> {
        let log_format::NamedDirective { namespace, name } = directive.directive.known()?.clone();
        Some(Self { namespace, name, values: texts(&directive.values)? })
    }
}
