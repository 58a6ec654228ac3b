//! What is counted of streams. There may be tens of thousands of them, and a counter of the library
//! has its name, its help and its labels with it each time; so these are bare numbers that become the
//! library's only while somebody asks.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::{
    Histogram, TextEncoder,
    core::{Atomic, AtomicF64, AtomicU64, Number},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// The names that a stream goes by in metrics, tables and summaries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamName {
    /// The `FakeLogSource`.
    pub(crate) source: String,
    /// Its generator.
    pub(crate) generator: String,
    /// Its stream.
    pub(crate) stream: String,
    /// The kind of its lines, in lower case.
    pub(crate) kind: &'static str,
}

/// The counters of one stream.
pub(crate) struct StreamMeter {
    pub(crate) name: StreamName,
    pub(crate) lines: Count<AtomicU64>,
    pub(crate) bytes: Count<AtomicU64>,
    pub(crate) skipped: Count<AtomicU64>,
    /// The wanted lines a second.
    pub(crate) target: Count<AtomicF64>,
    pub(crate) lag: Histogram,
}

/// A number that is counted up, or set.
pub(crate) struct Count<A>(A);

impl<A: Atomic> Count<A> {
    fn zero() -> Self {
        Self(A::new(A::T::from_i64(0)))
    }

    pub(crate) fn get(&self) -> A::T {
        self.0.get()
    }

    pub(crate) fn inc_by(&self, more: A::T) {
        self.0.inc_by(more);
    }

    pub(crate) fn set(&self, value: A::T) {
        self.0.set(value);
    }
}

/// The meters of all streams, in the order in which they came.
#[derive(Default)]
pub(super) struct Streams(Mutex<Known>);

#[derive(Default)]
struct Known {
    meters: Vec<Arc<StreamMeter>>,
    places: HashMap<Named, usize>,
}

/// A meter, found by its name.
struct Named(Arc<StreamMeter>);

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl Borrow<StreamName> for Named {
    fn borrow(&self) -> &StreamName {
        &self.0.name
    }
}

impl Streams {
    /// The meter of a stream; the same one each time for the same name. `lag` is its generator's.
    pub(super) fn meter(
        &self,
        name: &StreamName,
        lag: impl FnOnce() -> Histogram,
    ) -> Arc<StreamMeter> {
        let mut known = self.known();
        if let Some(place) = known.places.get(name) {
            return Arc::clone(&known.meters[*place]);
        }
        let meter = Arc::new(StreamMeter {
            name: name.clone(),
            lines: Count::zero(),
            bytes: Count::zero(),
            skipped: Count::zero(),
            target: Count::zero(),
            lag: lag(),
        });
        let place = known.meters.len();
        known.places.insert(Named(Arc::clone(&meter)), place);
        known.meters.push(Arc::clone(&meter));
        meter
    }

    /// All meters there were.
    pub(super) fn meters(&self) -> Vec<Arc<StreamMeter>> {
        self.known().meters.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends them to a page in Prometheus' text format, one metric after the other: with many
    /// streams, the library's form of one is large enough.
    pub(super) fn render(&self, page: &mut String) -> prometheus::Result<()> {
        let meters = self.meters();
        let mut family = |name: &str, help: &str, kind, value: fn(&StreamMeter) -> f64| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family.set_metric(meters.iter().map(|meter| meter.metric(kind, value)).collect());
            // The library refuses a family without metrics.
            if meters.is_empty() { Ok(()) } else { TextEncoder::new().encode_utf8(&[family], page) }
        };
        family(
            "visor_lines_total",
            "Lines whose write succeeded.",
            MetricType::COUNTER,
            |meter| meter.lines.get().into_f64(),
        )?;
        family(
            "visor_bytes_total",
            "Bytes of the lines whose write succeeded, newlines included.",
            MetricType::COUNTER,
            |meter| meter.bytes.get().into_f64(),
        )?;
        family(
            "visor_lines_skipped_total",
            "Lines that were due too long ago to be made up for, and never written.",
            MetricType::COUNTER,
            |meter| meter.skipped.get().into_f64(),
        )?;
        family(
            "visor_target_lines_per_second",
            "Wanted lines a second, surges left out; +Inf for an unlimited stream.",
            MetricType::GAUGE,
            |meter| meter.target.get(),
        )
    }
}

impl StreamMeter {
    /// One of its numbers as the library has it.
    fn metric(&self, kind: MetricType, value: fn(&Self) -> f64) -> Metric {
        let StreamName { source, generator, stream, kind: lines } = &self.name;
        let label = |(name, value): (&str, &str)| {
            let mut label = LabelPair::default();
            label.set_name(name.to_owned());
            label.set_value(value.to_owned());
            label
        };
        // By their names, as the library sorts those of its own.
        let labels =
            [("generator", &**generator), ("kind", lines), ("source", source), ("stream", stream)];
        let mut metric = Metric::from_label(labels.map(label).into());
        if kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value(self));
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value(self));
            metric.set_gauge(gauge);
        }
        metric
    }
}
