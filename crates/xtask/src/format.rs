//! `xtask format`: facts in, lines out, which the tests compare with real httpd's own lines.
//!
//! Reads JSON objects, one a line, from standard input, and writes the log line of each. Texts are
//! strings whose characters are bytes (ISO 8859-1), so that any byte can be said.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    sync::Arc,
};

use jiff::tz::TimeZone;
use serde::Deserialize;
use visor_api::{
    log_format::{self, Namespace},
    rules::time_zone,
    source::{ErrorFormat, Format, Mpm},
};
use visor_engine::{
    access_log::{
        Facts, Picks, Request, Writer,
        facts::{Fact, NamedFact, Pick},
        format,
        request::Connection,
    },
    error_log, escape,
    text::{Lines, Text},
    time::Time,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Input {
    Access(Box<AccessInput>),
    Error(Box<ErrorInput>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccessInput {
    log_format: String,
    time_zone: String,
    facts: AccessFacts,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct AccessFacts {
    time: i64,
    duration_nanoseconds: u64,
    client: Option<String>,
    remote_host: Option<String>,
    remote_port: u16,
    remote_logname: Option<String>,
    user: Option<String>,
    request_line: Option<String>,
    method: Option<String>,
    /// The path as it was asked for; what httpd makes of it is reckoned.
    target: Option<String>,
    /// The path as httpd understands it, where that depends on more.
    path: Option<String>,
    query: String,
    protocol: Option<String>,
    status: Option<u16>,
    original_status: Option<u16>,
    body_bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
    request_headers: BTreeMap<String, String>,
    response_headers: BTreeMap<String, String>,
    cookies: BTreeMap<String, String>,
    notes: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    virtual_host: Option<String>,
    server_name: Option<String>,
    port: u16,
    local_port: u16,
    local_address: Option<String>,
    keep_alive_requests: u32,
    connection_status: Option<char>,
    pid: u32,
    tid: u64,
    handler: Option<String>,
    log_id: Option<String>,
    filename: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ErrorInput {
    format: ErrorFormat,
    #[allow(dead_code, reason = "what httpd runs under; the facts tell all that shows")]
    mpm: Mpm,
    time_zone: String,
    facts: ErrorFacts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ErrorFacts {
    time: i64,
    module: Option<String>,
    level: String,
    pid: u32,
    tid: Option<u64>,
    source_file: Option<String>,
    source_line: Option<u32>,
    errno: Option<i32>,
    errno_text: Option<String>,
    client: Option<String>,
    client_port: Option<u16>,
    message: String,
    referer: Option<String>,
}

/// Writes the line of each object.
pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = Lines::default();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let input =
            serde_json::from_str(&line?).map_err(|e| format!("line {}: {e}", number + 1))?;
        match input {
            Input::Access(input) => write_access(&input, &mut out)?,
            Input::Error(input) => write_error(&input, &mut out)?,
        }
    }
    Ok(std::io::stdout().lock().write_all(out.as_bytes())?)
}

fn write_access(input: &AccessInput, out: &mut Lines) -> Result<(), Box<dyn std::error::Error>> {
    let zone: TimeZone = time_zone(&input.time_zone)?;
    let log_format = Format::LogFormat(log_format::parse(&input.log_format)?);
    let columns = format::columns(&log_format, &input.facts.texts(), &zone);
    let facts = &input.facts;
    let request = Request {
        picks: &Picks::default(),
        time: Time::from_nanos(facts.time),
        duration: facts.duration_nanoseconds,
        body_bytes: facts.body_bytes,
        bytes_in: facts.bytes_in,
        bytes_out: facts.bytes_out,
        connection: Connection {
            remote_port: facts.remote_port,
            process_id: facts.pid,
            thread_id: facts.tid,
            keep_alive_requests: facts.keep_alive_requests,
            status: facts.connection_status.map_or(b'-', |status| status as u8),
        },
        id: 0,
    };
    Writer::new(Arc::new(columns)).write(&request, out);
    Ok(())
}

impl AccessFacts {
    /// The facts that aren't numbers: each has the one value that was told.
    fn texts(&self) -> Facts<'_> {
        let header = |name: &str| {
            self.request_headers
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let named = [
            (Namespace::RequestHeader, &self.request_headers),
            (Namespace::ResponseHeader, &self.response_headers),
            (Namespace::Cookie, &self.cookies),
            (Namespace::Note, &self.notes),
            (Namespace::Environment, &self.environment),
        ];
        let named = named.into_iter().flat_map(|(namespace, values)| {
            values.iter().map(move |(name, value)| NamedFact {
                namespace,
                name,
                fact: fact(Pick::CLIENT, Some(value)),
            })
        });
        let path = match &self.target {
            Some(target) => Fact::only(Pick::RESOURCE, visor_engine::uri::path(&bytes(target))),
            None => fact(Pick::RESOURCE, self.path.as_ref()),
        };
        let virtual_host = fact(Pick::VIRTUAL_HOST, self.virtual_host.as_ref());
        let server_name = self.server_name.as_ref();
        let status = |status: Option<u16>| match status {
            Some(status) => Fact::only(Pick::EXCHANGE, status.to_string().into_bytes()),
            None => Fact::absent(Pick::EXCHANGE),
        };
        Facts {
            remote_host: fact(Pick::CLIENT, self.remote_host.as_ref().or(self.client.as_ref())),
            client_address: fact(Pick::CLIENT, self.client.as_ref()),
            remote_logname: fact(Pick::CLIENT, self.remote_logname.as_ref()),
            remote_user: fact(Pick::USER, self.user.as_ref()),
            message: Some(fact(Pick::MESSAGE, self.request_line.as_ref())),
            method: fact(Pick::EXCHANGE, self.method.as_ref()),
            target: fact(Pick::RESOURCE, self.path.as_ref()),
            path,
            query: Fact::only(Pick::RESOURCE, bytes(&self.query)),
            protocol: fact(Pick::PROTOCOL, self.protocol.as_ref()),
            status: status(self.status),
            original_status: status(self.original_status.or(self.status)),
            referer: fact(Pick::REFERER, header("Referer")),
            user_agent: fact(Pick::USER_AGENT, header("User-Agent")),
            server_name: server_name
                .map_or_else(|| virtual_host.clone(), |name| fact(Pick::VIRTUAL_HOST, Some(name))),
            virtual_host,
            local_address: fact(Pick::CLIENT, self.local_address.as_ref()),
            port: Fact::only(Pick::CLIENT, self.port.to_string().into_bytes()),
            local_port: Fact::only(Pick::CLIENT, self.local_port.to_string().into_bytes()),
            filename: fact(Pick::RESOURCE, self.filename.as_ref()),
            handler: fact(Pick::RESOURCE, self.handler.as_ref()),
            log_id: fact(Pick::RESOURCE, self.log_id.as_ref()),
            named: named.collect(),
            ..Facts::of_the_server()
        }
    }
}

fn write_error(input: &ErrorInput, out: &mut Lines) -> Result<(), Box<dyn std::error::Error>> {
    let facts = &input.facts;
    let mut format = error_log::Format::new(input.format, &time_zone(&input.time_zone)?);
    let client = facts.client.as_ref().map(|client| Text::new(&escape::log_item(&bytes(client))));
    let referer = facts.referer.as_ref().map(|r| Text::new(&escape::error_log_item(&bytes(r))));
    let errno_text = facts.errno_text.as_deref().unwrap_or_default();
    let message = error_log::Message {
        time: Time::from_nanos(facts.time),
        module: facts.module.as_deref(),
        level: &facts.level,
        pid: facts.pid,
        tid: facts.tid,
        source: facts.source_file.as_deref().zip(facts.source_line),
        errno: facts.errno.map(|number| (number, errno_text)),
        client: client.as_ref().zip(facts.client_port),
        text: &escape::error_log_item(&bytes(&facts.message)),
        referer: referer.as_ref(),
    };
    format.write(&message, out);
    Ok(())
}

/// A text's bytes: each character is one.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}

/// A fact that was told, or one that is absent.
fn fact(pick: Pick, text: Option<&String>) -> Fact<'static> {
    text.map_or_else(|| Fact::absent(pick), |text| Fact::only(pick, bytes(text)))
}
