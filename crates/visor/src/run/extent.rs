//! How far a run goes: whether it ends by itself, and what it has to go through until then. Pure.

use std::num::NonZeroU64;

use visor_api::{ResolvedSource, quantity::Duration};

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Until it is told to end.
    Endless,
    /// Until all sources have written their lines, which are so many together.
    Lines(u64),
    /// Until the longest source has ended, after so many milliseconds.
    Milliseconds(u64),
}

impl Extent {
    /// That of a run of these sources, which is over after `most` if that is given.
    pub(super) fn of(sources: &[ResolvedSource], most: Option<Duration>) -> Self {
        if most.is_none() && !sources.iter().all(ResolvedSource::is_finite) {
            return Self::Endless;
        }
        if let Some(lines) = lines_to_write(sources, most) {
            return Self::Lines(lines);
        }
        let durations = sources.iter().filter_map(|s| s.duration.into_iter().chain(most).min());
        Self::Milliseconds(durations.max().map_or(0, |longest| longest.as_nanos() / 1_000_000))
    }

    /// Whether it ends by itself.
    pub(super) fn is_finite(self) -> bool {
        self != Self::Endless
    }

    /// What it has to go through, in its own unit; `None` for a run without an end.
    pub(super) const fn length(self) -> Option<u64> {
        match self {
            Self::Endless => None,
            Self::Lines(length) | Self::Milliseconds(length) => Some(length),
        }
    }
}

/// The lines of all sources together, if each has a limit of lines and none of time.
fn lines_to_write(sources: &[ResolvedSource], most: Option<Duration>) -> Option<u64> {
    let lines = sources.iter().map(|source| {
        let is_timed = source.duration.is_some() || most.is_some();
        source.lines.map(NonZeroU64::get).filter(|_| !is_timed)
    });
    lines.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn a_run_is_as_long_as_its_sources() {
        let source = |stop: serde_json::Value| {
            let generator = json!({"name": "web", "access": {}});
            testing::source(&json!({"generators": [generator], "stopAfter": stop}))
        };
        let lines = source(json!({"lines": 7}));
        let short = source(json!({"duration": "2s"}));
        let both = source(json!({"lines": 7, "duration": "5s"}));
        let endless = testing::source(&json!({"generators": [{"name": "web", "access": {}}]}));
        let second = Duration::from_nanos(1_000_000_000);
        for (sources, most, extent) in [
            (vec![lines.clone(), lines.clone()], None, Extent::Lines(14)),
            (vec![lines.clone(), short.clone()], None, Extent::Milliseconds(2_000)),
            (vec![short, both], None, Extent::Milliseconds(5_000)),
            (vec![lines.clone(), endless.clone()], None, Extent::Endless),
            (vec![lines, endless], Some(second), Extent::Milliseconds(1_000)),
        ] {
            assert_eq!(Extent::of(&sources, most), extent);
        }
    }
}
