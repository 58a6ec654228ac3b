//! The streams of a generator, made of its document.

use std::sync::Arc;

use jiff::tz::TimeZone;
use visor_api::{
    resolved::{self, AccessLine, AccessLog, ErrorLog, Log, Pace},
    source::StreamKind,
};

use crate::{
    access_log,
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

/// The streams of a generator. `seed` is the source's; each stream has a child of it. The clients
/// depend on the source's alone: all its logs are of one server, whom the same clients come to.
///
/// # Errors
///
/// If one of our own lists of choices can't be drawn from, which is a mistake in it.
pub fn streams(
    generator: &resolved::Generator,
    zone: &TimeZone,
    seed: Seed,
) -> Result<Vec<NamedStream>, NothingToDraw> {
    let seeds = Seeds { source: seed, generator: seed.child(&generator.name) };
    match &generator.log {
        Log::Access(log) => access_streams(log, zone, seeds),
        Log::Error(log) => error_streams(log, zone, seeds),
    }
}

#[derive(Clone, Copy)]
struct Seeds {
    source: Seed,
    generator: Seed,
}

fn access_streams(
    log: &AccessLog,
    zone: &TimeZone,
    seeds: Seeds,
) -> Result<Vec<NamedStream>, NothingToDraw> {
    let format = access_log::Format::new(&log.format, zone);
    let escaping = format.escaping();
    // Streams that say nothing of their own share one.
    let mut shared: Option<Arc<access_log::Content>> = None;
    let streams = log.streams.iter().map(|stream| {
        let format = format.clone();
        let content = match &stream.lines {
            AccessLine::Heartbeat(heartbeat) => {
                let heartbeat =
                    Box::new(access_log::heartbeat::Heartbeat::new(heartbeat, escaping));
                Content::Heartbeat { heartbeat, format }
            }
            AccessLine::Request(own) => {
                let content = match (own, &shared) {
                    (Some(own), _) => {
                        Arc::new(access_log::Content::new(own, seeds.source, escaping)?)
                    }
                    (None, Some(shared)) => Arc::clone(shared),
                    (None, None) => {
                        let made = Arc::new(access_log::Content::new(
                            &log.requests,
                            seeds.source,
                            escaping,
                        )?);
                        Arc::clone(shared.insert(made))
                    }
                };
                Content::Access { content, format, drawn: access_log::Drawn::default() }
            }
        };
        Ok(named(stream, content, seeds.generator))
    });
    streams.collect()
}

fn error_streams(
    log: &ErrorLog,
    zone: &TimeZone,
    seeds: Seeds,
) -> Result<Vec<NamedStream>, NothingToDraw> {
    let format = error_log::Format::new(log.format, zone);
    let subjects = Arc::new(error_log::content::Subjects::new(log, seeds.source, &format)?);
    let streams = log.streams.iter().map(|stream| {
        let content = Content::Error {
            content: error_log::Content::new(log, stream, Arc::clone(&subjects), &format)?,
            format: format.clone(),
        };
        Ok(named(stream, content, seeds.generator))
    });
    streams.collect()
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
