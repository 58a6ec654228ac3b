//! What is to run: the documents' sources, made ready. The drivers ([`crate::live_stream`],
//! [`crate::simulation`]) do what the plan says. It draws the seeds of sources that have none, and
//! logs them; it opens no file and starts nothing.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{self, Instant},
};

use tokio::sync::{Notify, futures::Notified};
use visor_api::{
    ResolvedSource,
    quantity::Duration,
    resolved::{Output, Rotation},
};
use visor_engine::{
    choice::NothingToDraw,
    generator::{self, NamedStream},
    random::Seed,
};

use crate::{metrics::StreamName, sink::Target};

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

/// Which generator of which source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GeneratorKey {
    pub(crate) source: String,
    pub(crate) generator: String,
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

/// Where a generator's lines go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutputPlan {
    /// `stdout`, `stderr`, or the file's path below the output directory.
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) rotation: Option<Rotation>,
}

/// When a source ends by itself. Its generators share one of these.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    /// How many lines may still be written.
    lines: Option<Arc<AtomicU64>>,
    /// Told when the last one has been taken.
    spent: Arc<Notify>,
    /// How many there were to be written in all.
    all_lines: Option<u64>,
    /// How long the source runs.
    of_source: Limit,
    /// How long the whole run is.
    of_run: Limit,
}

/// A limit of time, and when it began to count, once it has.
#[derive(Debug, Clone, Default)]
struct Limit {
    duration: Option<Duration>,
    begun: Arc<OnceLock<Instant>>,
}

impl Limit {
    fn end(&self) -> Option<Instant> {
        let duration = time::Duration::from_nanos(self.duration?.as_nanos());
        // A time beyond what the system can say is none.
        self.begun.get()?.checked_add(duration)
    }
}

impl Limits {
    fn new(lines: Option<u64>, duration: Option<Duration>) -> Self {
        Self {
            lines: lines.map(|lines| Arc::new(AtomicU64::new(lines))),
            spent: Arc::default(),
            all_lines: lines,
            of_source: Limit { duration, begun: Arc::default() },
            of_run: Limit::default(),
        }
    }

    /// Has the time count from now, unless it counts already.
    pub(crate) fn begin(&self, now: Instant) {
        for limit in [&self.of_source, &self.of_run] {
            limit.begun.get_or_init(|| now);
        }
    }

    /// When the source ends, if time says so and has begun to count.
    pub(crate) fn end(&self) -> Option<Instant> {
        let (one, other) = (self.of_source.end(), self.of_run.end());
        one.into_iter().chain(other).min()
    }

    /// How long a source runs that begins with the run.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let (one, other) = (self.of_source.duration, self.of_run.duration);
        one.into_iter().chain(other).min()
    }

    /// Takes leave to write `wanted` lines; says how many may be written, which is less only when
    /// they are the last.
    pub(crate) fn take(&self, wanted: u64) -> u64 {
        let Some(lines) = &self.lines else { return wanted };
        let left = lines.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left.saturating_sub(wanted))
        });
        let left = left.unwrap_or_else(|left| left);
        if left <= wanted {
            self.spent.notify_waiters();
        }
        left.min(wanted)
    }

    /// Gives back leave that was taken and not used.
    pub(crate) fn give_back(&self, unused: u64) {
        if let Some(lines) = &self.lines {
            lines.fetch_add(unused, Ordering::Relaxed);
        }
    }

    /// Whether no more lines may be written.
    pub(crate) fn is_spent(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.load(Ordering::Relaxed) == 0)
    }

    /// Waits for another stream to take the last line from now on. Whether it has been taken
    /// already is to be asked ([`is_spent`](Self::is_spent)) when this has been called: so none is
    /// missed.
    pub(crate) fn spent(&self) -> Notified<'_> {
        self.spent.notified()
    }

    /// Whether the source is limited in lines.
    pub(crate) const fn counts_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Goes on with the time, and, where both have the same limit, with what is left of the lines.
    fn resume(&mut self, earlier: &Self) {
        self.of_source.begun = Arc::clone(&earlier.of_source.begun);
        if self.all_lines == earlier.all_lines {
            self.lines.clone_from(&earlier.lines);
            self.spent = Arc::clone(&earlier.spent);
        }
    }
}

/// What the command line says about all sources.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Where file outputs go.
    pub(crate) output_dir: PathBuf,
    /// The seed of sources that have none of their own.
    pub(crate) seed: Option<u64>,
    /// How long the run is, for all sources that don't end earlier.
    pub(crate) duration: Option<Duration>,
    /// Who this is among several that run the same documents: mixed into every seed.
    pub(crate) identity: Option<String>,
}

/// What one plan hands to the next, so that a reload goes on rather than begins anew.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    seeds: HashMap<String, u64>,
    limits: HashMap<String, Limits>,
    run_begun: Arc<OnceLock<Instant>>,
}

impl Plan {
    /// Makes a plan of sources.
    ///
    /// # Errors
    ///
    /// If one of the engine's own lists of choices can't be drawn from.
    pub(crate) fn new(
        sources: &[ResolvedSource],
        settings: &Settings,
        memory: &mut Memory,
    ) -> Result<Self, NothingToDraw> {
        let mut generators = Vec::new();
        for source in sources {
            let seed = memory.seed(&source.name, source.seed, settings);
            let limits = memory.limits(source, settings.duration);
            let mut of_source = generator::Source::new(source.time_zone.clone(), seed);
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
        // A source that comes back is another one, and begins anew.
        memory.limits.retain(|name, _| sources.iter().any(|source| source.name == *name));
        Ok(Self { generators })
    }
}

impl Memory {
    /// The seed of a source. One that has none keeps the one that was drawn for it first.
    fn seed(&mut self, source: &str, own: Option<u64>, settings: &Settings) -> Seed {
        let number = own.or(settings.seed).unwrap_or_else(|| {
            *self.seeds.entry(source.to_owned()).or_insert_with(|| {
                // Within what a document can say, so that it can be written there.
                let drawn = rand::random::<u64>() >> 1;
                tracing::info!(
                    source,
                    seed = drawn,
                    "drew a seed; give it to have the same lines again"
                );
                drawn
            })
        });
        let seed = Seed::new(number);
        settings.identity.as_ref().map_or(seed, |identity| seed.child(identity))
    }

    fn limits(&mut self, source: &ResolvedSource, of_run: Option<Duration>) -> Limits {
        let mut limits = Limits::new(source.lines.map(NonZeroU64::get), source.duration);
        limits.of_run = Limit { duration: of_run, begun: Arc::clone(&self.run_begun) };
        if let Some(earlier) = self.limits.get(&source.name) {
            limits.resume(earlier);
        }
        self.limits.insert(source.name.clone(), limits.clone());
        limits
    }
}

impl OutputPlan {
    fn new(output: &Output, output_dir: &Path) -> Self {
        Self {
            name: output.name().to_owned(),
            target: Target::new(output, output_dir),
            rotation: output.rotation().cloned(),
        }
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
    fn a_reload_goes_on_with_the_lines_that_are_left() {
        let mut memory = Memory::default();
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
        assert_eq!(memory.limits(&shop(10), None).take(8), 8);
        assert_eq!(memory.limits(&shop(10), None).take(8), 2);
        assert_eq!(memory.limits(&shop(20), None).take(30), 20);
    }

    #[test]
    fn a_seed_that_was_drawn_is_kept_and_an_identity_changes_every_seed() {
        let mut memory = Memory::default();
        let settings = Settings::default();
        let drawn = memory.seed("shop", None, &settings);
        assert_eq!(memory.seed("shop", None, &settings), drawn);
        let replica = Settings { identity: Some("shop-1".to_owned()), ..Settings::default() };
        assert_ne!(
            memory.seed("shop", Some(42), &replica),
            memory.seed("shop", Some(42), &settings)
        );
    }
}
