//! Apache's `LogFormat` strings: their structure, and ([`parse()`]) their parser.
//!
//! The parser follows `parse_log_item` and `parse_log_misc_string` of httpd's
//! `modules/loggers/mod_log_config.c`, so a format that httpd accepts is accepted here, and one
//! that it rejects is rejected for the same reason. The engine substitutes the directives.

mod parse;

pub use parse::parse;

use std::fmt;

use crate::{message::one_line, parsed::Meaning};

/// A parsed `LogFormat` string.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogFormat {
    /// Its items in order. A line is their concatenation and a newline.
    pub items: Vec<Item>,
}

impl Meaning for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        parse(text).map_err(|error| one_line(&error.to_string()))
    }
}

/// A directive that names a header, a cookie, a note or a variable, such as `%{X-Request-Id}i`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedDirective {
    /// The namespace of the name.
    pub namespace: Namespace,
    /// The name.
    pub name: String,
}

impl Meaning for NamedDirective {
    fn parse(text: &str) -> Result<Self, String> {
        let format = LogFormat::parse(text)?;
        let named = format.items.first().and_then(Item::named);
        let (namespace, name) = named.ok_or("must be a directive that names something")?;
        Ok(Self { namespace, name: name.to_owned() })
    }
}

impl Item {
    /// The name in a directive, with its namespace.
    pub fn named(&self) -> Option<(Namespace, &str)> {
        let Self::Directive(directive) = self else { return None };
        let Field::Named(namespace, name) = &directive.field else { return None };
        Some((*namespace, name))
    }
}

/// An item of a format: fixed text, or a directive that is substituted in each line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// Fixed text.
    Literal(String),
    /// A directive.
    Directive(Directive),
}

/// A directive with its modifiers, such as `%>s` or `%!200,304{Referer}i`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Directive {
    /// What it is substituted by.
    pub field: Field,
    /// `%<`: of a request that was redirected within the server, the original; `%>`: the final
    /// one. Where neither is written, it is as httpd registers the directive.
    pub original: bool,
    /// The status codes for which it is substituted; otherwise it is `-`.
    pub condition: Option<Condition>,
}

/// A list of status codes before a directive: `%400,501{User-Agent}i`, or with `!` for all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The codes.
    pub statuses: Vec<u16>,
    /// Whether the directive is substituted for all codes but these.
    pub negated: bool,
}

impl Condition {
    /// Whether the directive is substituted for this final status.
    pub fn admits(&self, status: u16) -> bool {
        self.statuses.contains(&status) != self.negated
    }
}

/// What a directive is substituted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// `%h`: the client's host name or address.
    RemoteHost,
    /// `%a`, `%{c}a`: the client's address.
    ClientAddress,
    /// `%A`: the server's address.
    LocalAddress,
    /// `%l`: the name by identd.
    RemoteLogname,
    /// `%u`: the authenticated user.
    RemoteUser,
    /// `%t`, `%{FORMAT}t`: a time.
    Time {
        /// Whether the request's end is meant rather than its beginning.
        end: bool,
        /// How it is written.
        format: TimeFormat,
    },
    /// `%r`: the request line.
    RequestLine,
    /// `%f`: the file that the request was mapped to.
    Filename,
    /// `%b`: the body's bytes, `-` for none.
    BodyBytesOrDash,
    /// `%B`: the body's bytes.
    BodyBytes,
    /// `%I`: bytes received, head and body.
    BytesIn,
    /// `%O`: bytes sent, head and body.
    BytesOut,
    /// `%S`: bytes received and sent.
    BytesTransferred,
    /// `%{NAME}i` and similar: a value that the directive names.
    Named(Namespace, String),
    /// `%V`: the server's name as UseCanonicalName has it.
    ServerName,
    /// `%v`: the virtual host's canonical name.
    VirtualHost,
    /// `%p`, `%{canonical}p`: the server's port.
    Port,
    /// `%{local}p`: the port that the connection came to.
    LocalPort,
    /// `%{remote}p`: the client's port.
    RemotePort,
    /// `%P`, `%{pid}P`: the process.
    ProcessId,
    /// `%{tid}P`: the thread.
    ThreadId,
    /// `%{hextid}P`: the thread in hexadecimal.
    ThreadIdHexadecimal,
    /// `%H`: the protocol.
    Protocol,
    /// `%m`: the method.
    Method,
    /// `%U`: the path.
    Path,
    /// `%q`: the query with its `?`, or nothing.
    Query,
    /// `%s`: the status.
    Status,
    /// `%D`, `%T`, `%{UNIT}T`: the time it took to serve the request.
    Duration(DurationUnit),
    /// `%R`: the handler.
    Handler,
    /// `%L`, `%{c}L`: the identifier that the error log has, too.
    LogId,
    /// `%X`: `X` aborted, `+` kept alive, `-` closed.
    ConnectionStatus,
    /// `%k`: how many requests the connection had before.
    KeepAliveRequests,
    /// `%^FB`: the time from when the request came to the first byte of the response.
    TimeToFirstByte,
    /// An argument that httpd doesn't know, and writes literally: `%{x}p`.
    Verbatim(String),
}

/// The namespace of a directive that names something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Namespace {
    /// `%{NAME}i`
    RequestHeader,
    /// `%{NAME}o`
    ResponseHeader,
    /// `%{NAME}C`
    Cookie,
    /// `%{NAME}n`
    Note,
    /// `%{NAME}e`
    Environment,
    /// `%{NAME}x`
    TlsVariable,
    /// `%{NAME}^ti`
    RequestTrailer,
    /// `%{NAME}^to`
    ResponseTrailer,
}

/// The format of a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TimeFormat {
    /// `[18/Sep/2026:19:18:28 -0400]`
    Clf,
    /// Seconds since the epoch.
    Seconds,
    /// Milliseconds since the epoch.
    Milliseconds,
    /// Microseconds since the epoch.
    Microseconds,
    /// The milliseconds of the second, three digits.
    MillisecondFraction,
    /// The microseconds of the second, six digits.
    MicrosecondFraction,
    /// As strftime(3) has it.
    Strftime(String),
    /// `2026-09-18T19:18:28-04:00`
    Iso8601,
    /// `Sun Sep 20 19:18:28 2026`, as ctime(3) has it: that of an error log.
    Ctime(CtimeOptions),
}

/// The options of a time in an error log: `%{cuz}t`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a letter of its own")]
pub struct CtimeOptions {
    /// `u`: with microseconds, whether or not milliseconds are set.
    pub microseconds: bool,
    /// `m`: with milliseconds.
    pub milliseconds: bool,
    /// `c`: in the order of ISO 8601, `2026-09-20 19:18:28`.
    pub compact: bool,
    /// `z`: with the zone's offset.
    pub zone: bool,
}

/// The unit of a duration; truncated, not rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DurationUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

/// Why a text is not a `LogFormat`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFormatError {
    /// httpd's `Unrecognized LogFormat directive`.
    #[error(
        "unknown directive `{directive}` at character {position}; \
         see the documentation of mod_log_config, and write `%%` for a percent sign"
    )]
    UnknownDirective {
        /// The directive as written.
        directive: String,
        /// Its position in characters, from 1.
        position: usize,
    },
    /// A known directive with an invalid argument.
    #[error("directive `{directive}` at character {position}: {reason}")]
    BadArgument {
        /// The directive as written.
        directive: String,
        /// Its position in characters, from 1.
        position: usize,
        /// What is wrong.
        reason: String,
    },
    /// httpd's `Ran off end of LogFormat parsing args to some directive`.
    #[error("the text ends within the directive `{directive}` at character {position}; finish it")]
    Unfinished {
        /// The directive as far as it is written.
        directive: String,
        /// Its position in characters, from 1.
        position: usize,
    },
    /// A newline, which would make two lines of one.
    #[error("a format must be one line; remove the newline, it is added to each line anyway")]
    Newline,
    /// An empty format.
    #[error("the format is empty; write one such as `%h %l %u %t \"%r\" %>s %b`")]
    Empty,
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestHeader => "i",
            Self::ResponseHeader => "o",
            Self::Cookie => "C",
            Self::Note => "n",
            Self::Environment => "e",
            Self::TlsVariable => "x",
            Self::RequestTrailer => "^ti",
            Self::ResponseTrailer => "^to",
        })
    }
}
