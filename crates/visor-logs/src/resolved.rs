//! The logs of a source, with all defaults, in types that can hold no more than what the rules of
//! documents accept. Pure.

mod choices;
mod log;
mod output;
mod requests;
mod stream;

pub use choices::Choices;
pub use log::*;
pub use output::{Compression, Output, Rotation, RotationMethod};
pub use requests::{Clients, Distribution, NamedDirective, RequestTarget, Requests};
pub use stream::{Exponential, Interval, Normal, Stream, Surge, Timing, Uniform};

/// One log, and its output.
#[derive(Debug, Clone, PartialEq)]
pub struct Generator {
    /// Its name, unique within the source.
    pub name: String,
    /// The log with its streams.
    pub log: Log,
    /// The output of its lines.
    pub output: Output,
}

impl Generator {
    /// The configured rate of all its streams in lines per second, without surges; infinite if one
    /// is unlimited.
    pub fn lines_per_second(&self) -> f64 {
        self.log.timings().iter().map(|timing| timing.lines_per_second).sum()
    }
}
