//! The fields of messages. The names are those of the items of httpd's `ErrorLogFormat`.

use std::borrow::Cow;

use super::message::PerMessageField;
use crate::line::Field;

/// All fields of one message of a log. Many lines have the same message, each with values of its own.
#[derive(Debug, Clone)]
pub struct MessageFields<'a> {
    /// The module that logs it (`%m`); `None` if httpd doesn't know it.
    pub module: Option<&'a str>,
    /// The level by httpd's name (`%l`).
    pub level: &'a str,
    /// The number of the level: 0 for emerg, 15 for trace8.
    pub severity: u8,
    /// The thread by POSIX (`%T`); `None` in a process without threads.
    pub thread_id: Option<PerMessageField>,
    /// The thread by the kernel (`%{g}T`).
    pub kernel_thread_id: PerMessageField,
    /// The source file and line (`%F`).
    pub source: Option<(&'a str, u32)>,
    /// The system's error number and text (`%E`).
    pub errno: Option<(i32, &'a str)>,
    /// The client's address (`%a`), if there is a connection.
    pub client: Option<&'a Field<'a>>,
    /// The request, if there is one.
    pub request: Option<RequestFields<'a>>,
    /// The virtual host's name (`%v`).
    pub virtual_host: &'a Field<'a>,
    /// The message (`%M`).
    pub text: Vec<Part<'a>>,
}

/// The fields of a message's request.
#[derive(Debug, Clone)]
pub struct RequestFields<'a> {
    /// The referer (`%{Referer}i`).
    pub referer: Option<&'a Field<'a>>,
    /// The user agent (`%{User-Agent}i`).
    pub user_agent: &'a Field<'a>,
    /// The host, and the server's name (`%{Host}i`, `%V`).
    pub host: &'a Field<'a>,
}

/// A part of a text.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// Literal text, not escaped.
    Text(Cow<'a, [u8]>),
    /// A field.
    Field(&'a Field<'a>),
    /// A per-message field.
    PerMessage(PerMessageField),
}

impl<'a> Part<'a> {
    /// Literal text.
    pub fn text(text: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::Text(text.into())
    }
}
