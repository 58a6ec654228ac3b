//! The streams of a generator, made of its document.

use std::sync::Arc;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use visor_api::{
    log_format::LogFormatError,
    source::{self, AccessContent, AccessLog, ErrorLog, StreamKind},
};

use crate::{
    access,
    choice::NothingToDraw,
    error,
    random::Seed,
    stream::{Content, Stream},
};

/// Why a document can't be made into streams. Documents that were checked
/// ([`visor_api::rules`]) can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A time zone that the time zone database doesn't have.
    #[error("there is no time zone `{0}`")]
    TimeZone(String),
    /// A custom format that isn't one.
    #[error("the log format: {0}")]
    LogFormat(#[from] LogFormatError),
    /// A list of choices without a weight above 0.
    #[error(transparent)]
    NothingToDraw(#[from] NothingToDraw),
}

/// The time zone of this name, from the database in the program, so that every machine has the
/// same.
///
/// # Errors
///
/// If there is none.
pub fn time_zone(name: &str) -> Result<TimeZone, CompileError> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| CompileError::TimeZone(name.to_owned()))
}

/// A stream with the document's words about it.
#[derive(Debug, Clone)]
pub struct NamedStream {
    /// The document's stream, defaults filled in.
    pub spec: source::Stream,
    /// What it says.
    pub content: Content,
    /// Where its random numbers begin.
    pub seed: Seed,
}

impl NamedStream {
    /// The stream, with a schedule that begins at `start`, in nanoseconds since the epoch.
    pub fn start(self, start: i64) -> Stream {
        Stream::new(&self.spec, self.content, self.seed, start)
    }
}

/// The streams of a generator. `seed` is the source's; each stream has a child of it.
///
/// # Errors
///
/// What the document's rules would have refused.
pub fn streams(
    generator: &source::Generator,
    zone: &TimeZone,
    seed: Seed,
) -> Result<Vec<NamedStream>, CompileError> {
    let seed = seed.child(&generator.name);
    let mut contents = match (&generator.access, &generator.error) {
        (_, Some(log)) => Contents::Error(log, Arc::new(error::content::Subjects::new(log, seed)?)),
        (log, None) => Contents::Access(Box::new(AccessContents::new(log.as_ref(), zone)?)),
    };
    let named = generator.resolved_streams().into_iter().map(|spec| {
        let content = contents.of(&spec, zone, seed)?;
        let seed = seed.child(&spec.name);
        Ok(NamedStream { spec, content, seed })
    });
    named.collect()
}

/// Makes the contents of a generator's streams, which share what they don't say of their own.
enum Contents<'a> {
    Access(Box<AccessContents>),
    Error(&'a ErrorLog, Arc<error::content::Subjects>),
}

struct AccessContents {
    log: AccessLog,
    format: access::Format,
    shared: Option<Arc<access::Content>>,
}

impl AccessContents {
    fn new(log: Option<&AccessLog>, zone: &TimeZone) -> Result<Self, CompileError> {
        let log = log.cloned().unwrap_or_default();
        Ok(Self { format: access::Format::of(&log, zone)?, log, shared: None })
    }

    fn content(
        &mut self,
        spec: &source::Stream,
        seed: Seed,
    ) -> Result<Arc<access::Content>, NothingToDraw> {
        if let Some(own) = &spec.access {
            return access::Content::new(&over(own, &self.log.content), seed).map(Arc::new);
        }
        if let Some(shared) = &self.shared {
            return Ok(Arc::clone(shared));
        }
        let shared = Arc::new(access::Content::new(&self.log.content, seed)?);
        self.shared = Some(Arc::clone(&shared));
        Ok(shared)
    }
}

impl Contents<'_> {
    fn of(
        &mut self,
        spec: &source::Stream,
        zone: &TimeZone,
        seed: Seed,
    ) -> Result<Content, CompileError> {
        Ok(match self {
            Self::Access(contents) => {
                let format = contents.format.clone();
                if spec.kind == StreamKind::Heartbeat {
                    let heartbeat = Box::new(access::heartbeat::Heartbeat::new(spec)?);
                    Content::Heartbeat { heartbeat, format }
                } else {
                    let content = contents.content(spec, seed)?;
                    Content::Access { content, format, drawn: access::Drawn::default() }
                }
            }
            Self::Error(log, subjects) => Content::Error {
                content: error::Content::new(log, spec, Arc::clone(subjects))?,
                format: error::Format::of(log, zone),
            },
        })
    }
}

/// A stream's own content, and the generator's where the stream says nothing.
fn over(own: &AccessContent, general: &AccessContent) -> AccessContent {
    fn list<T: Clone>(own: &[T], general: &[T]) -> Vec<T> {
        if own.is_empty() { general.to_vec() } else { own.to_vec() }
    }
    AccessContent {
        clients: own.clients.clone().or_else(|| general.clients.clone()),
        users: list(&own.users, &general.users),
        methods: list(&own.methods, &general.methods),
        resources: list(&own.resources, &general.resources),
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
