//! `xtask format`: formats log lines from JSON, which the tests compare with the lines of httpd.
//!
//! Reads JSON objects from standard input, one per line, and writes the log line of each. The
//! characters of strings are bytes (ISO 8859-1), so that any byte can be expressed.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    sync::Arc,
};

use jiff::tz::TimeZone;
use serde::Deserialize;
use visor_api::{
    error_log_format::{self, ErrorLogFormat},
    log_format::{self, Namespace},
    nginx_log_format,
    source::{Format, Mpm, Release, StreamKind},
    time_zone,
};
use visor_engine::{
    line::{Draw, Draws, Field},
    log::access::{
        LineWriter, Request, RequestFields, fields::NamedRequestField, format, request::Connection,
    },
    log::error::{self, Formatter, Message, MessageFields, fields::Part, message::PerMessageField},
    text::Lines,
    time::Time,
};
use visor_proof::{Lane, token::Writer};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Input {
    Access(Box<AccessInput>),
    Error(Box<ErrorInput>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccessInput {
    log_format: Option<String>,
    nginx_log_format: Option<String>,
    time_zone: String,
    fields: AccessFields,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct AccessFields {
    time: i64,
    duration_nanoseconds: u64,
    client: Option<String>,
    remote_host: Option<String>,
    remote_port: u16,
    remote_logname: Option<String>,
    user: Option<String>,
    request_line: Option<String>,
    method: Option<String>,
    /// The requested path, from which the path as httpd parses it is computed.
    target: Option<String>,
    /// The path as httpd parses it, if it depends on more.
    path: Option<String>,
    /// The request target as it was sent.
    request_target: Option<String>,
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
    content_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ErrorInput {
    /// The format; without one it is httpd's default.
    error_log_format: Option<String>,
    mpm: Mpm,
    time_zone: String,
    fields: ErrorFields,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ErrorFields {
    time: i64,
    module: Option<String>,
    level: String,
    pid: u32,
    /// That of the kernel.
    tid: Option<u32>,
    posix_tid: Option<u64>,
    source_file: Option<String>,
    source_line: Option<u32>,
    errno: Option<i32>,
    errno_text: Option<String>,
    client: Option<String>,
    client_port: Option<u16>,
    message: String,
    referer: Option<String>,
    user_agent: Option<String>,
    virtual_host: Option<String>,
    #[serde(default)]
    keep_alive_requests: u64,
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
        out.end_record();
    }
    // As an output does.
    let (mut tokens, mut number) = (Writer::new(Lane::live(0)), 0);
    let records = 0..out.ends().len();
    out.change_records(records, |record| {
        number += u32::from(tokens.complete(record, 0, number, usize::MAX));
    });
    Ok(std::io::stdout().lock().write_all(out.as_bytes())?)
}

fn write_access(input: &AccessInput, out: &mut Lines) -> Result<(), Box<dyn std::error::Error>> {
    let zone: TimeZone = time_zone::named(&input.time_zone)?;
    let log_format = match (&input.log_format, &input.nginx_log_format) {
        (Some(text), _) => Format::LogFormat(log_format::parse(text)?),
        (None, text) => {
            Format::Nginx(nginx_log_format::parse(text.as_deref().unwrap_or_default())?)
        }
    };
    let compiled = format::compile(&log_format, &input.fields.texts(), &zone);
    let fields = &input.fields;
    let request = Request {
        draws: &Draws::default(),
        time: Time::from_nanos(fields.time),
        duration: fields.duration_nanoseconds,
        body_bytes: fields.body_bytes,
        bytes_in: fields.bytes_in,
        bytes_out: fields.bytes_out,
        connection: Connection {
            remote_port: fields.remote_port,
            process_id: fields.pid,
            thread_id: fields.tid,
            keep_alive_requests: fields.keep_alive_requests,
            status: fields.connection_status.map_or(b'-', |status| status as u8),
        },
        id: 0,
        is_malformed: false,
    };
    LineWriter::new(Arc::new(compiled), None).write(&request, out);
    Ok(())
}

impl AccessFields {
    /// The fields that aren't numbers, each with its one value.
    fn texts(&self) -> RequestFields<'_> {
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
            values.iter().map(move |(name, value)| NamedRequestField {
                namespace,
                name,
                field: field(Draw::CLIENT, Some(value)),
            })
        });
        let path = match &self.target {
            Some(target) => Field::only(Draw::TARGET, visor_engine::uri::path(&bytes(target))),
            None => field(Draw::TARGET, self.path.as_ref()),
        };
        let virtual_host = field(Draw::VIRTUAL_HOST, self.virtual_host.as_ref());
        let server_name = self.server_name.as_ref();
        let status = |status: Option<u16>| match status {
            Some(status) => Field::only(Draw::EXCHANGE, status.to_string().into_bytes()),
            None => Field::absent(Draw::EXCHANGE),
        };
        RequestFields {
            remote_host: field(Draw::CLIENT, self.remote_host.as_ref().or(self.client.as_ref())),
            client_address: field(Draw::CLIENT, self.client.as_ref()),
            remote_logname: field(Draw::CLIENT, self.remote_logname.as_ref()),
            remote_user: field(Draw::USER, self.user.as_ref()),
            message: Some(field(Draw::MESSAGE, self.request_line.as_ref())),
            method: field(Draw::EXCHANGE, self.method.as_ref()),
            target: field(Draw::TARGET, self.request_target.as_ref().or(self.path.as_ref())),
            path,
            query: Field::only(Draw::TARGET, bytes(&self.query)),
            protocol: field(Draw::PROTOCOL, self.protocol.as_ref()),
            status: status(self.status),
            original_status: status(self.original_status.or(self.status)),
            referer: field(Draw::REFERER, header("Referer")),
            user_agent: field(Draw::USER_AGENT, header("User-Agent")),
            server_name: server_name
                .map_or_else(|| virtual_host.clone(), |name| field(Draw::VIRTUAL_HOST, Some(name))),
            virtual_host,
            local_address: field(Draw::CLIENT, self.local_address.as_ref()),
            port: Field::only(Draw::CLIENT, self.port.to_string().into_bytes()),
            local_port: Field::only(Draw::CLIENT, self.local_port.to_string().into_bytes()),
            filename: field(Draw::TARGET, self.filename.as_ref()),
            handler: field(Draw::TARGET, self.handler.as_ref()),
            log_id: field(Draw::TARGET, self.log_id.as_ref()),
            host: field(Draw::HOST, header("Host")),
            content_type: field(Draw::CONTENT_TYPE, self.content_type.as_ref()),
            named: named.collect(),
            ..RequestFields::defaults()
        }
    }
}

fn write_error(input: &ErrorInput, out: &mut Lines) -> Result<(), Box<dyn std::error::Error>> {
    let fields = &input.fields;
    let level: StreamKind = fields.level.parse()?;
    let release = if input.mpm == Mpm::Prefork && fields.tid.is_none() {
        Release::V2_4_59
    } else {
        Release::PRESENT
    };
    let format = match &input.error_log_format {
        None => ErrorLogFormat::default_of(release)?,
        Some(text) => error_log_format::parse(text)?,
    };
    let zone = time_zone::named(&input.time_zone)?;
    let client = fields.client.as_ref().map(|client| Field::only(Draw::CLIENT, bytes(client)));
    let referer = field(Draw::REFERER, fields.referer.as_ref());
    let virtual_host = field(Draw::HOST, fields.virtual_host.as_ref());
    let user_agent = field(Draw::USER_AGENT, fields.user_agent.as_ref());
    let errno_text = fields.errno_text.as_deref().unwrap_or_default();
    let message = MessageFields {
        module: fields.module.as_deref(),
        level: level.as_str(),
        severity: level.severity(),
        thread_id: fields.posix_tid.map(|_| PerMessageField::ThreadId),
        kernel_thread_id: PerMessageField::KernelThreadId,
        source: fields.source_file.as_deref().zip(fields.source_line),
        errno: fields.errno.map(|number| (number, errno_text)),
        client: client.as_ref(),
        request: client.as_ref().map(|_| error::fields::RequestFields {
            referer: Some(&referer),
            user_agent: &user_agent,
            host: &virtual_host,
        }),
        virtual_host: &virtual_host,
        text: vec![Part::text(bytes(&fields.message))],
    };
    let mut formatter = Formatter::new(&format, &zone);
    let columns = formatter.columns(&message);
    let message = Message {
        draws: &Draws::default(),
        time: Time::from_nanos(fields.time),
        process_id: fields.pid,
        thread_id: fields.posix_tid.unwrap_or(0),
        kernel_thread_id: fields.tid.unwrap_or(0),
        client_port: fields.client_port.unwrap_or(0),
        child: 0,
        number: 0,
        backend: 0,
        keep_alive_requests: fields.keep_alive_requests,
        id: 0,
    };
    formatter.finish().write(&columns, &message, out);
    Ok(())
}

/// The bytes of a string: one for each character.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}

/// A field with a value, or without one.
fn field(draw_of: Draw, text: Option<&String>) -> Field<'static> {
    text.map_or_else(|| Field::absent(draw_of), |text| Field::only(draw_of, bytes(text)))
}
