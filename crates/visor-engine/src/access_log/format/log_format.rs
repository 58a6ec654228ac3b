//! Apache's formats: a `LogFormat` made ready to write lines, escaped as httpd escapes.
//!
//! Each directive is written as its `log_...` function in `modules/loggers/mod_log_config.c` (and
//! `mod_logio.c`) writes it.

use jiff::tz::TimeZone;
use visor_api::log_format::{self, Condition, DurationUnit, Field, Item, Namespace};

use super::Uses;
use crate::{
    access_log::{escaping::Escaping, id, request::Request},
    escape,
    stamp::AccessStamp,
    text::{Lines, Text},
};

/// How Apache's formats escape.
pub(super) static ESCAPING: Escaping = Escaping::new(escape::log_item);

/// A format of Apache's, ready to write lines.
#[derive(Debug, Clone)]
pub struct LogFormat {
    parts: Vec<Part>,
    /// The literal text behind the last directive, and the newline.
    end: Text,
    uses: Uses,
}

/// A directive, and the literal text in front of it.
#[derive(Debug, Clone)]
struct Part {
    before: Text,
    directive: Directive,
    condition: Option<Box<Condition>>,
}

/// What a line has in place of a directive: the frequent ones each by itself, so that the loop over
/// them stays small.
#[derive(Debug, Clone)]
enum Directive {
    RemoteHost,
    RemoteLogname,
    RemoteUser,
    BeginTime(Box<AccessStamp>),
    EndTime(Box<AccessStamp>),
    RequestLine,
    FinalStatus,
    OriginalStatus,
    BodyBytesOrDash,
    Referer,
    UserAgent,
    VirtualHost,
    Port,
    BytesIn,
    BytesOut,
    Rare(Box<Field>),
}

impl LogFormat {
    /// Makes a format ready to write lines with times of this zone.
    pub(super) fn new(format: log_format::LogFormat, zone: &TimeZone) -> Self {
        let mut uses = Uses::default();
        let mut parts = Vec::new();
        let mut literal = String::new();
        for item in format.items {
            match item {
                Item::Literal(text) => literal.push_str(&text),
                Item::Directive(directive) => parts.push(Part {
                    before: Text::new(std::mem::take(&mut literal).as_bytes()),
                    directive: Directive::new(directive.field, directive.original, zone, &mut uses),
                    condition: directive.condition.map(Box::new),
                }),
            }
        }
        literal.push('\n');
        Self { parts, end: Text::new(literal.as_bytes()), uses }
    }

    pub(super) const fn uses(&self) -> Uses {
        self.uses
    }

    /// Writes the line of a request, newline included.
    #[inline]
    pub(super) fn write(&mut self, request: &Request<'_>, out: &mut Lines) {
        for part in &mut self.parts {
            out.put(&part.before);
            match &part.condition {
                Some(condition) if !condition.admits(request.status_code) => out.push(b'-'),
                _ => part.directive.write(request, out),
            }
        }
        out.put(&self.end);
    }
}

impl Directive {
    fn new(field: Field, original: bool, zone: &TimeZone, uses: &mut Uses) -> Self {
        uses.note(&field);
        match field {
            Field::RemoteHost => Self::RemoteHost,
            Field::RemoteLogname => Self::RemoteLogname,
            Field::RemoteUser => Self::RemoteUser,
            Field::Time { end, format } => {
                let stamp = Box::new(AccessStamp::new(format, zone.clone()));
                if end { Self::EndTime(stamp) } else { Self::BeginTime(stamp) }
            }
            Field::RequestLine => Self::RequestLine,
            Field::Status if original => Self::OriginalStatus,
            Field::Status => Self::FinalStatus,
            Field::BodyBytesOrDash => Self::BodyBytesOrDash,
            Field::VirtualHost => Self::VirtualHost,
            Field::Port => Self::Port,
            Field::BytesIn => Self::BytesIn,
            Field::BytesOut => Self::BytesOut,
            field if is_header(&field, "Referer") => Self::Referer,
            field if is_header(&field, "User-Agent") => Self::UserAgent,
            field => Self::Rare(Box::new(field)),
        }
    }

    #[inline]
    fn write(&mut self, request: &Request<'_>, out: &mut Lines) {
        match self {
            Self::RemoteHost => out.put(request.remote_host),
            Self::RemoteLogname => out.put(&request.server.remote_logname),
            // `log_remote_user` writes two quotes for an empty name.
            Self::RemoteUser if request.remote_user.is_empty() => out.extend(b"\"\""),
            Self::RemoteUser => out.put(request.remote_user),
            Self::BeginTime(stamp) => stamp.write(request.time, out),
            Self::EndTime(stamp) => {
                let duration = i64::try_from(request.duration).unwrap_or(i64::MAX);
                stamp.write(request.time.saturating_add(duration), out);
            }
            Self::RequestLine => write_request_line(request, out),
            Self::FinalStatus => out.put(request.status),
            Self::OriginalStatus => out.put(request.original_status),
            Self::BodyBytesOrDash if request.body_bytes == 0 => out.push(b'-'),
            Self::BodyBytesOrDash => out.number(request.body_bytes),
            Self::Referer => out.put(request.referer),
            Self::UserAgent => out.put(request.user_agent),
            Self::VirtualHost => out.put(request.virtual_host),
            Self::Port => out.number(request.server.port),
            Self::BytesIn => out.number(request.bytes_in),
            Self::BytesOut => out.number(request.bytes_out),
            Self::Rare(field) => write_rare(field, request, out),
        }
    }
}

/// Whether a directive is this request header's.
fn is_header(field: &Field, wanted: &str) -> bool {
    matches!(field, Field::Named(Namespace::RequestHeader, name) if name.eq_ignore_ascii_case(wanted))
}

impl Uses {
    fn note(&mut self, field: &Field) {
        match field {
            Field::Time { end, .. } => self.duration |= !end,
            Field::Named(namespace, name) => {
                self.referer |= is_header(field, "Referer");
                self.user_agent |= is_header(field, "User-Agent");
                self.virtual_host |= is_header(field, "Host");
                self.id |= is_header(field, "X-Request-Id")
                    || (*namespace == Namespace::Environment && name == "UNIQUE_ID");
                self.tls |= *namespace == Namespace::TlsVariable;
            }
            Field::RemoteUser => self.remote_user = true,
            Field::VirtualHost | Field::ServerName => self.virtual_host = true,
            Field::Duration(_) | Field::TimeToFirstByte => self.duration = true,
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

/// The directives that no format of httpd's own configuration has, or few. Apart from the others, so
/// that the loop over those stays small.
#[inline(never)]
fn write_rare(field: &Field, request: &Request<'_>, out: &mut Lines) {
    let line = &request.request_line;
    match field {
        Field::ClientAddress => out.put(request.client_address),
        Field::LocalAddress => out.put(&request.server.local_address),
        Field::Filename => write_filename(request, out),
        Field::BodyBytes => out.number(request.body_bytes),
        Field::BytesTransferred => {
            out.number(request.bytes_in.saturating_add(request.bytes_out));
        }
        Field::Named(namespace, name) => write_named(*namespace, name, request, out),
        Field::ServerName => {
            let name = request.server.server_name.as_ref().unwrap_or(request.virtual_host);
            out.put(name);
        }
        Field::LocalPort => out.number(request.server.local_port),
        Field::RemotePort => out.number(request.remote_port),
        Field::ProcessId => out.number(request.pid),
        Field::ThreadId => out.number(request.tid),
        Field::ThreadIdHexadecimal => write_hexadecimal(request.tid, out),
        Field::Protocol => out.put(line.protocol),
        Field::Method => out.put(line.method),
        Field::Path => out.put(line.uri),
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
        Field::TimeToFirstByte => out.number(request.time_to_first_byte / 1_000),
        Field::Verbatim(text) => out.extend(text.as_bytes()),
        // These are directives of their own.
        Field::RemoteHost
        | Field::RemoteLogname
        | Field::RemoteUser
        | Field::Time { .. }
        | Field::RequestLine
        | Field::Status
        | Field::BodyBytesOrDash
        | Field::BytesIn
        | Field::BytesOut
        | Field::VirtualHost
        | Field::Port => {}
    }
}

#[inline]
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
    if let Some(filename) = &request.server.filename {
        return out.put(filename);
    }
    out.put(&request.server.document_root);
    out.put(request.request_line.uri);
}

/// What a document gives for the name, else what every request has of that name, else `-`.
fn write_named(namespace: Namespace, name: &str, request: &Request<'_>, out: &mut Lines) {
    if let Some(value) = request.named.get(namespace, name) {
        return out.put(value);
    }
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    match namespace {
        Namespace::RequestHeader if is("Host") => out.put(request.virtual_host),
        Namespace::RequestHeader if is("X-Forwarded-For") => out.put(request.client_address),
        Namespace::RequestHeader if is("X-Request-Id") => id::write_uuid(request.id, out),
        Namespace::ResponseHeader if is("Content-Type") => out.put(request.content_type),
        Namespace::Environment if name == "UNIQUE_ID" => id::write_unique_id(request, out),
        Namespace::TlsVariable if name == "SSL_PROTOCOL" => out.put(&request.tls.protocol),
        Namespace::TlsVariable if name == "SSL_CIPHER" => out.put(&request.tls.cipher),
        _ => out.push(b'-'),
    }
}

fn write_hexadecimal(number: u64, out: &mut Lines) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4);
    out.hexadecimal(number.into(), digits.max(1));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing;

    /// Twenty lines of this format about requests that are all the same.
    fn lines(log_format: &str, status: u16) -> Vec<String> {
        let choice = |value: &str| json!([{"value": value}]);
        let log = json!({
            "format": "Custom",
            "logFormat": log_format,
            "users": choice(""),
            "methods": choice("GET"),
            "resources": choice("/a%20b?c=\"d\""),
            "protocols": choice("HTTP/1.1"),
            "statuses": [{"value": status}],
            "sizes": [{"min": 700, "max": 700}],
            "durations": [{"min": "1500ms", "max": "1500ms"}],
            "referers": choice("-"),
            "userAgents": choice("a \\ \"b\""),
        });
        let stream = json!({"name": "requests", "kind": "Access"});
        testing::lines(&json!({"name": "web", "access": log, "streams": [stream]}), 20)
    }

    #[test]
    fn each_directive_is_written_in_its_place() {
        for (log_format, line) in [
            ("%m %U%q %H %>s %B", r#"GET /a b?c=\"d\" HTTP/1.1 200 700"#),
            (r#""%r" %b"#, r#""GET /a%20b?c=\"d\" HTTP/1.1" 700"#),
            ("[%u] [%l] [%{Referer}i]", r#"[""] [-] [-]"#),
            ("%{User-Agent}i", r#"a \\ \"b\""#),
            ("%T %{ms}T %D", "1 1500 1500000"),
            ("%% %{x}p", "% x"),
            ("%{Nobody}i%{Nobody}o%{Nobody}C", "---"),
        ] {
            assert_eq!(lines(log_format, 200), vec![format!("{line}\n"); 20], "{log_format}");
        }
    }

    #[test]
    fn a_condition_replaces_what_it_doesn_t_admit() {
        for (log_format, of_200, of_404) in
            [("%200m", "GET\n", "-\n"), ("%!200,304m", "-\n", "GET\n"), ("%404>s", "-\n", "404\n")]
        {
            assert_eq!(lines(log_format, 200)[0], of_200, "{log_format}");
            assert_eq!(lines(log_format, 404)[0], of_404, "{log_format}");
        }
    }

    #[test]
    fn no_bytes_are_a_dash_or_a_zero() {
        assert_eq!(lines("%b %B", 304)[0], "- 0\n");
    }
}
