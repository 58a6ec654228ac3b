//! `xtask format`: facts in, lines out, which the tests compare with real httpd's own lines.
//!
//! Reads JSON objects, one a line, from standard input, and writes the log line of each. Texts are
//! strings whose characters are bytes (ISO 8859-1), so that any byte can be said.

use std::{collections::BTreeMap, io::BufRead, io::Write};

use jiff::tz::TimeZone;
use serde::Deserialize;
use visor_api::{
    log_format::{self, Namespace},
    rules::time_zone,
    source::{ErrorFormat, Format, Mpm},
};
use visor_engine::{
    access_log::{
        self,
        request::{NamedTable, NamedValues, Request, RequestLine, ServerFacts, Tls},
    },
    choice::Table,
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
    let facts = &input.facts;
    let zone: TimeZone = time_zone(&input.time_zone)?;
    let mut format =
        access_log::Format::new(&Format::LogFormat(log_format::parse(&input.log_format)?), &zone);
    let server = ServerFacts {
        local_address: item(facts.local_address.as_ref()),
        server_name: facts.server_name.as_ref().map(|name| item(Some(name))),
        port: facts.port,
        local_port: facts.local_port,
        remote_logname: item(facts.remote_logname.as_ref()),
        handler: item(facts.handler.as_ref()),
        log_id: item(facts.log_id.as_ref()),
        document_root: Text::absent(),
        filename: Some(item(facts.filename.as_ref())),
    };
    let named = [
        (Namespace::RequestHeader, &facts.request_headers),
        (Namespace::ResponseHeader, &facts.response_headers),
        (Namespace::Cookie, &facts.cookies),
        (Namespace::Note, &facts.notes),
        (Namespace::Environment, &facts.environment),
    ];
    let tables: Vec<NamedTable> = named
        .into_iter()
        .flat_map(|(namespace, values)| values.iter().map(move |entry| (namespace, entry)))
        .map(|(namespace, (name, value))| {
            let values = Table::new([(item(Some(value)), 1)])?;
            Ok(NamedTable { namespace, name: name.clone(), values })
        })
        .collect::<Result<_, visor_engine::choice::NothingToDraw>>()?;
    let drawn = vec![0; tables.len()];
    let header = |name: &str| {
        let found = facts.request_headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        item(found.map(|(_, value)| value))
    };
    let client = item(facts.client.as_ref());
    let reckoned = |target: &String| escape::log_item(&visor_engine::uri::path(&bytes(target)));
    let path = item(facts.path.as_ref());
    let uri = facts.target.as_ref().map_or_else(|| path.clone(), reckoned);
    let request = Request {
        time: Time::from_nanos(facts.time),
        duration: facts.duration_nanoseconds,
        time_to_first_byte: 0,
        remote_host: &item(facts.remote_host.as_ref().or(facts.client.as_ref())),
        client_address: &client,
        remote_user: &item(facts.user.as_ref()),
        request_line: RequestLine {
            whole: Some(&item(facts.request_line.as_ref())),
            method: &item(facts.method.as_ref()),
            path: &path,
            uri: &uri,
            query: &escape::log_item(&bytes(&facts.query)),
            protocol: &item(facts.protocol.as_ref()),
        },
        status_code: facts.status.unwrap_or(0),
        status: &status(facts.status),
        original_status: &status(facts.original_status.or(facts.status)),
        body_bytes: facts.body_bytes,
        bytes_in: facts.bytes_in,
        bytes_out: facts.bytes_out,
        referer: &header("Referer"),
        user_agent: &header("User-Agent"),
        virtual_host: &item(facts.virtual_host.as_ref()),
        remote_port: facts.remote_port,
        pid: facts.pid,
        tid: facts.tid,
        keep_alive_requests: facts.keep_alive_requests,
        id: 0,
        content_type: &Text::absent(),
        tls: &Tls::default(),
        connection_status: facts.connection_status.map_or(b'-', |status| status as u8),
        named: NamedValues { tables: &tables, drawn: &drawn },
        server: &server,
    };
    format.write(&request, out);
    Ok(())
}

fn write_error(input: &ErrorInput, out: &mut Lines) -> Result<(), Box<dyn std::error::Error>> {
    let facts = &input.facts;
    let mut format = error_log::Format::new(input.format, &time_zone(&input.time_zone)?);
    let client = facts.client.as_ref().map(|client| item(Some(client)));
    let referer = facts.referer.as_ref().map(|r| escape::error_log_item(&bytes(r)));
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

/// A status, or `-`.
fn status(status: Option<u16>) -> Text {
    item(status.map(|status| status.to_string()).as_ref())
}

/// A fact of an access log, or `-`.
fn item(text: Option<&String>) -> Text {
    text.map_or_else(Text::absent, |text| escape::log_item(&bytes(text)))
}
