//! The log of a generator: an access log or an error log, with its streams.

use super::{
    choices::{Choices, choices, texts},
    requests::{Clients, Requests},
    stream::Stream,
};
use crate::{
    error_log_format::ErrorLogFormat,
    source::{self, Format, HeartbeatStyle, Mpm, Release, RequestChoices, StreamKind},
};

/// The log of a generator.
#[derive(Debug, Clone, PartialEq)]
pub enum Log {
    /// Requests.
    Access(Box<AccessLog>),
    /// Messages.
    Error(ErrorLog),
}

/// An access log.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AccessLog {
    /// The release of httpd.
    pub release: Release,
    /// The format of its lines.
    pub format: Format,
    /// The choices for requests of streams that have none of their own.
    pub requests: Requests,
    /// Its streams.
    pub streams: Vec<Stream<AccessLine>>,
}

/// The content of the lines of a stream in an access log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccessLine {
    /// Requests; `None` for the choices of the log.
    Request(Option<Box<Requests>>),
    /// Heartbeats.
    Heartbeat(Heartbeat),
}

/// The style of a heartbeat in an access log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Heartbeat {
    /// A kubelet's probe.
    KubeProbe,
    /// httpd's request to itself that wakes up a child process.
    InternalDummyConnection,
    /// Only a message; `None` for the default one.
    Message(Option<Choices<String>>),
}

/// An error log.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ErrorLog {
    /// The release of httpd whose messages these are.
    pub release: Release,
    /// The format of its lines.
    pub format: ErrorLogFormat,
    /// The multi-processing module.
    pub mpm: Mpm,
    /// The clients' addresses.
    pub clients: Clients,
    /// The directory of the files that the messages are about.
    pub document_root: String,
    /// The referers of requests. An absent list is the default server's.
    pub referers: Option<Choices<String>>,
    /// Its streams, each with its messages. An absent list is httpd's messages of that level.
    pub streams: Vec<Stream<Option<Choices<Message>>>>,
}

/// A message of an error log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The text.
    pub text: String,
    /// The module that logs it; `None` for the default of the stream.
    pub module: Option<String>,
    /// Whether it is about a client's connection.
    pub client: bool,
}

impl Log {
    /// The log of a generator; `None` if it has none, or several, or one without a format.
    pub(super) fn resolve(generator: &source::Generator, release: Option<Release>) -> Option<Self> {
        match generator.log(generator.log_kind()?)? {
            source::Log::Access(log) => {
                AccessLog::resolve(log, release, generator).map(|log| Self::Access(Box::new(log)))
            }
            source::Log::Error(log) => ErrorLog::resolve(log, release, generator).map(Self::Error),
        }
    }
}

impl AccessLog {
    fn resolve(
        log: &source::AccessLog,
        release: Option<Release>,
        generator: &source::Generator,
    ) -> Option<Self> {
        Some(Self {
            release: release.unwrap_or(Release::PRESENT),
            format: log.resolved_format()?,
            requests: Requests::resolve(&log.content, log.format),
            streams: streams(generator, |stream| AccessLine::resolve(stream, log)),
        })
    }
}

impl AccessLine {
    fn resolve(stream: &source::Stream, log: &source::AccessLog) -> Self {
        if stream.kind == StreamKind::Heartbeat {
            return Self::Heartbeat(Heartbeat::resolve(stream));
        }
        Self::Request(
            stream
                .access
                .as_ref()
                .map(|own| Box::new(Requests::resolve(&over(own, &log.content), log.format))),
        )
    }
}

impl Heartbeat {
    fn resolve(stream: &source::Stream) -> Self {
        match stream.resolved_heartbeat() {
            HeartbeatStyle::KubeProbe => Self::KubeProbe,
            HeartbeatStyle::InternalDummyConnection => Self::InternalDummyConnection,
            HeartbeatStyle::Message => {
                Self::Message(choices(&stream.messages, |message| Some(message.value.clone())))
            }
        }
    }
}

impl ErrorLog {
    fn resolve(
        log: &source::ErrorLog,
        release: Option<Release>,
        generator: &source::Generator,
    ) -> Option<Self> {
        let release = log.release(release);
        let message = |message: &source::Message| {
            let (text, module) = (message.value.clone(), message.module.clone());
            Some(Message { text, module, client: message.client })
        };
        Some(Self {
            release,
            format: log.resolved_format(release)?,
            mpm: log.mpm,
            clients: Clients::resolve(log.clients.as_ref()),
            document_root: log.document_root.clone(),
            referers: texts(&log.referers),
            streams: streams(generator, |stream| choices(&stream.messages, message)),
        })
    }
}

/// The streams of a generator: the configured ones, else those of the default server.
fn streams<L>(
    generator: &source::Generator,
    lines: impl Fn(&source::Stream) -> L,
) -> Vec<Stream<L>> {
    let streams = generator.resolved_streams();
    streams.iter().map(|stream| Stream::resolve(stream, lines(stream))).collect()
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
