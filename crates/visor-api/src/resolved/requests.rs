//! The choices for requests of an access log, of what the document says.

use visor_logs::{
    log_format,
    resolved::{Clients, NamedDirective, RequestTarget, Requests},
};

use super::choices::{choices, texts};
use crate::source::{self, AccessFormat, ByteCount, RequestChoices};

pub(super) fn requests(content: &RequestChoices, format: AccessFormat) -> Requests {
    Requests {
        malformed: content.has_malformed_requests(format),
        clients: clients(content.clients.as_ref()),
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
        directives: content.directives.iter().filter_map(directive).collect(),
    }
}

pub(super) fn clients(clients: Option<&source::Clients>) -> Clients {
    let clients = clients.cloned().unwrap_or_default();
    Clients {
        pool: clients.pool.get(),
        distribution: clients.distribution,
        networks: choices(&clients.networks, |network| network.value.known().copied()),
    }
}

fn directive(directive: &source::DirectiveValues) -> Option<NamedDirective> {
    let log_format::NamedDirective { namespace, name } = directive.directive.known()?.clone();
    Some(NamedDirective { namespace, name, values: texts(&directive.values)? })
}
