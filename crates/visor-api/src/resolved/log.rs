//! The log of a generator, of what the document says.

use visor_logs::resolved::{
    AccessLine, AccessLog, ErrorLog, Generator, Heartbeat, Log, Message, Stream,
};

use super::{
    choices::{choices, texts},
    requests::{clients, requests},
    stream::timing,
};
use crate::source::{self, HeartbeatStyle, Release, RequestChoices, StreamKind};

/// A generator; `None` if it has no log, or several, or one without a format.
pub(super) fn generator(
    generator: &source::Generator,
    release: Option<Release>,
) -> Option<Generator> {
    let log = match generator.log(generator.log_kind()?)? {
        source::Log::Access(log) => Log::Access(Box::new(access_log(log, release, generator)?)),
        source::Log::Error(log) => Log::Error(error_log(log, release, generator)?),
    };
    Some(Generator { name: generator.name.clone(), log, output: (&generator.output).into() })
}

fn access_log(
    log: &source::AccessLog,
    release: Option<Release>,
    generator: &source::Generator,
) -> Option<AccessLog> {
    Some(AccessLog {
        release: release.unwrap_or(Release::PRESENT),
        format: log.resolved_format()?,
        requests: requests(&log.content, log.format),
        streams: streams(generator, |stream| access_line(stream, log)),
    })
}

fn access_line(stream: &source::Stream, log: &source::AccessLog) -> AccessLine {
    if stream.kind == StreamKind::Heartbeat {
        return AccessLine::Heartbeat(heartbeat(stream));
    }
    AccessLine::Request(
        stream.access.as_ref().map(|own| Box::new(requests(&over(own, &log.content), log.format))),
    )
}

fn heartbeat(stream: &source::Stream) -> Heartbeat {
    match stream.resolved_heartbeat() {
        HeartbeatStyle::KubeProbe => Heartbeat::KubeProbe,
        HeartbeatStyle::InternalDummyConnection => Heartbeat::InternalDummyConnection,
        HeartbeatStyle::Message => {
            Heartbeat::Message(choices(&stream.messages, |message| Some(message.value.clone())))
        }
    }
}

fn error_log(
    log: &source::ErrorLog,
    release: Option<Release>,
    generator: &source::Generator,
) -> Option<ErrorLog> {
    let release = log.release(release);
    let message = |message: &source::Message| {
        let (text, module) = (message.value.clone(), message.module.clone());
        Some(Message { text, module, client: message.client })
    };
    Some(ErrorLog {
        release,
        format: log.resolved_format(release)?,
        mpm: log.mpm,
        clients: clients(log.clients.as_ref()),
        document_root: log.document_root.clone(),
        referers: texts(&log.referers),
        streams: streams(generator, |stream| choices(&stream.messages, message)),
    })
}

/// The streams of a generator: the configured ones, else those of the default server.
fn streams<L>(
    generator: &source::Generator,
    lines: impl Fn(&source::Stream) -> L,
) -> Vec<Stream<L>> {
    let stream = |stream: &source::Stream| Stream {
        name: stream.name.clone(),
        kind: stream.kind,
        timing: timing(stream),
        lines: lines(stream),
    };
    generator.resolved_streams().iter().map(stream).collect()
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
