//! Apache's `ErrorLogFormat` strings: their structure, and ([`parse()`]) their parser.
//!
//! The parser follows `parse_errorlog_string` of httpd's `server/core.c`, so a format that httpd
//! accepts is accepted here, and one that it rejects is rejected for the same reason. The engine
//! writes the items, and drops fields, as `do_errorlog_format` of `server/log.c` does. Pure.

mod parse;

pub use parse::parse;

use crate::{log_format::TimeFormat, message::one_line, parsed::Meaning, release::Release};

/// A parsed `ErrorLogFormat` string.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorLogFormat {
    /// Its items in order.
    pub items: Vec<Item>,
}

/// An item of a format: fixed text, or a value of the message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Item {
    /// What it is substituted by.
    pub value: Value,
    /// Whether it starts a field. If an item of a field is empty, the whole field is dropped.
    pub starts_field: bool,
    /// `%-`: whether it is written as `-` if it is empty.
    pub is_hyphen_if_empty: bool,
    /// `%7`: the number of the level from which on it is written; 0 for all.
    pub level: u8,
}

/// What an item is substituted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// Fixed text; `%%` is a percent sign.
    Literal(String),
    /// `%M`: the message.
    Message,
    /// `%a`, `%{c}a`: the client's address and port.
    ClientAddressAndPort,
    /// The client's address: what httpd 2.2 writes. No string has it.
    ClientAddress,
    /// `%A`: the server's address and port.
    LocalAddressAndPort,
    /// `%{NAME}e`: an environment variable of the request.
    Environment(String),
    /// `%E`: the system's error number and text.
    SystemError,
    /// `%F`: the file and the line in httpd's sources.
    Source,
    /// `%{NAME}i`: a header of the request.
    RequestHeader(String),
    /// `%k`: how many requests the connection had before.
    KeepAliveRequests,
    /// `%l`: the level.
    Level,
    /// `%L`: the identifier of the request.
    RequestLogId,
    /// `%{c}L`: the identifier of the connection.
    ConnectionLogId,
    /// `%{C}L`: the identifier of the connection, if there is no request.
    OnlyConnectionLogId,
    /// `%m`: the module.
    Module,
    /// `%{NAME}n`: a note of the request.
    Note(String),
    /// `%P`: the process.
    ProcessId,
    /// `%T`: the thread by POSIX; empty in a process without threads.
    ThreadId,
    /// `%{g}T`: the thread by the kernel.
    KernelThreadId,
    /// `%t`, `%{OPTIONS}t`, `%{FORMAT}t`: the time.
    Time(TimeFormat),
    /// `%v`: the virtual host's canonical name.
    VirtualHost,
    /// `%V`: the server's name as UseCanonicalName has it.
    ServerName,
}

/// Why a text is not an `ErrorLogFormat`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorLogFormatError {
    /// httpd's `Unrecognized error log format directive`.
    #[error(
        "unknown item `{item}` at character {position}; see the documentation of ErrorLogFormat, \
         and write `%%` for a percent sign"
    )]
    UnknownItem {
        /// The item as written.
        item: String,
        /// Its position in characters, from 1.
        position: usize,
    },
    /// httpd's `Ran off end of error log format parsing args to some directive`.
    #[error("the text ends within the item `{item}` at character {position}; finish it")]
    Unfinished {
        /// The item as far as it is written.
        item: String,
        /// Its position in characters, from 1.
        position: usize,
    },
    /// httpd's `The '+' flag cannot be used in the main error log format`.
    #[error(
        "item `{item}` at character {position}: the modifier `+` is for formats of requests and \
         connections; remove it"
    )]
    Required {
        /// The item as written.
        item: String,
        /// Its position in characters, from 1.
        position: usize,
    },
    /// httpd's `The specified loglevel modifier is out of range`.
    #[error(
        "item `{item}` at character {position}: there is no such level; use 0 (emerg) to 7 (debug) \
         and 8 (trace1) to 15 (trace8)"
    )]
    UnknownLevel {
        /// The item as written.
        item: String,
        /// Its position in characters, from 1.
        position: usize,
    },
    /// httpd's `main ErrorLogFormat must contain message format string '%M'`.
    #[error("the format has no message; add `%M`")]
    NoMessage,
    /// A newline, which would make two lines of one.
    #[error("a format must be one line; remove the newline, it is added to each line anyway")]
    Newline,
}

impl Meaning for ErrorLogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        parse(text).map_err(|error| one_line(&error.to_string()))
    }
}

impl ErrorLogFormat {
    fn new(items: Vec<Item>) -> Self {
        Self { items }
    }

    /// How often a line shows its token, at most: the unique id of a request always is one, a message
    /// may have one.
    pub fn tokens_in_line(&self, in_messages: bool) -> usize {
        let shows_token = |item: &&Item| match &item.value {
            Value::RequestLogId => true,
            Value::Environment(name) => name == "UNIQUE_ID",
            Value::Message => in_messages,
            _ => false,
        };
        self.items.iter().filter(shows_token).count()
    }

    /// The format as this release understands it: milliseconds came after 2.4.59.
    #[must_use]
    pub fn understood_by(mut self, release: Release) -> Self {
        for item in &mut self.items {
            if let Value::Time(TimeFormat::Ctime(options)) = &mut item.value {
                options.milliseconds &= release > Release::V2_4_59;
            }
        }
        self
    }

    /// What httpd writes without an `ErrorLogFormat`, in the words of one: as `do_errorlog_default`
    /// of 2.4's `server/log.c`, and `log_error_core` of 2.2's.
    ///
    /// # Errors
    ///
    /// Never: the strings are formats.
    pub fn default_of(release: Release) -> Result<Self, ErrorLogFormatError> {
        match release {
            Release::V2_2_34 => {
                let mut format =
                    parse(r"[%t] [%l] %7F: [client\ %a] %E: %M% ,\ referer:\ %{Referer}i")?;
                for item in &mut format.items {
                    if item.value == Value::ClientAddressAndPort {
                        item.value = Value::ClientAddress;
                    }
                }
                Ok(format)
            }
            // The thread by POSIX, which a process without threads doesn't have.
            Release::V2_4_59 => parse(
                r"[%{u}t] [%m:%l] [pid\ %P% :tid\ %T% ] %7F: %E: [client\ %a] %M% ,\ referer:\ %{Referer}i",
            ),
            Release::V2_4_71 => parse(
                r"[%{u}t] [%m:%l] [pid\ %P% :tid\ %{g}T% ] %7F: %E: [client\ %a] %M% ,\ referer:\ %{Referer}i",
            ),
        }
    }
}
