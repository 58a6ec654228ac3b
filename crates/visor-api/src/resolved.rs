//! A source that has passed every rule, with its defaults, in types that can't hold invalid values.
//! The engine, the program and the operator use only these, so none of them interprets a document
//! itself, and nothing is built from an unchecked one. Pure.

pub use visor_logs::resolved::*;

use std::num::NonZeroU64;

use jiff::tz::TimeZone;

use crate::{
    FakeLogSource,
    bounded::Bounded,
    problem::Problem,
    quantity::Duration,
    rules,
    source::{self, Common, Workload},
};

/// A valid source. Only [`check`](Self::check) and the document reader create it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ResolvedSource {
    document: FakeLogSource,
    /// Its name.
    pub name: String,
    /// The seed of all random numbers; `None` to draw one.
    pub seed: Option<u64>,
    /// The time zone of the time stamps.
    pub time_zone: TimeZone,
    /// Whether it writes no lines for now.
    pub suspended: bool,
    /// The number of lines after which it ends.
    pub lines: Option<NonZeroU64>,
    /// The duration after which it ends.
    pub duration: Option<Duration>,
    /// The workload of its pods.
    pub workload: Workload,
    /// Its generators.
    pub generators: Vec<Generator>,
}

impl ResolvedSource {
    /// Checks a source, and fills in its defaults. What the schema checks is assumed.
    ///
    /// # Errors
    ///
    /// Every problem, each with its path in the document.
    pub fn check(document: FakeLogSource) -> Result<Self, Vec<Problem>> {
        let problems = rules::check(&document);
        if problems.is_empty() { Ok(Self::resolve(document)) } else { Err(problems) }
    }

    /// Resolves a document that has passed the rules. What they would have rejected is left out.
    pub(crate) fn resolve(document: FakeLogSource) -> Self {
        let spec = &document.spec;
        let stop = spec.stop_after.clone().unwrap_or_default();
        let generators = spec.generators.iter();
        Self {
            name: document.metadata.name.clone().unwrap_or_default(),
            seed: spec.seed.map(Bounded::get),
            time_zone: spec.time_zone.known().cloned().unwrap_or(TimeZone::UTC),
            suspended: spec.suspend,
            lines: stop.lines.map(Bounded::get),
            duration: stop.duration,
            workload: spec.resolved_workload(),
            generators: generators
                .filter_map(|generator| resolve(generator, spec.common()))
                .collect(),
            document,
        }
    }

    /// The document as it was written.
    pub const fn document(&self) -> &FakeLogSource {
        &self.document
    }

    /// Whether the source ends by itself.
    pub const fn is_finite(&self) -> bool {
        self.lines.is_some() || self.duration.is_some()
    }
}

/// A generator; `None` if it has no log, or several, or one without a format.
fn resolve(generator: &source::Generator, common: Common) -> Option<Generator> {
    let log = generator.log()?.resolve(generator, common)?;
    Some(Generator { name: generator.name.clone(), log, output: (&generator.output).into() })
}

#[cfg(test)]
mod tests;
