//! Compiles nginx's `log_format`, with its escaping.
//!
//! Each variable is written as its function in `src/http/modules/ngx_http_log_module.c` or
//! `src/http/ngx_http_variables.c` of nginx writes it. A value that a request doesn't have is `-`, or
//! nothing with another escaping than the default one.

use jiff::tz::TimeZone;
use visor_logs::{
    log_format::TimeFormat,
    nginx_log_format::{self, Escape, Item, NginxLogFormat},
};

use super::Builder;
use crate::{
    escape::{nginx_item, nginx_json},
    line::{Field, Moment},
    log::access::{
        fields::{NamedRequestField, RequestFields},
        request::PerRequestField,
    },
    server,
    stamp::Stamp,
};

/// Adds the columns of a `log_format`.
pub(super) fn add(
    format: &NginxLogFormat,
    fields: &RequestFields<'_>,
    zone: &TimeZone,
    columns: &mut Builder,
) {
    let mut variables = Variables { escape: format.escape, fields, zone, columns };
    for item in &format.items {
        match item {
            Item::Literal(text) => variables.columns.text(text.as_bytes()),
            Item::Variable(name) => variables.add(name),
        }
    }
    columns.text(b"\n");
}

/// Adds the columns of variables.
struct Variables<'a> {
    escape: Escape,
    fields: &'a RequestFields<'a>,
    zone: &'a TimeZone,
    columns: &'a mut Builder,
}

impl Variables<'_> {
    fn add(&mut self, name: &str) {
        let fields = self.fields;
        let configured = |named: &&NamedRequestField<'_>| {
            nginx_log_format::variable_of(named.namespace, named.name).as_deref() == Some(name)
        };
        if let Some(named) = fields.named.iter().find(configured) {
            return self.field(&named.field);
        }
        match name {
            "remote_addr" | "realip_remote_addr" => self.field(&fields.client_address),
            "http_x_forwarded_for" if fields.has_headers => self.field(&fields.client_address),
            "proxy_add_x_forwarded_for" => {
                self.field(&fields.client_address);
                self.columns.text(b", ");
                self.field(&fields.client_address);
            }
            "remote_user" => self.field(&fields.remote_user),
            "time_local" => {
                // As in the Common Log Format, without brackets.
                self.end(TimeFormat::Strftime("%d/%b/%Y:%H:%M:%S %z".to_owned()));
            }
            "time_iso8601" => self.end(TimeFormat::Iso8601),
            "date_local" => {
                self.end(TimeFormat::Strftime("%A, %d-%b-%Y %H:%M:%S %Z".to_owned()));
            }
            "date_gmt" => {
                let format = TimeFormat::Strftime("%A, %d-%b-%Y %H:%M:%S GMT".to_owned());
                self.columns.time(Moment::End, Stamp::new(format, TimeZone::UTC));
            }
            "msec" => {
                self.end(TimeFormat::Seconds);
                self.columns.text(b".");
                self.end(TimeFormat::MillisecondFraction);
            }
            "request_time" | "connection_time" => {
                self.columns.per_record(PerRequestField::SecondsAndMilliseconds);
            }
            "request" => self.request_line(),
            "request_method" => self.field(&fields.method),
            "request_uri" => self.field(&fields.target),
            "uri" | "document_uri" => self.field(&fields.path),
            "args" | "query_string" => self.mapped(&fields.query, |query| match query {
                b"" | b"?" => b"-",
                query => query.strip_prefix(b"?").unwrap_or(query),
            }),
            "is_args" => self.mapped(&fields.query, |query| match query {
                b"" | b"?" => b"",
                _ => b"?",
            }),
            "server_protocol" => self.field(&fields.protocol),
            "request_filename" => self.field(&fields.filename),
            "status" => self.field(&fields.status),
            "body_bytes_sent" => self.columns.per_record(PerRequestField::BodyBytes),
            "bytes_sent" => self.columns.per_record(PerRequestField::BytesOut),
            "request_length" => self.columns.per_record(PerRequestField::BytesIn),
            "remote_port" | "realip_remote_port" => {
                self.columns.per_record(PerRequestField::RemotePort);
            }
            "connection" => self.columns.per_record(PerRequestField::ConnectionNumber),
            "connection_requests" => {
                self.columns.per_record(PerRequestField::ConnectionRequests);
            }
            "pid" => self.columns.per_record(PerRequestField::ProcessId),
            "request_id" => self.columns.per_record(PerRequestField::HexadecimalId),
            "http_x_request_id" if fields.has_headers => {
                self.columns.per_record(PerRequestField::Uuid);
            }
            "http_referer" => self.field(&fields.referer),
            "http_user_agent" => self.field(&fields.user_agent),
            "http_host" => self.field(&fields.host),
            "host" | "server_name" => self.field(&fields.server_name),
            "server_addr" => self.field(&fields.local_address),
            "server_port" => self.field(&fields.port),
            "sent_http_content_type" => self.field(&fields.content_type),
            "ssl_protocol" => self.field(&fields.tls_protocol),
            "ssl_cipher" => self.field(&fields.tls_cipher),
            "scheme" => self.columns.text(if self.has_tls() { b"https" } else { b"http" }),
            "https" => self.columns.text(if self.has_tls() { b"on" } else { b"" }),
            "request_completion" => self.columns.text(b"OK"),
            "pipe" => self.columns.text(b"."),
            "nginx_version" => self.columns.text(server::NGINX_VERSION.as_bytes()),
            "limit_rate" => self.columns.text(b"0"),
            "http2" | "ssl_early_data" => {}
            "ssl_client_verify" => self.columns.text(if self.has_tls() { b"NONE" } else { b"-" }),
            "ssl_session_reused" if self.has_tls() => self.columns.text(b"."),
            _ => match name.strip_prefix("arg_") {
                Some(argument) => self.mapped(&fields.query, |query| value_of(argument, query)),
                None => self.field(&Field::absent(fields.remote_user.draw_of)),
            },
        }
    }

    fn has_tls(&self) -> bool {
        !self.fields.tls_protocol.is_absent()
    }

    fn end(&mut self, format: TimeFormat) {
        self.columns.time(Moment::End, Stamp::new(format, self.zone.clone()));
    }

    fn request_line(&mut self) {
        let fields = self.fields;
        if let Some(line) = fields.message.as_ref().or(fields.request_line.as_ref()) {
            return self.field(line);
        }
        self.field(&fields.method);
        self.columns.text(b" ");
        self.field(&fields.target);
        self.columns.text(b" ");
        self.field(&fields.protocol);
    }

    fn field(&mut self, field: &Field<'_>) {
        self.mapped(field, |value| value);
    }

    /// A field with other values.
    fn mapped(&mut self, field: &Field<'_>, map: impl for<'v> Fn(&'v [u8]) -> &'v [u8]) {
        let escape = self.escape;
        self.columns.field(field, |value| match (map(value), escape) {
            (value, Escape::Default) => nginx_item(value),
            (b"-", Escape::Json | Escape::None) => Vec::new(),
            (value, Escape::Json) => nginx_json(value),
            // A newline would make two lines of one.
            (value, Escape::None) => value.iter().map(|byte| one_line(*byte)).collect(),
        });
    }
}

fn one_line(byte: u8) -> u8 {
    if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }
}

/// The value of an argument of a query, as `ngx_http_arg` finds it.
fn value_of<'q>(name: &str, query: &'q [u8]) -> &'q [u8] {
    let arguments = query.strip_prefix(b"?").unwrap_or(query);
    let mut pairs = arguments.split(|byte| *byte == b'&');
    let value = pairs.find_map(|pair| {
        let (key, value) = pair.split_at_checked(name.len())?;
        key.eq_ignore_ascii_case(name.as_bytes()).then(|| value.strip_prefix(b"="))?
    });
    value.unwrap_or(b"-")
}
