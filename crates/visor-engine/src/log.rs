//! The kinds of log: what their lines say, and how these are written. The rest of the engine knows a
//! line only as a [`LineModel`].

pub mod access;
pub mod error;

use jiff::tz::TimeZone;
use visor_logs::{
    StreamKind,
    resolved::{self, Log, Timing},
};

use crate::{
    choice::InvalidWeights,
    line::Draws,
    random::{Random, Seed},
    text::Lines,
    time::Time,
};

/// The model and the format of a stream's lines.
#[derive(Debug, Clone)]
pub enum LineModel {
    /// Lines of an access log.
    Access {
        /// The model.
        model: access::AccessModel,
        /// The format.
        writer: access::LineWriter,
        /// The draws of the last one.
        draws: Draws,
    },
    /// Messages of an error log.
    Error {
        /// The model.
        model: error::MessageModel,
        /// The format.
        writer: error::LineWriter,
    },
}

impl LineModel {
    /// Writes a line that is due at `time`.
    #[inline]
    pub fn write(&mut self, time: Time, random: &mut Random, out: &mut Lines) {
        match self {
            Self::Access { model, writer, draws } => {
                let request = model.draw(time, writer.needed(), random, draws);
                writer.write(&request, out);
            }
            Self::Error { model, writer } => model.write(time, writer, random, out),
        }
    }
}

/// A stream of a document, before it is started.
#[derive(Debug, Clone)]
pub struct NamedStream {
    /// Its name, unique within the generator.
    pub name: String,
    /// The kind of line, as metrics name it.
    pub kind: StreamKind,
    /// When its lines are due.
    pub timing: Timing,
    /// The model of its lines.
    pub model: LineModel,
    /// The seed of its random numbers.
    pub seed: Seed,
    /// How often a line shows its token, at most.
    pub tokens: usize,
}

impl NamedStream {
    /// `seed` is the generator's.
    fn new<L>(stream: &resolved::Stream<L>, model: LineModel, seed: Seed, tokens: usize) -> Self {
        Self {
            seed: seed.child(&stream.name),
            name: stream.name.clone(),
            kind: stream.kind,
            timing: stream.timing.clone(),
            model,
            tokens,
        }
    }
}

/// What the generators of a source have in common. All its logs are of one server with the same
/// clients.
#[derive(Debug)]
pub struct Source {
    zone: TimeZone,
    seed: Seed,
    access: access::Models,
}

impl Source {
    /// A source with this time zone and seed, without generators.
    pub fn new(zone: TimeZone, seed: Seed) -> Self {
        Self { access: access::Models::new(zone.clone(), seed), zone, seed }
    }

    /// The streams of a generator; the seed of each is derived from the source's.
    ///
    /// # Errors
    ///
    /// If one of the built-in lists of choices is invalid, which is a bug.
    pub fn streams(
        &mut self,
        generator: &resolved::Generator,
    ) -> Result<Vec<NamedStream>, InvalidWeights> {
        let seed = self.seed.child(&generator.name);
        match &generator.log {
            Log::Access(log) => self.access.streams(log, seed),
            Log::Error(log) => error::streams(log, &self.zone, self.seed, seed),
        }
    }
}
