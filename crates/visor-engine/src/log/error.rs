//! Error logs: the model of a message ([`model`]), its [`fields`], and how a format and the fields
//! become columns ([`mod@format`]).

mod catalog;
pub mod fields;
pub mod format;
pub mod message;
pub mod model;

pub use fields::MessageFields;
pub use format::{Formatter, LineWriter};
pub use message::Message;
pub use model::MessageModel;

use jiff::tz::TimeZone;
use visor_logs::resolved::ErrorLog;

use super::{LineModel, NamedStream};
use crate::{choice::InvalidWeights, random::Seed};

/// The streams of an error log, with times in this zone. The clients depend on the source's seed.
pub(super) fn streams(
    log: &ErrorLog,
    zone: &TimeZone,
    of_source: Seed,
    of_generator: Seed,
) -> Result<Vec<NamedStream>, InvalidWeights> {
    let tokens = log.format.tokens_in_line(log.tokens);
    let subjects = model::Subjects::new(log, of_source)?;
    let mut formatter = Formatter::new(&log.format, zone);
    let models =
        log.streams.iter().map(|stream| MessageModel::new(log, stream, &subjects, &mut formatter));
    let models: Vec<_> = models.collect::<Result<_, _>>()?;
    let writer = formatter.finish();
    let streams = log.streams.iter().zip(models).map(|(stream, model)| {
        let model = LineModel::Error { model, writer: writer.clone() };
        NamedStream::new(stream, model, of_generator, tokens)
    });
    Ok(streams.collect())
}
