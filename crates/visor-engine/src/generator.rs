//! The streams of a generator, made of its document.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use jiff::tz::TimeZone;
use visor_api::{
    resolved::{self, AccessLine, AccessLog, ErrorLog, Log, Pace, Requests},
    source::{Format, StreamKind},
};

use crate::{
    access_log::{self, Heartbeat, Subject, Writer, format},
    choice::NothingToDraw,
    error_log,
    random::Seed,
    stream::{Content, Stream},
    time::Time,
};

/// A stream with the document's words about it.
#[derive(Debug, Clone)]
pub struct NamedStream {
    /// Its name, unique within the generator.
    pub name: String,
    /// What kind of line, as metrics call it.
    pub kind: StreamKind,
    /// When its lines come.
    pub pace: Pace,
    /// What it says.
    pub content: Content,
    /// Where its random numbers begin.
    pub seed: Seed,
}

impl NamedStream {
    /// The stream, with a schedule that begins at `start`.
    pub fn start(self, start: Time) -> Stream {
        Stream::new(&self.pace, self.content, self.seed, start)
    }
}

/// The source that generators are of: what they have in common. All its logs are of one server, whom
/// the same clients come to; and where lines are alike, one content and one set of columns serves all
/// streams.
#[derive(Debug)]
pub struct Source {
    zone: TimeZone,
    seed: Seed,
    requests: HashMap<(Requests, Format), Content>,
    heartbeats: HashMap<(resolved::Heartbeat, Format), Content>,
}

impl Source {
    /// A source of this zone and seed, whose generators are yet to come.
    pub fn new(zone: TimeZone, seed: Seed) -> Self {
        Self { zone, seed, requests: HashMap::new(), heartbeats: HashMap::new() }
    }

    /// The streams of a generator; each has a seed that is a child of the source's.
    ///
    /// # Errors
    ///
    /// If one of our own lists of choices can't be drawn from, which is a mistake in it.
    pub fn streams(
        &mut self,
        generator: &resolved::Generator,
    ) -> Result<Vec<NamedStream>, NothingToDraw> {
        let seed = self.seed.child(&generator.name);
        match &generator.log {
            Log::Access(log) => self.access_streams(log, seed),
            Log::Error(log) => self.error_streams(log, seed),
        }
    }

    fn access_streams(
        &mut self,
        log: &AccessLog,
        seed: Seed,
    ) -> Result<Vec<NamedStream>, NothingToDraw> {
        let streams = log.streams.iter().map(|stream| {
            let content = match &stream.lines {
                AccessLine::Heartbeat(heartbeat) => self.heartbeats(heartbeat, &log.format),
                // Streams that say nothing of their own have the log's.
                AccessLine::Request(own) => {
                    self.requests(own.as_deref().unwrap_or(&log.requests), &log.format)?
                }
            };
            Ok(named(stream, content, seed))
        });
        streams.collect()
    }

    fn requests(&mut self, requests: &Requests, format: &Format) -> Result<Content, NothingToDraw> {
        Ok(match self.requests.entry((requests.clone(), format.clone())) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let content = access_log::Content::new(requests, self.seed)?;
                let subject = Subject::Requests(Arc::new(content));
                new.insert(access_content(subject, format, &self.zone)).clone()
            }
        })
    }

    fn heartbeats(&mut self, heartbeat: &resolved::Heartbeat, format: &Format) -> Content {
        match self.heartbeats.entry((heartbeat.clone(), format.clone())) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let subject = Subject::Heartbeats(Arc::new(Heartbeat::new(heartbeat)));
                new.insert(access_content(subject, format, &self.zone)).clone()
            }
        }
    }

    fn error_streams(&self, log: &ErrorLog, seed: Seed) -> Result<Vec<NamedStream>, NothingToDraw> {
        let format = error_log::Format::new(log.format, &self.zone);
        let subjects = Arc::new(error_log::content::Subjects::new(log, self.seed, &format)?);
        let streams = log.streams.iter().map(|stream| {
            let content = Content::Error {
                content: error_log::Content::new(log, stream, Arc::clone(&subjects), &format)?,
                format: format.clone(),
            };
            Ok(named(stream, content, seed))
        });
        streams.collect()
    }
}

fn access_content(subject: Subject, format: &Format, zone: &TimeZone) -> Content {
    let columns = format::columns(format, &subject.facts(), zone);
    Content::Access { writer: Writer::new(Arc::new(columns)), picks: subject.picks(), subject }
}

/// `seed` is the generator's.
fn named<L>(stream: &resolved::Stream<L>, content: Content, seed: Seed) -> NamedStream {
    NamedStream {
        seed: seed.child(&stream.name),
        name: stream.name.clone(),
        kind: stream.kind,
        pace: stream.pace.clone(),
        content,
    }
}
