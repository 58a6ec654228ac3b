//! Builds the streams of a generator from its document.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use jiff::tz::TimeZone;
use visor_logs::{
    Release, StreamKind,
    access_format::Format,
    resolved::{self, AccessLine, AccessLog, Choices, ErrorLog, Log, Requests, Timing},
};

use crate::{
    access_log::{self, AccessModel, Heartbeat, LineWriter, format},
    choice::InvalidWeights,
    error_log,
    random::Seed,
    server,
    stream::{LineModel, Stream},
    time::Time,
};

/// A stream of a document, before it is started.
#[derive(Debug, Clone)]
pub struct NamedStream {
    /// Its name, unique within the generator.
    pub name: String,
    /// The kind of line, as metrics name it.
    pub kind: StreamKind,
    /// When its lines are due.
    pub timing: Timing,
    /// The model of its lines.
    pub model: LineModel,
    /// The seed of its random numbers.
    pub seed: Seed,
}

impl NamedStream {
    /// The stream, with a schedule that begins at `start`.
    pub fn start(self, start: Time) -> Stream {
        Stream::new(&self.timing, self.model, self.seed, start)
    }
}

/// What the generators of a source have in common. All its logs are of one server with the same
/// clients; and streams with the same lines share one model and one set of columns.
#[derive(Debug)]
pub struct Source {
    zone: TimeZone,
    seed: Seed,
    requests: HashMap<(Requests, Format, Release), LineModel>,
    heartbeats: HashMap<(resolved::Heartbeat, Format, String, Release), LineModel>,
}

impl Source {
    /// A source with this time zone and seed, without generators.
    pub fn new(zone: TimeZone, seed: Seed) -> Self {
        Self { zone, seed, requests: HashMap::new(), heartbeats: HashMap::new() }
    }

    /// The streams of a generator; the seed of each is derived from the source's.
    ///
    /// # Errors
    ///
    /// If one of the built-in lists of choices is invalid, which is a bug.
    pub fn streams(
        &mut self,
        generator: &resolved::Generator,
    ) -> Result<Vec<NamedStream>, InvalidWeights> {
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
    ) -> Result<Vec<NamedStream>, InvalidWeights> {
        let server_name = server_name(&log.requests);
        let streams = log.streams.iter().map(|stream| {
            let model = match &stream.lines {
                AccessLine::Heartbeat(heartbeat) => {
                    self.heartbeats(heartbeat, &log.format, server_name, log.release)
                }
                // Streams without choices of their own use the log's.
                AccessLine::Request(own) => {
                    let requests = own.as_deref().unwrap_or(&log.requests);
                    self.requests(requests, &log.format, log.release)?
                }
            };
            Ok(named(stream, model, seed))
        });
        streams.collect()
    }

    fn requests(
        &mut self,
        requests: &Requests,
        format: &Format,
        release: Release,
    ) -> Result<LineModel, InvalidWeights> {
        Ok(match self.requests.entry((requests.clone(), format.clone(), release)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let server_name = server_name(requests);
                let model =
                    access_log::RequestModel::new(requests, release, server_name, self.seed)?;
                let access_model = AccessModel::Requests(Arc::new(model));
                new.insert(access_content(access_model, format, &self.zone)).clone()
            }
        })
    }

    fn heartbeats(
        &mut self,
        heartbeat: &resolved::Heartbeat,
        format: &Format,
        server_name: &str,
        release: Release,
    ) -> LineModel {
        let key = (heartbeat.clone(), format.clone(), server_name.to_owned(), release);
        match self.heartbeats.entry(key) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let heartbeats = Heartbeat::new(heartbeat, server_name, release);
                let access_model = AccessModel::Heartbeats(Arc::new(heartbeats));
                new.insert(access_content(access_model, format, &self.zone)).clone()
            }
        }
    }

    fn error_streams(
        &self,
        log: &ErrorLog,
        seed: Seed,
    ) -> Result<Vec<NamedStream>, InvalidWeights> {
        let subjects = error_log::model::Subjects::new(log, self.seed)?;
        let mut formatter = error_log::Formatter::new(&log.format, &self.zone);
        let models = log
            .streams
            .iter()
            .map(|stream| error_log::MessageModel::new(log, stream, &subjects, &mut formatter));
        let models: Vec<_> = models.collect::<Result<_, _>>()?;
        let writer = formatter.finish();
        let streams = log.streams.iter().zip(models).map(|(stream, model)| {
            named(stream, LineModel::Error { model, writer: writer.clone() }, seed)
        });
        Ok(streams.collect())
    }
}

/// The name of the server of requests that name no host: its first virtual host.
fn server_name(requests: &Requests) -> &str {
    let mut configured = requests.virtual_hosts.iter().flat_map(Choices::iter);
    let is_name = |name: &str, weight: u32| weight > 0 && !name.is_empty() && name != "-";
    let first = configured.find(|(name, weight)| is_name(name, *weight));
    let first = first.map(|(name, _)| name.as_str());
    first.or_else(|| server::virtual_hosts().next()).unwrap_or("-")
}

fn access_content(access_model: AccessModel, format: &Format, zone: &TimeZone) -> LineModel {
    let compiled = Arc::new(format::compile(format, &access_model.fields(), zone));
    let malformed = access_model.malformed_fields();
    let malformed = malformed.map(|fields| Arc::new(format::compile(format, &fields, zone)));
    LineModel::Access {
        writer: LineWriter::new(compiled, malformed),
        draws: access_model.draws(),
        access_model,
    }
}

/// `seed` is the generator's.
fn named<L>(stream: &resolved::Stream<L>, model: LineModel, seed: Seed) -> NamedStream {
    NamedStream {
        seed: seed.child(&stream.name),
        name: stream.name.clone(),
        kind: stream.kind,
        timing: stream.timing.clone(),
        model,
    }
}
