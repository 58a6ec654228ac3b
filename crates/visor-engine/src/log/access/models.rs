//! The models of a source's access logs. Streams with the same lines share one, with its columns.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use jiff::tz::TimeZone;
use visor_logs::{
    Release,
    access_format::{Format, TokenPlace},
    resolved::{self, AccessLine, AccessLog, Choices, Requests},
};

use super::{
    format, heartbeat::Heartbeat, model::AccessModel, requests::RequestModel, writer::LineWriter,
};
use crate::{
    choice::InvalidWeights,
    log::{LineModel, NamedStream},
    random::Seed,
    server,
};

/// The models so far.
#[derive(Debug)]
pub struct Models {
    zone: TimeZone,
    seed: Seed,
    requests: HashMap<(Requests, Style, Release), LineModel>,
    heartbeats: HashMap<(resolved::Heartbeat, Style, String, Release), LineModel>,
}

/// How lines are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Style {
    format: Format,
    token: Option<TokenPlace>,
}

impl Models {
    /// Those of a source with this time zone and seed.
    pub(in crate::log) fn new(zone: TimeZone, seed: Seed) -> Self {
        Self { zone, seed, requests: HashMap::new(), heartbeats: HashMap::new() }
    }

    /// The streams of an access log; `seed` is the generator's.
    pub(in crate::log) fn streams(
        &mut self,
        log: &AccessLog,
        seed: Seed,
    ) -> Result<Vec<NamedStream>, InvalidWeights> {
        let server_name = server_name(&log.requests);
        let tokens = log.format.tokens_in_line(log.token);
        let style = Style { format: log.format.clone(), token: log.token };
        let streams = log.streams.iter().map(|stream| {
            let model = match &stream.lines {
                AccessLine::Heartbeat(heartbeat) => {
                    self.heartbeats(heartbeat, &style, server_name, log.release)
                }
                // Streams without choices of their own use the log's.
                AccessLine::Request(own) => {
                    let requests = own.as_deref().unwrap_or(&log.requests);
                    self.requests(requests, &style, log.release)?
                }
            };
            Ok(NamedStream::new(stream, model, seed, tokens))
        });
        streams.collect()
    }

    fn requests(
        &mut self,
        requests: &Requests,
        style: &Style,
        release: Release,
    ) -> Result<LineModel, InvalidWeights> {
        Ok(match self.requests.entry((requests.clone(), style.clone(), release)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let server_name = server_name(requests);
                let model = RequestModel::new(requests, release, server_name, self.seed)?;
                let model = AccessModel::Requests(Arc::new(model));
                new.insert(line_model(model, style, &self.zone)).clone()
            }
        })
    }

    fn heartbeats(
        &mut self,
        heartbeat: &resolved::Heartbeat,
        style: &Style,
        server_name: &str,
        release: Release,
    ) -> LineModel {
        let key = (heartbeat.clone(), style.clone(), server_name.to_owned(), release);
        match self.heartbeats.entry(key) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let heartbeats = Heartbeat::new(heartbeat, server_name, release);
                let model = AccessModel::Heartbeats(Arc::new(heartbeats));
                new.insert(line_model(model, style, &self.zone)).clone()
            }
        }
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

fn line_model(model: AccessModel, style: &Style, zone: &TimeZone) -> LineModel {
    let fields = match style.token {
        None => model.fields(),
        Some(place) => model.fields().with_token(place),
    };
    let compiled = Arc::new(format::compile(&style.format, &fields, zone));
    let malformed = model.malformed_fields();
    let malformed = malformed.map(|fields| Arc::new(format::compile(&style.format, &fields, zone)));
    LineModel::Access { writer: LineWriter::new(compiled, malformed), draws: model.draws(), model }
}
