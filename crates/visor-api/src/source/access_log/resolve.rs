//! The validated form of an access log. Pure.

use visor_logs::{
    log_format,
    resolved::{self, AccessLine, Heartbeat, NamedDirective, RequestTarget, Requests},
};

use super::{AccessFormat, AccessLog, DirectiveValues, RequestChoices};
use crate::source::{
    Generator, HeartbeatStyle, Release, Stream, StreamKind,
    choice::{
        ByteCount,
        resolve::{choices, texts},
    },
    log::{Common, streams},
};

impl AccessLog {
    pub(super) fn resolved(
        &self,
        generator: &Generator,
        common: Common,
    ) -> Option<resolved::AccessLog> {
        let format = self.resolved_format()?;
        Some(resolved::AccessLog {
            release: common.release.unwrap_or(Release::PRESENT),
            token: if common.tokens { self.token_place(&format) } else { None },
            format,
            requests: self.content.resolve(self.format, common.tokens),
            streams: streams(generator, |stream| access_line(stream, self, common.tokens)),
        })
    }
}

fn access_line(stream: &Stream, log: &AccessLog, tokens: bool) -> AccessLine {
    if stream.kind == StreamKind::Heartbeat {
        return AccessLine::Heartbeat(heartbeat(stream));
    }
    AccessLine::Request(
        stream
            .access
            .as_ref()
            .map(|own| Box::new(over(own, &log.content).resolve(log.format, tokens))),
    )
}

fn heartbeat(stream: &Stream) -> Heartbeat {
    match stream.resolved_heartbeat() {
        HeartbeatStyle::KubeProbe => Heartbeat::KubeProbe,
        HeartbeatStyle::InternalDummyConnection => Heartbeat::InternalDummyConnection,
        HeartbeatStyle::Message => {
            Heartbeat::Message(choices(&stream.messages, |message| Some(message.value.clone())))
        }
    }
}

impl RequestChoices {
    pub(super) fn resolve(&self, format: AccessFormat, tokens: bool) -> Requests {
        Requests {
            malformed: !tokens && self.has_malformed_requests(format),
            clients: (&self.clients.clone().unwrap_or_default()).into(),
            users: texts(&self.users),
            methods: texts(&self.methods),
            targets: choices(&self.targets, |target| {
                let size = target.size.map(ByteCount::get);
                Some(RequestTarget { target: target.value.clone(), size })
            }),
            protocols: texts(&self.protocols),
            statuses: choices(&self.statuses, |status| Some(status.value.get())),
            sizes: choices(&self.sizes, |size| Some(size.min.get()..=size.max.get())),
            referers: texts(&self.referers),
            user_agents: texts(&self.user_agents),
            virtual_hosts: texts(&self.virtual_hosts),
            durations: choices(&self.durations, |range| Some(range.min..=range.max)),
            directives: self.directives.iter().filter_map(directive).collect(),
        }
    }
}

fn directive(directive: &DirectiveValues) -> Option<NamedDirective> {
    let log_format::NamedDirective { namespace, name } = directive.directive.known()?.clone();
    Some(NamedDirective { namespace, name, values: texts(&directive.values)? })
}

/// The choices of a stream, and the generator's for those that it doesn't set.
fn over(own: &RequestChoices, general: &RequestChoices) -> RequestChoices {
    fn list<T: Clone>(own: &[T], general: &[T]) -> Vec<T> {
        if own.is_empty() { general.to_vec() } else { own.to_vec() }
    }
    RequestChoices {
        malformed_requests: own.malformed_requests.or(general.malformed_requests),
        clients: own.clients.clone().or_else(|| general.clients.clone()),
        users: list(&own.users, &general.users),
        methods: list(&own.methods, &general.methods),
        targets: list(&own.targets, &general.targets),
        protocols: list(&own.protocols, &general.protocols),
        statuses: list(&own.statuses, &general.statuses),
        sizes: list(&own.sizes, &general.sizes),
        referers: list(&own.referers, &general.referers),
        user_agents: list(&own.user_agents, &general.user_agents),
        virtual_hosts: list(&own.virtual_hosts, &general.virtual_hosts),
        durations: list(&own.durations, &general.durations),
        directives: list(&own.directives, &general.directives),
    }
}
