//! The length of a run: whether it ends by itself, and its progress until then. Pure.

use std::num::NonZeroU64;

use visor_api::{ResolvedSource, quantity::Duration};

/// The length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunLength {
    /// Until a signal.
    Unlimited,
    /// Until all sources have written this many lines together.
    Lines(u64),
    /// Until the longest source has ended, in milliseconds.
    Milliseconds(u64),
}

impl RunLength {
    /// The length of a run of these sources, at most `max` if given.
    pub(super) fn of(sources: &[ResolvedSource], max: Option<Duration>) -> Self {
        if max.is_none() && !sources.iter().all(ResolvedSource::is_finite) {
            return Self::Unlimited;
        }
        if let Some(lines) = lines_to_write(sources, max) {
            return Self::Lines(lines);
        }
        let durations = sources.iter().filter_map(|s| s.duration.into_iter().chain(max).min());
        Self::Milliseconds(durations.max().map_or(0, |longest| longest.as_nanos() / 1_000_000))
    }

    /// Whether it ends by itself.
    pub(super) fn is_finite(self) -> bool {
        self != Self::Unlimited
    }

    /// The length in its own unit; `None` for a run without an end.
    pub(super) const fn length(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Lines(length) | Self::Milliseconds(length) => Some(length),
        }
    }
}

/// The lines of all sources together, if each has a limit of lines and none has a duration.
fn lines_to_write(sources: &[ResolvedSource], max: Option<Duration>) -> Option<u64> {
    let lines = sources.iter().map(|source| {
        let is_timed = source.duration.is_some() || max.is_some();
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
        for (sources, max, length) in [
            (vec![lines.clone(), lines.clone()], None, RunLength::Lines(14)),
            (vec![lines.clone(), short.clone()], None, RunLength::Milliseconds(2_000)),
            (vec![short, both], None, RunLength::Milliseconds(5_000)),
            (vec![lines.clone(), endless.clone()], None, RunLength::Unlimited),
            (vec![lines, endless], Some(second), RunLength::Milliseconds(1_000)),
        ] {
            assert_eq!(RunLength::of(&sources, max), length);
        }
    }
}
