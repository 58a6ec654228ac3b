//! The choices for requests of an access log.

use std::{num::NonZeroU32, ops::RangeInclusive};

use ipnet::IpNet;

use super::{
    choices::{Choices, choices, texts},
    number::number,
};
use crate::{
    log_format::{self, Namespace},
    network,
    problem::{Path, Problem},
    quantity::Duration,
    rules,
    source::{self, AccessFormat, Distribution, RequestChoices},
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
    pub(super) fn resolve(
        content: &RequestChoices,
        format: AccessFormat,
        path: &Path,
    ) -> Result<Self, Problem> {
        let directives = content.directives.iter().enumerate();
        Ok(Self {
            malformed: content.has_malformed_requests(format),
            clients: Clients::resolve(content.clients.as_ref(), &path.field("clients"))?,
            users: texts(&content.users, &path.field("users"))?,
            methods: texts(&content.methods, &path.field("methods"))?,
            targets: choices(&content.targets, &path.field("targets"), RequestTarget::resolve)?,
            protocols: texts(&content.protocols, &path.field("protocols"))?,
            statuses: choices(&content.statuses, &path.field("statuses"), |status, path| {
                number(status.value, &path.field("value"))
            })?,
            sizes: choices(&content.sizes, &path.field("sizes"), |size, path| {
                let (min, max) = (path.field("min"), path.field("max"));
                Ok(number(size.min, &min)?..=number(size.max, &max)?)
            })?,
            referers: texts(&content.referers, &path.field("referers"))?,
            user_agents: texts(&content.user_agents, &path.field("userAgents"))?,
            virtual_hosts: texts(&content.virtual_hosts, &path.field("virtualHosts"))?,
            durations: choices(&content.durations, &path.field("durations"), |duration, _| {
                Ok(duration.min..=duration.max)
            })?,
            directives: directives
                .map(|(index, directive)| {
                    NamedDirective::resolve(directive, &path.field("directives").index(index))
                })
                .collect::<Result<_, _>>()?,
        })
    }
}

impl RequestTarget {
    fn resolve(resource: &source::RequestTarget, path: &Path) -> Result<Self, Problem> {
        let size = resource.size.map(|size| number(size, &path.field("size")));
        Ok(Self { target: resource.value.clone(), size: size.transpose()? })
    }
}

impl Clients {
    pub(super) fn resolve(clients: Option<&source::Clients>, path: &Path) -> Result<Self, Problem> {
        let clients = clients.cloned().unwrap_or_default();
        let network = |network: &source::Choice, path: &Path| {
            let parsed = network::parse(&network.value);
            parsed.map_err(|message| Problem::new(path.field("value"), message))
        };
        Ok(Self {
            pool: number(clients.pool, &path.field("pool"))?,
            distribution: clients.distribution,
            networks: choices(&clients.networks, &path.field("networks"), network)?,
        })
    }
}

impl NamedDirective {
    fn resolve(directive: &source::DirectiveValues, path: &Path) -> Result<Self, Problem> {
        let place = path.field("directive");
        let parsed = log_format::parse(&directive.directive)
            .map_err(|error| Problem::new(place.clone(), error.to_string()))?;
        let named = parsed.items.first().and_then(rules::named);
        let Some((namespace, name)) = named else {
            return Err(Problem::new(place, "must be a directive that names something"));
        };
        let path = path.field("values");
        let Some(values) = texts(&directive.values, &path)? else {
            return Err(Problem::new(path, "must not be empty; add at least one item"));
        };
        Ok(Self { namespace, name: name.to_owned(), values })
    }
}
