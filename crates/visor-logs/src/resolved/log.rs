//! The log of a generator: an access log or an error log, with its streams.

use super::{Choices, Clients, Requests, Stream, Timing};
use crate::{
    access_format::{Format, TokenPlace},
    error_format::Mpm,
    error_log_format::ErrorLogFormat,
    release::Release,
};

/// The log of a generator.
#[derive(Debug, Clone, PartialEq)]
pub enum Log {
    /// Requests.
    Access(Box<AccessLog>),
    /// Messages.
    Error(ErrorLog),
}

impl Log {
    /// When the lines of each of its streams are due.
    pub fn timings(&self) -> Vec<&Timing> {
        match self {
            Self::Access(log) => log.streams.iter().map(|stream| &stream.timing).collect(),
            Self::Error(log) => log.streams.iter().map(|stream| &stream.timing).collect(),
        }
    }
}

/// An access log.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// The release of httpd.
    pub release: Release,
    /// The format of its lines.
    pub format: Format,
    /// Where each line has a token; `None` if not each has one.
    pub token: Option<TokenPlace>,
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
pub struct ErrorLog {
    /// The release of httpd whose messages these are.
    pub release: Release,
    /// The format of its lines.
    pub format: ErrorLogFormat,
    /// Whether each message has a token behind it.
    pub tokens: bool,
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
