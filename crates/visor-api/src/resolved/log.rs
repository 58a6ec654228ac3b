//! The log of a generator: an access log or an error log, with its streams.

use super::{
    choices::{Choices, choices, texts},
    requests::{Clients, Requests},
    stream::Stream,
};
use crate::{
    error_log_format::ErrorLogFormat,
    problem::{Path, Problem},
    rules,
    source::{self, Format, HeartbeatStyle, LogKind, Mpm, Release, RequestChoices, StreamKind},
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
    pub(super) fn resolve(
        generator: &source::Generator,
        release: Option<Release>,
        path: &Path,
    ) -> Result<Self, Problem> {
        let kind = generator.log_kind();
        let place = |kind: LogKind| path.field(kind.field());
        match kind.and_then(|kind| Some((generator.log(kind)?, place(kind)))) {
            Some((source::Log::Access(log), path)) => {
                let log = AccessLog::resolve(log, release, generator, &path)?;
                Ok(Self::Access(Box::new(log)))
            }
            Some((source::Log::Error(log), path)) => {
                ErrorLog::resolve(log, release, generator, &path).map(Self::Error)
            }
            None => {
                let message = "exactly one of `access`, `error` must be set";
                Err(Problem::new(path.clone(), message))
            }
        }
    }
}

impl AccessLog {
    fn resolve(
        log: &source::AccessLog,
        release: Option<Release>,
        generator: &source::Generator,
        path: &Path,
    ) -> Result<Self, Problem> {
        let stream = |stream: &source::Stream, path: &Path| {
            Stream::resolve(stream, AccessLine::resolve(stream, log, path)?, path)
        };
        Ok(Self {
            release: release.unwrap_or(Release::PRESENT),
            format: rules::format(log)
                .map_err(|(field, message)| Problem::new(path.field(field), message))?,
            requests: Requests::resolve(&log.content, log.format, path)?,
            streams: streams(generator, path, stream)?,
        })
    }
}

impl AccessLine {
    fn resolve(
        stream: &source::Stream,
        log: &source::AccessLog,
        path: &Path,
    ) -> Result<Self, Problem> {
        if stream.kind == StreamKind::Heartbeat {
            return Heartbeat::resolve(stream, path).map(Self::Heartbeat);
        }
        let own = stream.access.as_ref().map(|own| {
            let choices = over(own, &log.content);
            Requests::resolve(&choices, log.format, &path.field("access")).map(Box::new)
        });
        own.transpose().map(Self::Request)
    }
}

impl Heartbeat {
    fn resolve(stream: &source::Stream, path: &Path) -> Result<Self, Problem> {
        Ok(match stream.resolved_heartbeat() {
            HeartbeatStyle::KubeProbe => Self::KubeProbe,
            HeartbeatStyle::InternalDummyConnection => Self::InternalDummyConnection,
            HeartbeatStyle::Message => {
                let text = |message: &source::Message, _: &Path| Ok(message.value.clone());
                Self::Message(choices(&stream.messages, &path.field("messages"), text)?)
            }
        })
    }
}

impl ErrorLog {
    fn resolve(
        log: &source::ErrorLog,
        release: Option<Release>,
        generator: &source::Generator,
        path: &Path,
    ) -> Result<Self, Problem> {
        let release = log.release(release);
        let message = |message: &source::Message, _: &Path| {
            let (text, module) = (message.value.clone(), message.module.clone());
            Ok(Message { text, module, client: message.client })
        };
        let stream = |stream: &source::Stream, path: &Path| {
            let messages = choices(&stream.messages, &path.field("messages"), message)?;
            Stream::resolve(stream, messages, path)
        };
        Ok(Self {
            release,
            format: rules::error_format(log, release)
                .map_err(|message| Problem::new(path.field("errorLogFormat"), message))?,
            mpm: log.mpm,
            clients: Clients::resolve(log.clients.as_ref(), &path.field("clients"))?,
            document_root: log.document_root.clone(),
            referers: texts(&log.referers, &path.field("referers"))?,
            streams: streams(generator, path, stream)?,
        })
    }
}

/// The streams of a generator whose log is at `path`: the configured ones, else those of the
/// default server.
fn streams<L>(
    generator: &source::Generator,
    path: &Path,
    resolve: impl Fn(&source::Stream, &Path) -> Result<Stream<L>, Problem>,
) -> Result<Vec<Stream<L>>, Problem> {
    let path = path.parent().unwrap_or_default().field("streams");
    let streams = generator.resolved_streams();
    let indexed = streams.iter().enumerate();
    indexed.map(|(index, stream)| resolve(stream, &path.index(index))).collect()
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
