//! How a request is written: a `LogFormat` made ready to write lines, and httpd's own four.
//!
//! Each directive is written as its `log_...` function in `modules/loggers/mod_log_config.c` (and
//! `mod_logio.c`) writes it.

use jiff::tz::TimeZone;
use visor_api::{
    log_format::{
        self, Condition, DurationUnit, Field, Item, LogFormat, LogFormatError, Namespace,
    },
    source::{AccessFormat, AccessLog},
};

use super::request::Request;
use crate::{
    stamp::AccessStamp,
    text::{Lines, Text},
};

/// `LogFormat "..." common`
pub const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;
/// `LogFormat "..." combined`
pub const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;
/// `LogFormat "..." combinedio`
pub const COMBINED_IO: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O"#;
/// `LogFormat "..." vhost_combined`
pub const VHOST_COMBINED: &str = r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#;

/// A format, ready to write lines.
#[derive(Debug, Clone)]
pub struct Format {
    parts: Vec<Part>,
    uses: Uses,
}

/// Which facts a format writes; the others needn't be drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Uses {
    /// `%u`
    pub remote_user: bool,
    /// `%{Referer}i`
    pub referer: bool,
    /// `%{User-Agent}i`
    pub user_agent: bool,
    /// `%v`, `%V`, `%{Host}i`
    pub virtual_host: bool,
    /// `%D`, `%T`, `%{end}t`
    pub duration: bool,
    /// `%P`, `%k`, `%X`, `%{remote}p`
    pub connection: bool,
    /// `%I`, `%S`
    pub bytes_in: bool,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(Text),
    Field(Field, Option<Condition>),
    Status { original: bool, condition: Option<Condition> },
    Time { end: bool, stamp: Box<AccessStamp>, condition: Option<Condition> },
    Referer(Option<Condition>),
    UserAgent(Option<Condition>),
}

impl Format {
    /// The format that a document asks for.
    ///
    /// # Errors
    ///
    /// If a custom format string is not one of Apache's.
    pub fn of(log: &AccessLog, zone: &TimeZone) -> Result<Self, LogFormatError> {
        let text = match log.format {
            AccessFormat::Common => COMMON,
            AccessFormat::Combined => COMBINED,
            AccessFormat::CombinedIo => COMBINED_IO,
            AccessFormat::VhostCombined => VHOST_COMBINED,
            AccessFormat::Custom => log.log_format.as_deref().unwrap_or_default(),
        };
        Ok(Self::new(log_format::parse(text)?, zone))
    }

    /// Makes a format ready to write lines with times of this zone.
    pub fn new(format: LogFormat, zone: &TimeZone) -> Self {
        let mut uses = Uses::default();
        let parts = format.items.into_iter().map(|item| Part::new(item, zone, &mut uses)).collect();
        Self { parts, uses }
    }

    /// Which facts the format writes.
    pub const fn uses(&self) -> Uses {
        self.uses
    }

    /// Writes the line of a request, newline included.
    pub fn write(&mut self, request: &Request<'_>, out: &mut Lines) {
        for part in &mut self.parts {
            part.write(request, out);
        }
        out.push(b'\n');
    }
}

impl Part {
    fn new(item: Item, zone: &TimeZone, uses: &mut Uses) -> Self {
        let directive = match item {
            Item::Literal(text) => return Self::Literal(Text::new(text.as_bytes())),
            Item::Directive(directive) => directive,
        };
        let condition = directive.condition;
        let header = |wanted: &str| {
            matches!(&directive.field, Field::Named(Namespace::RequestHeader, name)
                if name.eq_ignore_ascii_case(wanted))
        };
        if header("Referer") {
            uses.referer = true;
            return Self::Referer(condition);
        }
        if header("User-Agent") {
            uses.user_agent = true;
            return Self::UserAgent(condition);
        }
        uses.virtual_host |= header("Host");
        match directive.field {
            Field::Status => Self::Status { original: directive.original, condition },
            Field::Time { end, format } => {
                uses.duration |= end;
                let stamp = Box::new(AccessStamp::new(format, zone.clone()));
                Self::Time { end, stamp, condition }
            }
            field => {
                uses.note(&field);
                Self::Field(field, condition)
            }
        }
    }

    #[inline]
    fn write(&mut self, request: &Request<'_>, out: &mut Lines) {
        let condition = match self {
            Self::Literal(text) => return out.put(text),
            Self::Field(_, condition)
            | Self::Status { condition, .. }
            | Self::Time { condition, .. }
            | Self::Referer(condition)
            | Self::UserAgent(condition) => condition,
        };
        if condition.as_ref().is_some_and(|c| !c.admits(request.status_code)) {
            return out.push(b'-');
        }
        match self {
            Self::Literal(_) => {}
            Self::Field(field, _) => write_field(field, request, out),
            Self::Status { original, .. } => {
                out.put(if *original { request.original_status } else { request.status });
            }
            Self::Time { end, stamp, .. } => {
                let duration = i64::try_from(request.duration).unwrap_or(i64::MAX);
                let time = if *end { request.time.saturating_add(duration) } else { request.time };
                stamp.write(time, out);
            }
            Self::Referer(_) => out.put(request.referer),
            Self::UserAgent(_) => out.put(request.user_agent),
        }
    }
}

impl Uses {
    fn note(&mut self, field: &Field) {
        match field {
            Field::RemoteUser => self.remote_user = true,
            Field::VirtualHost | Field::ServerName => self.virtual_host = true,
            Field::Duration(_) => self.duration = true,
            Field::BytesIn | Field::BytesTransferred => self.bytes_in = true,
            Field::ProcessId
            | Field::ThreadId
            | Field::ThreadIdHexadecimal
            | Field::RemotePort
            | Field::KeepAliveRequests
            | Field::ConnectionStatus => self.connection = true,
            _ => {}
        }
    }
}

#[inline]
fn write_field(field: &Field, request: &Request<'_>, out: &mut Lines) {
    let line = &request.request_line;
    match field {
        Field::RemoteHost => out.put(request.remote_host),
        Field::ClientAddress => out.put(request.client_address),
        Field::LocalAddress => out.put(&request.server.local_address),
        Field::RemoteLogname => out.put(&request.server.remote_logname),
        Field::RemoteUser => out.put(request.remote_user),
        Field::RequestLine => write_request_line(request, out),
        Field::Filename => write_filename(request, out),
        Field::BodyBytesOrDash if request.body_bytes == 0 => out.push(b'-'),
        Field::BodyBytesOrDash | Field::BodyBytes => out.number(request.body_bytes),
        Field::BytesIn => out.number(request.bytes_in),
        Field::BytesOut => out.number(request.bytes_out),
        Field::BytesTransferred => {
            out.number(request.bytes_in.saturating_add(request.bytes_out));
        }
        Field::Named(namespace, name) => write_named(*namespace, name, request, out),
        Field::ServerName => {
            let name = request.server.server_name.as_ref().unwrap_or(request.virtual_host);
            out.put(name);
        }
        Field::VirtualHost => out.put(request.virtual_host),
        Field::Port => out.number(request.server.port),
        Field::LocalPort => out.number(request.server.local_port),
        Field::RemotePort => out.number(request.remote_port),
        Field::ProcessId => out.number(request.pid),
        Field::ThreadId => out.number(request.tid),
        Field::ThreadIdHexadecimal => write_hexadecimal(request.tid, out),
        Field::Protocol => out.put(line.protocol),
        Field::Method => out.put(line.method),
        Field::Path => out.put(line.path),
        Field::Query => out.put(line.query),
        Field::Duration(unit) => {
            let nanos_per_unit = match unit {
                DurationUnit::Seconds => 1_000_000_000,
                DurationUnit::Milliseconds => 1_000_000,
                DurationUnit::Microseconds => 1_000,
            };
            out.number(request.duration / nanos_per_unit);
        }
        Field::Handler => out.put(&request.server.handler),
        Field::LogId => out.put(&request.server.log_id),
        Field::ConnectionStatus => out.push(request.connection_status),
        Field::KeepAliveRequests => out.number(request.keep_alive_requests),
        // These two have parts of their own.
        Field::Status | Field::Time { .. } => {}
    }
}

fn write_request_line(request: &Request<'_>, out: &mut Lines) {
    let line = &request.request_line;
    if let Some(whole) = line.whole {
        return out.put(whole);
    }
    out.put(line.method);
    out.push(b' ');
    out.put(line.path);
    out.put(line.query);
    out.push(b' ');
    out.put(line.protocol);
}

fn write_filename(request: &Request<'_>, out: &mut Lines) {
    match &request.server.filename {
        Some(filename) => out.put(filename),
        None => {
            out.put(&request.server.document_root);
            out.put(request.request_line.path);
        }
    }
}

fn write_named(namespace: Namespace, name: &str, request: &Request<'_>, out: &mut Lines) {
    let host = namespace == Namespace::RequestHeader && name.eq_ignore_ascii_case("Host");
    match request.named.get(namespace, name) {
        Some(value) => out.put(value),
        None if host => out.put(request.virtual_host),
        None => out.push(b'-'),
    }
}

fn write_hexadecimal(number: u64, out: &mut Lines) {
    out.extend(format!("{number:x}").as_bytes());
}
