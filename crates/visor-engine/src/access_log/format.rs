//! Compiles a format and the fields of a model into columns.
//!
//! Each format has its own file, with the fields of a line, their order, their escaping, and the
//! text between them.

mod json;
mod log_format;

use jiff::tz::TimeZone;
use visor_api::source::{self, ForeignFormat};

use super::{columns::Columns, fields::RequestFields};

/// The columns of this format for these fields, with times in this zone.
pub fn columns(format: &source::Format, fields: &RequestFields<'_>, zone: &TimeZone) -> Columns {
    match format {
        source::Format::LogFormat(format) => log_format::columns(format, fields, zone),
        source::Format::Foreign(ForeignFormat::Json) => json::columns(fields),
    }
}
