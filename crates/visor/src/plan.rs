//! The plan of a run: the documents' sources, ready to run. The drivers ([`crate::live_stream`],
//! [`crate::simulation`]) execute it. It draws the seeds of sources that have none, and logs them;
//! it opens no file and starts nothing.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{self, Instant},
};

use tokio::sync::{Notify, futures::Notified};
use visor_api::{ResolvedSource, quantity::Duration};
use visor_engine::{
    choice::InvalidWeights,
    log::{self, NamedStream},
    random::Seed,
    time::Time,
};

use crate::{metrics::StreamName, output::OutputPlan};

/// Everything that is to run.
pub(crate) struct Plan {
    pub(crate) generators: Vec<GeneratorPlan>,
}

/// A generator that is to run.
pub(crate) struct GeneratorPlan {
    pub(crate) key: GeneratorKey,
    pub(crate) output: OutputPlan,
    pub(crate) suspended: bool,
    pub(crate) limits: Limits,
    pub(crate) streams: Vec<NamedStream>,
}

/// The identity of a generator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GeneratorKey {
    pub(crate) source: String,
    pub(crate) generator: String,
}

impl GeneratorPlan {
    /// The seed of the lanes of its output in a simulated run that begins at `start`.
    pub(crate) fn lane_seed(&self, start: Time) -> Seed {
        let seed = self.streams.first().map_or(Seed::new(0), |stream| stream.seed);
        seed.child("lane").child(&self.output.name).child(&start.as_nanos().to_string())
    }
}

impl GeneratorKey {
    /// The name of one of its streams.
    pub(crate) fn stream(&self, stream: &NamedStream) -> StreamName {
        StreamName {
            source: self.source.clone(),
            generator: self.generator.clone(),
            stream: stream.name.clone(),
            kind: stream.kind.as_str(),
        }
    }
}

/// The limits of a source, shared by its generators.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    /// The number of lines that may still be written.
    lines: Option<Arc<AtomicU64>>,
    /// Notified when the last one has been taken.
    exhausted: Arc<Notify>,
    /// The configured number of lines.
    all_lines: Option<u64>,
    /// The duration of the source.
    of_source: Limit,
    /// The duration of the whole run.
    of_run: Limit,
}

/// A duration, and its start once it has started.
#[derive(Debug, Clone, Default)]
struct Limit {
    duration: Option<Duration>,
    started: Arc<OnceLock<Instant>>,
}

impl Limit {
    fn end(&self) -> Option<Instant> {
        let duration = time::Duration::from_nanos(self.duration?.as_nanos());
        // A time beyond the system's range is no limit.
        self.started.get()?.checked_add(duration)
    }
}

impl Limits {
    fn new(lines: Option<u64>, duration: Option<Duration>) -> Self {
        Self {
            lines: lines.map(|lines| Arc::new(AtomicU64::new(lines))),
            exhausted: Arc::default(),
            all_lines: lines,
            of_source: Limit { duration, started: Arc::default() },
            of_run: Limit::default(),
        }
    }

    /// Starts the durations, unless they have started already.
    pub(crate) fn start(&self, now: Instant) {
        for limit in [&self.of_source, &self.of_run] {
            limit.started.get_or_init(|| now);
        }
    }

    /// When the source ends, if it has a duration that has started.
    pub(crate) fn end(&self) -> Option<Instant> {
        let (one, other) = (self.of_source.end(), self.of_run.end());
        one.into_iter().chain(other).min()
    }

    /// The duration of a source that starts with the run.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let (one, other) = (self.of_source.duration, self.of_run.duration);
        one.into_iter().chain(other).min()
    }

    /// Takes `requested` lines from the limit; returns how many may be written, which is less only if
    /// they are the last.
    pub(crate) fn take(&self, requested: u64) -> u64 {
        let Some(lines) = &self.lines else { return requested };
        let left = lines.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left.saturating_sub(requested))
        });
        let left = left.unwrap_or_else(|left| left);
        if left <= requested {
            self.exhausted.notify_waiters();
        }
        left.min(requested)
    }

    /// Returns lines that were taken and not written.
    pub(crate) fn return_unused(&self, unused: u64) {
        if let Some(lines) = &self.lines {
            lines.fetch_add(unused, Ordering::Relaxed);
        }
    }

    /// Whether no more lines may be written.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.load(Ordering::Relaxed) == 0)
    }

    /// Waits for another stream to take the last line from now on. Whether it has been taken
    /// already must be checked ([`is_exhausted`](Self::is_exhausted)) after calling this, so that
    /// it isn't missed.
    pub(crate) fn exhausted(&self) -> Notified<'_> {
        self.exhausted.notified()
    }

    /// Whether the number of lines is limited.
    pub(crate) const fn counts_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Continues the durations and, if the limit is unchanged, the remaining lines.
    fn resume(&mut self, earlier: &Self) {
        self.of_source.started = Arc::clone(&earlier.of_source.started);
        if self.all_lines == earlier.all_lines {
            self.lines.clone_from(&earlier.lines);
            self.exhausted = Arc::clone(&earlier.exhausted);
        }
    }
}

/// The command line's settings for all sources.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The directory for file outputs.
    pub(crate) output_dir: PathBuf,
    /// The seed of sources that have none.
    pub(crate) seed: Option<u64>,
    /// The duration of the run, for sources without an earlier end.
    pub(crate) duration: Option<Duration>,
    /// The name of this instance: mixed into every seed.
    pub(crate) identity: Option<String>,
}

/// What is carried over from one plan to the next, so that a reload continues rather than restarts.
#[derive(Debug, Default)]
pub(crate) struct CarryOver {
    seeds: HashMap<String, u64>,
    limits: HashMap<String, Limits>,
    run_begun: Arc<OnceLock<Instant>>,
}

impl Plan {
    /// Makes a plan of sources.
    ///
    /// # Errors
    ///
    /// If one of the engine's own lists of choices is invalid.
    pub(crate) fn new(
        sources: &[ResolvedSource],
        settings: &Settings,
        carry_over: &mut CarryOver,
    ) -> Result<Self, InvalidWeights> {
        let mut generators = Vec::new();
        for source in sources {
            let seed = carry_over.seed(&source.name, source.seed, settings);
            let limits = carry_over.limits(source, settings.duration);
            let mut of_source = log::Source::new(source.time_zone.clone(), seed);
            for generator in &source.generators {
                generators.push(GeneratorPlan {
                    streams: of_source.streams(generator)?,
                    output: OutputPlan::new(&generator.output, &settings.output_dir),
                    suspended: source.suspended,
                    limits: limits.clone(),
                    key: GeneratorKey {
                        source: source.name.clone(),
                        generator: generator.name.clone(),
                    },
                });
            }
        }
        // A source that is added again starts from the beginning.
        carry_over.limits.retain(|name, _| sources.iter().any(|source| source.name == *name));
        Ok(Self { generators })
    }
}

impl CarryOver {
    /// The seed of a source. A source without one keeps the first that was drawn for it.
    fn seed(&mut self, source: &str, configured: Option<u64>, settings: &Settings) -> Seed {
        let number = configured.or(settings.seed).unwrap_or_else(|| {
            *self.seeds.entry(source.to_owned()).or_insert_with(|| {
                // Within the range of the field `seed`.
                let drawn = rand::random::<u64>() >> 1;
                tracing::info!(
                    source,
                    seed = drawn,
                    "drew a seed; use it to get the same lines again"
                );
                drawn
            })
        });
        let seed = Seed::new(number);
        settings.identity.as_ref().map_or(seed, |identity| seed.child(identity))
    }

    fn limits(&mut self, source: &ResolvedSource, of_run: Option<Duration>) -> Limits {
        let mut limits = Limits::new(source.lines.map(NonZeroU64::get), source.duration);
        limits.of_run = Limit { duration: of_run, started: Arc::clone(&self.run_begun) };
        if let Some(earlier) = self.limits.get(&source.name) {
            limits.resume(earlier);
        }
        self.limits.insert(source.name.clone(), limits.clone());
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_give_out_each_line_once() {
        let limits = Limits::new(Some(10), None);
        let shared = limits.clone();
        assert_eq!((limits.take(4), shared.take(4), limits.take(4), shared.take(4)), (4, 4, 2, 0));
        assert_eq!(Limits::new(None, None).take(7), 7);
    }

    #[test]
    fn a_reload_continues_with_the_remaining_lines() {
        let mut carry_over = CarryOver::default();
        let shop = |lines: u64| {
            let source = serde_json::from_value(serde_json::json!({
                "apiVersion": "visor.dev/v1alpha1",
                "kind": "FakeLogSource",
                "metadata": {"name": "shop"},
                "spec": {
                    "stopAfter": {"lines": lines},
                    "generators": [{"name": "web", "access": {}}],
                },
            }));
            ResolvedSource::check(source.unwrap()).unwrap()
        };
        assert_eq!(carry_over.limits(&shop(10), None).take(8), 8);
        assert_eq!(carry_over.limits(&shop(10), None).take(8), 2);
        assert_eq!(carry_over.limits(&shop(20), None).take(30), 20);
    }

    #[test]
    fn a_seed_that_was_drawn_is_kept_and_an_identity_changes_every_seed() {
        let mut carry_over = CarryOver::default();
        let settings = Settings::default();
        let drawn = carry_over.seed("shop", None, &settings);
        assert_eq!(carry_over.seed("shop", None, &settings), drawn);
        let replica = Settings { identity: Some("shop-1".to_owned()), ..Settings::default() };
        assert_ne!(
            carry_over.seed("shop", Some(42), &replica),
            carry_over.seed("shop", Some(42), &settings)
        );
    }
}
