//! Compiles a `LogFormat`, with httpd's escaping.
//!
//! Each directive is written as its `log_...` function in `modules/loggers/mod_log_config.c` (and
//! `mod_logio.c`) writes it.

use jiff::tz::TimeZone;
use visor_logs::log_format::{self, Condition, DurationUnit, Field, Item, LogFormat, Namespace};

use super::Builder;
use crate::{
    escape::log_item,
    line::{Draw, Moment},
    log::access::{fields::RequestFields, request::PerRequestField},
    stamp::Stamp,
};

/// Adds the columns of a `LogFormat`.
pub(super) fn add(
    format: &LogFormat,
    fields: &RequestFields<'_>,
    zone: &TimeZone,
    columns: &mut Builder,
) {
    for item in &format.items {
        match item {
            Item::Literal(text) => columns.text(text.as_bytes()),
            Item::Directive(directive) => match &directive.condition {
                None => add_directive(directive, fields, zone, columns),
                Some(condition) => only_if(admitted(condition, fields), columns, |columns| {
                    add_directive(directive, fields, zone, columns);
                }),
            },
        }
    }
    columns.text(b"\n");
}

/// What `add` adds, for the admitted exchanges only; `-` for the others.
fn only_if(admitted: Box<[bool]>, columns: &mut Builder, add: impl FnOnce(&mut Builder)) {
    columns.if_admitted(Draw::EXCHANGE, admitted, add, |columns| columns.text(b"-"));
}

/// For each exchange, whether its status is one of the condition's.
fn admitted(condition: &Condition, fields: &RequestFields<'_>) -> Box<[bool]> {
    let status = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let statuses = fields.status.values.iter();
    statuses.map(|text| condition.admits(status(text).unwrap_or(0))).collect()
}

/// Adds the column of a directive.
fn add_directive(
    directive: &log_format::Directive,
    fields: &RequestFields<'_>,
    zone: &TimeZone,
    columns: &mut Builder,
) {
    match &directive.field {
        Field::RemoteHost => columns.field(&fields.remote_host, log_item),
        Field::ClientAddress => columns.field(&fields.client_address, log_item),
        Field::LocalAddress => columns.field(&fields.local_address, log_item),
        Field::RemoteLogname => columns.field(&fields.remote_logname, log_item),
        Field::RemoteUser => columns.field(&fields.remote_user, |user| match user {
            // `log_remote_user` writes two quotes for an empty name.
            b"" => b"\"\"".to_vec(),
            user => log_item(user),
        }),
        Field::Time { end, format } => {
            let which = if *end { Moment::End } else { Moment::Begin };
            columns.time(which, Stamp::new(format.clone(), zone.clone()));
        }
        Field::RequestLine => add_request_line(fields, columns),
        Field::Status if directive.original => columns.field(&fields.original_status, log_item),
        Field::Status => columns.field(&fields.status, log_item),
        Field::BodyBytes => columns.per_record(PerRequestField::BodyBytes),
        Field::BodyBytesOrDash => columns.per_record(PerRequestField::BodyBytesOrDash),
        Field::BytesIn => columns.per_record(PerRequestField::BytesIn),
        Field::BytesOut => columns.per_record(PerRequestField::BytesOut),
        Field::BytesTransferred => columns.per_record(PerRequestField::BytesTransferred),
        Field::Named(namespace, name) => add_named(*namespace, name, fields, columns),
        Field::VirtualHost => columns.field(&fields.virtual_host, log_item),
        Field::ServerName => columns.field(&fields.server_name, log_item),
        Field::Port => columns.field(&fields.port, log_item),
        Field::LocalPort => columns.field(&fields.local_port, log_item),
        Field::RemotePort => columns.per_record(PerRequestField::RemotePort),
        Field::ProcessId => columns.per_record(PerRequestField::ProcessId),
        Field::ThreadId => columns.per_record(PerRequestField::ThreadId),
        Field::ThreadIdHexadecimal => columns.per_record(PerRequestField::ThreadIdHexadecimal),
        Field::Protocol => columns.field(&fields.protocol, log_item),
        Field::Method => columns.field(&fields.method, log_item),
        Field::Path => columns.field(&fields.path, log_item),
        Field::Query => columns.field(&fields.query, log_item),
        Field::Filename => columns.field(&fields.filename, log_item),
        Field::Duration(unit) => columns.per_record(PerRequestField::Duration(match unit {
            DurationUnit::Seconds => 1_000_000_000,
            DurationUnit::Milliseconds => 1_000_000,
            DurationUnit::Microseconds => 1_000,
        })),
        Field::TimeToFirstByte => columns.per_record(PerRequestField::TimeToFirstByte),
        Field::Handler => columns.field(&fields.handler, log_item),
        Field::LogId => columns.field(&fields.log_id, log_item),
        Field::ConnectionStatus => columns.per_record(PerRequestField::ConnectionStatus),
        Field::KeepAliveRequests => columns.per_record(PerRequestField::KeepAliveRequests),
        Field::Verbatim(text) => columns.text(text.as_bytes()),
    }
}

fn add_request_line(fields: &RequestFields<'_>, columns: &mut Builder) {
    if let Some(message) = &fields.message {
        return columns.field(message, log_item);
    }
    if let Some(line) = &fields.request_line {
        return columns.field(line, log_item);
    }
    columns.field(&fields.method, log_item);
    columns.text(b" ");
    columns.field(&fields.target, log_item);
    columns.text(b" ");
    columns.field(&fields.protocol, log_item);
}

/// The configured field of the name, else a built-in one, else `-`.
fn add_named(namespace: Namespace, name: &str, fields: &RequestFields<'_>, columns: &mut Builder) {
    if let Some(field) = fields.named(namespace, name) {
        return columns.field(field, log_item);
    }
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    match namespace {
        Namespace::RequestHeader if is("Referer") => columns.field(&fields.referer, log_item),
        Namespace::RequestHeader if is("User-Agent") => columns.field(&fields.user_agent, log_item),
        Namespace::RequestHeader if is("Host") => columns.field(&fields.host, log_item),
        Namespace::RequestHeader if !fields.has_headers => columns.text(b"-"),
        Namespace::RequestHeader if is("X-Forwarded-For") => {
            columns.field(&fields.client_address, log_item);
        }
        Namespace::RequestHeader if is("X-Request-Id") => {
            columns.per_record(PerRequestField::Uuid);
        }
        Namespace::ResponseHeader if is("Content-Type") => {
            columns.field(&fields.content_type, log_item);
        }
        Namespace::Environment if name == "UNIQUE_ID" => {
            let unique_id = PerRequestField::UniqueId;
            match &fields.has_id {
                None => columns.per_record(unique_id),
                Some(has_id) => {
                    only_if(has_id.clone(), columns, |columns| columns.per_record(unique_id));
                }
            }
        }
        Namespace::TlsVariable if name == "HTTPS" => {
            columns.text(if fields.tls_protocol.is_absent() { b"off" } else { b"on" });
        }
        Namespace::TlsVariable if name == "SSL_PROTOCOL" => {
            columns.field(&fields.tls_protocol, log_item);
        }
        Namespace::TlsVariable if name == "SSL_CIPHER" => {
            columns.field(&fields.tls_cipher, log_item);
        }
        _ => columns.text(b"-"),
    }
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
            "targets": choice("/a%20b?c=\"d\""),
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
            ("%{HTTPS}x", "on"),
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
    fn bytes_received_are_those_of_the_texts_before_they_are_escaped() {
        let bytes = |user_agent: &str| {
            let log = json!({
                "format": "Custom",
                "logFormat": "%I %{User-Agent}i",
                "userAgents": [{"value": user_agent}],
            });
            let stream = json!({"name": "requests", "kind": "Access"});
            let generator = json!({"name": "web", "access": log, "streams": [stream]});
            let numbers = testing::lines(&generator, 20).into_iter();
            numbers.map(|line| line.split(' ').next().map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(bytes("a\"b\\"), bytes("abcd"));
        assert_ne!(bytes("abc"), bytes("abcd"));
    }

    #[test]
    fn no_bytes_are_a_dash_or_a_zero() {
        assert_eq!(lines("%b %B", 304)[0], "- 0\n");
    }
}
