//! How a request is written: the format of a document and the facts of a content, made into columns.
//!
//! Each format is a file of its own. It says which facts a line has, in what order, how it escapes
//! them, and what stands between them.

mod json;
mod log_format;

use jiff::tz::TimeZone;
use visor_api::source::{self, ForeignFormat};

use super::{columns::Columns, facts::Facts};

/// The columns of the lines that this format makes of these facts, with times of this zone.
pub fn columns(format: &source::Format, facts: &Facts<'_>, zone: &TimeZone) -> Columns {
    match format {
        source::Format::LogFormat(format) => log_format::columns(format, facts, zone),
        source::Format::Foreign(ForeignFormat::Json) => json::columns(facts),
    }
}
