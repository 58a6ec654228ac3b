//! How a request is written: the format of a document, made ready to write lines.
//!
//! Each format is a file of its own. It says how it escapes what came from outside ([`Escaping`]),
//! which facts it writes ([`Uses`]), and its bytes.

mod json;
mod log_format;

use jiff::tz::TimeZone;
use visor_api::source::{self, ForeignFormat};

use super::{escaping::Escaping, request::Request};
use crate::text::Lines;

/// A format, ready to write lines.
#[derive(Debug, Clone)]
pub enum Format {
    /// One of Apache's.
    LogFormat(log_format::LogFormat),
    /// A JSON object a line.
    Json(Box<json::Json>),
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
    /// `%D`, `%T`, `%^FB`, `%t`: a line is written when its request ends, so when that began
    /// depends on it.
    pub duration: bool,
    /// `%P`, `%k`, `%X`, `%{remote}p`
    pub connection: bool,
    /// `%I`, `%S`
    pub bytes_in: bool,
    /// `%{UNIQUE_ID}e`, `%{X-Request-Id}i`
    pub id: bool,
    /// `%{SSL_PROTOCOL}x`, `%{SSL_CIPHER}x`
    pub tls: bool,
}

impl Format {
    /// Makes a format ready to write lines with times of this zone.
    pub fn new(format: &source::Format, zone: &TimeZone) -> Self {
        match format {
            source::Format::LogFormat(format) => {
                Self::LogFormat(log_format::LogFormat::new(format.clone(), zone))
            }
            source::Format::Foreign(ForeignFormat::Json) => Self::Json(Box::default()),
        }
    }

    /// How it escapes. What it writes must have been escaped so.
    pub const fn escaping(&self) -> &'static Escaping {
        match self {
            Self::LogFormat(_) => &log_format::ESCAPING,
            Self::Json(_) => &json::ESCAPING,
        }
    }

    /// Which facts it writes.
    #[inline]
    pub const fn uses(&self) -> Uses {
        match self {
            Self::LogFormat(format) => format.uses(),
            Self::Json(_) => json::USES,
        }
    }

    /// Writes the line of a request, newline included.
    #[inline]
    pub fn write(&mut self, request: &Request<'_>, out: &mut Lines) {
        match self {
            Self::LogFormat(format) => format.write(request, out),
            Self::Json(json) => json.write(request, out),
        }
    }
}
