//! nginx's `log_format` strings: their structure, and ([`parse()`]) their parser.
//!
//! The parser follows `ngx_http_log_compile_format` of nginx's
//! `src/http/modules/ngx_http_log_module.c`. The engine substitutes the variables. Pure.

use crate::{
    log_format::Namespace,
    message::{nearest, one_line},
    parsed::Meaning,
};

/// A parsed `log_format`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NginxLogFormat {
    /// How values are escaped.
    pub escape: Escape,
    /// Its items in order. A line is their concatenation and a newline.
    pub items: Vec<Item>,
}

impl Meaning for NginxLogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        parse(text).map_err(|error| one_line(&error.to_string()))
    }
}

/// The parameter `escape`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Escape {
    /// `escape=default`: `\xHH` for what isn't printable, the quote and the backslash.
    #[default]
    Default,
    /// `escape=json`: as in a JSON string.
    Json,
    /// `escape=none`
    None,
}

/// An item of a format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// Fixed text.
    Literal(String),
    /// A variable by its name, in lower case.
    Variable(String),
}

/// nginx's predefined format `combined`.
pub const COMBINED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

/// Why a text is not a `log_format`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NginxLogFormatError {
    /// nginx's `unknown "..." variable`.
    #[error("unknown variable `${name}`; {advice}")]
    UnknownVariable {
        /// The name as written.
        name: String,
        /// What to do.
        advice: String,
    },
    /// nginx's `the closing bracket in "..." variable is missing`.
    #[error("the closing brace of the variable `${{{name}` is missing; add it")]
    Unclosed {
        /// The name as far as it is written.
        name: String,
    },
    /// nginx's `invalid parameter`: a `$` without a name.
    #[error(
        "there is no variable after the `$` at character {position}; add its name, or remove the `$`"
    )]
    NoName {
        /// The position in characters, from 1.
        position: usize,
    },
    /// nginx's `unknown log format escaping`.
    #[error("unknown escaping `{name}`; use default, json or none")]
    UnknownEscape {
        /// The name as written.
        name: String,
    },
    /// A newline, which would make two lines of one.
    #[error("a format must be one line; remove the newline, it is added to each line anyway")]
    Newline,
    /// An empty format.
    #[error("the format is empty; write one such as `$remote_addr [$time_local] \"$request\"`")]
    Empty,
}

/// Parses the parameters of a `log_format` after its name: a string, and before it `escape=json ` or
/// another escaping.
///
/// A backslash before a quote or a backslash is removed, as nginx's configuration parser does, so that
/// a format can be pasted as it is in nginx.conf.
///
/// # Errors
///
/// If nginx would reject it; and if it has a newline, which would break the line.
pub fn parse(text: &str) -> Result<NginxLogFormat, NginxLogFormatError> {
    let (escape, text) = match text.strip_prefix("escape=") {
        None => (Escape::Default, text),
        Some(rest) => {
            let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let escape = match name {
                "default" => Escape::Default,
                "json" => Escape::Json,
                "none" => Escape::None,
                _ => return Err(NginxLogFormatError::UnknownEscape { name: name.to_owned() }),
            };
            (escape, rest)
        }
    };
    if text.is_empty() {
        return Err(NginxLogFormatError::Empty);
    }
    let mut items = Vec::new();
    let mut literal = String::new();
    let text = unescape(text)?;
    let mut rest = text.as_str();
    while let Some(character) = rest.chars().next() {
        if character != '$' {
            literal.push(character);
            rest = &rest[character.len_utf8()..];
            continue;
        }
        if !literal.is_empty() {
            items.push(Item::Literal(std::mem::take(&mut literal)));
        }
        let position = text[..text.len() - rest.len()].chars().count() + 1;
        let (name, after) = variable(&rest[1..], position)?;
        items.push(Item::Variable(name));
        rest = after;
    }
    if !literal.is_empty() {
        items.push(Item::Literal(literal));
    }
    Ok(NginxLogFormat { escape, items })
}

/// The text as nginx has it after reading its configuration.
fn unescape(text: &str) -> Result<String, NginxLogFormatError> {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, rest.peek()) {
            ('\n', _) | ('\\', Some('n')) => return Err(NginxLogFormatError::Newline),
            ('\\', Some(escaped @ ('"' | '\'' | '\\' | 't' | 'r'))) => {
                unescaped.push(match escaped {
                    't' => '\t',
                    'r' => '\r',
                    other => *other,
                });
                rest.next();
            }
            (other, _) => unescaped.push(other),
        }
    }
    Ok(unescaped)
}

/// The name of the variable after a `$`, and the text after it.
fn variable(text: &str, position: usize) -> Result<(String, &str), NginxLogFormatError> {
    let (text, is_braced) = match text.strip_prefix('{') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let end = text.find(|character| !is_of_name(character)).unwrap_or(text.len());
    let (name, mut after) = text.split_at(end);
    if is_braced {
        let unclosed = || NginxLogFormatError::Unclosed { name: name.to_owned() };
        after = after.strip_prefix('}').ok_or_else(unclosed)?;
    }
    if name.is_empty() {
        return Err(NginxLogFormatError::NoName { position });
    }
    let known = name.to_ascii_lowercase();
    if !is_known(&known) {
        let advice = match nearest(&known, VARIABLES.iter().copied()) {
            Some(near) => format!("did you mean `${near}`?"),
            None => "see the index of variables in nginx's documentation".to_owned(),
        };
        return Err(NginxLogFormatError::UnknownVariable { name: name.to_owned(), advice });
    }
    Ok((known, after))
}

/// The variable for a name in this namespace, such as `http_x_tenant`; `None` if there is none.
pub fn variable_of(namespace: Namespace, name: &str) -> Option<String> {
    let prefix = match namespace {
        Namespace::RequestHeader => "http_",
        Namespace::ResponseHeader => "sent_http_",
        Namespace::Cookie => "cookie_",
        Namespace::ResponseTrailer => "sent_trailer_",
        _ => return None,
    };
    Some(format!("{prefix}{}", name.replace('-', "_").to_ascii_lowercase()))
}

/// Whether nginx has a variable with this name.
fn is_known(name: &str) -> bool {
    VARIABLES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The beginnings of the names of variables, such as `http_` for any header of the request.
const PREFIXES: &[&str] = &[
    "arg_",
    "cookie_",
    "http_",
    "sent_http_",
    "sent_trailer_",
    "upstream_cookie_",
    "upstream_http_",
    "upstream_trailer_",
];

/// The variables of the modules that nginx is built with in Debian.
const VARIABLES: &[&str] = &[
    "ancient_browser",
    "args",
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "connections_active",
    "connections_reading",
    "connections_waiting",
    "connections_writing",
    "content_length",
    "content_type",
    "date_gmt",
    "date_local",
    "document_root",
    "document_uri",
    "fastcgi_path_info",
    "fastcgi_script_name",
    "gzip_ratio",
    "host",
    "hostname",
    "http2",
    "https",
    "is_args",
    "limit_conn_status",
    "limit_rate",
    "limit_req_status",
    "modern_browser",
    "msec",
    "msie",
    "nginx_version",
    "pid",
    "pipe",
    "proxy_add_x_forwarded_for",
    "proxy_host",
    "proxy_port",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "proxy_protocol_server_addr",
    "proxy_protocol_server_port",
    "query_string",
    "realip_remote_addr",
    "realip_remote_port",
    "realpath_root",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_body",
    "request_body_file",
    "request_completion",
    "request_filename",
    "request_id",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "secure_link",
    "secure_link_expires",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "slice_range",
    "ssl_alpn_protocol",
    "ssl_cipher",
    "ssl_ciphers",
    "ssl_client_cert",
    "ssl_client_escaped_cert",
    "ssl_client_fingerprint",
    "ssl_client_i_dn",
    "ssl_client_i_dn_legacy",
    "ssl_client_raw_cert",
    "ssl_client_s_dn",
    "ssl_client_s_dn_legacy",
    "ssl_client_serial",
    "ssl_client_v_end",
    "ssl_client_v_remain",
    "ssl_client_v_start",
    "ssl_client_verify",
    "ssl_curve",
    "ssl_curves",
    "ssl_early_data",
    "ssl_protocol",
    "ssl_server_name",
    "ssl_session_id",
    "ssl_session_reused",
    "status",
    "tcpinfo_rcv_space",
    "tcpinfo_rtt",
    "tcpinfo_rttvar",
    "tcpinfo_snd_cwnd",
    "time_iso8601",
    "time_local",
    "uid_got",
    "uid_reset",
    "uid_set",
    "upstream_addr",
    "upstream_bytes_received",
    "upstream_bytes_sent",
    "upstream_cache_status",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_response_length",
    "upstream_response_time",
    "upstream_status",
    "uri",
];
