//! Compiles a format and the fields of a model into columns.
//!
//! Each format has its own file, with the fields of a line, their order, their escaping, and the
//! text between them.

mod json;
mod log_format;
mod nginx;

use jiff::tz::TimeZone;
use visor_logs::access_format::{ForeignFormat, Format};

use super::{fields::RequestFields, request::PerRequestField};
use crate::line::{self, LineFormat};

/// The builder of the columns of a request.
type Builder = line::Builder<PerRequestField>;

/// This format, compiled for these fields, with times in this zone.
pub fn compile(
    format: &Format,
    fields: &RequestFields<'_>,
    zone: &TimeZone,
) -> LineFormat<PerRequestField> {
    let mut columns = Builder::of_one();
    match format {
        Format::LogFormat(format) => log_format::add(format, fields, zone, &mut columns),
        Format::Nginx(format) => nginx::add(format, fields, zone, &mut columns),
        Format::Foreign(ForeignFormat::Json) => json::add(fields, &mut columns),
    }
    columns.finish()
}
