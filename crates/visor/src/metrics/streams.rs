//! The metrics of streams. There may be tens of thousands of streams, and each counter of the
//! library has a copy of its name, help and labels; so these are plain numbers that are converted
//! only for a scrape.

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

/// The labels of a stream.
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
    /// The configured rate in lines per second.
    pub(crate) configured_rate: Count<AtomicF64>,
    pub(crate) lag: Histogram,
}

/// A counter or a gauge.
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

/// The meters of all streams, in order of creation.
#[derive(Default)]
pub(super) struct StreamMetrics(Mutex<Meters>);

#[derive(Default)]
struct Meters {
    meters: Vec<Arc<StreamMeter>>,
    indexes: HashMap<ByName, usize>,
}

/// A meter as a key, by its name.
struct ByName(Arc<StreamMeter>);

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl Borrow<StreamName> for ByName {
    fn borrow(&self) -> &StreamName {
        &self.0.name
    }
}

impl StreamMetrics {
    /// The meter of a stream; always the same one for the same name. `lag` is its generator's.
    pub(super) fn meter(
        &self,
        name: &StreamName,
        lag: impl FnOnce() -> Histogram,
    ) -> Arc<StreamMeter> {
        let mut meters_locked = self.meters_locked();
        if let Some(index) = meters_locked.indexes.get(name) {
            return Arc::clone(&meters_locked.meters[*index]);
        }
        let meter = Arc::new(StreamMeter {
            name: name.clone(),
            lines: Count::zero(),
            bytes: Count::zero(),
            skipped: Count::zero(),
            configured_rate: Count::zero(),
            lag: lag(),
        });
        let index = meters_locked.meters.len();
        meters_locked.indexes.insert(ByName(Arc::clone(&meter)), index);
        meters_locked.meters.push(Arc::clone(&meter));
        meter
    }

    /// All meters so far.
    pub(super) fn meters(&self) -> Vec<Arc<StreamMeter>> {
        self.meters_locked().meters.clone()
    }

    fn meters_locked(&self) -> MutexGuard<'_, Meters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends them to a page in Prometheus' text format, one metric after the other: with many
    /// streams, the library's form of a single one is large enough.
    pub(super) fn render(&self, page: &mut String) -> prometheus::Result<()> {
        let meters = self.meters();
        let mut family = |name: &str, help: &str, kind, value: fn(&StreamMeter) -> f64| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family.set_metric(meters.iter().map(|meter| meter.metric(kind, value)).collect());
            // The library rejects a family without metrics.
            if meters.is_empty() { Ok(()) } else { TextEncoder::new().encode_utf8(&[family], page) }
        };
        family("visor_lines_total", "Lines written.", MetricType::COUNTER, |meter| {
            meter.lines.get().into_f64()
        })?;
        family(
            "visor_bytes_total",
            "Bytes of the lines written, newlines included.",
            MetricType::COUNTER,
            |meter| meter.bytes.get().into_f64(),
        )?;
        family(
            "visor_lines_skipped_total",
            "Lines that were skipped because they were due too long ago.",
            MetricType::COUNTER,
            |meter| meter.skipped.get().into_f64(),
        )?;
        family(
            "visor_configured_lines_per_second",
            "Configured rate in lines per second, without surges; +Inf for an unlimited stream.",
            MetricType::GAUGE,
            |meter| meter.configured_rate.get(),
        )
    }
}

impl StreamMeter {
    /// One of its numbers in the library's form.
    fn metric(&self, kind: MetricType, value: fn(&Self) -> f64) -> Metric {
        let StreamName { source, generator, stream, kind: lines } = &self.name;
        let label = |(name, value): (&str, &str)| {
            let mut label = LabelPair::default();
            label.set_name(name.to_owned());
            label.set_value(value.to_owned());
            label
        };
        // Sorted by name, as in the library's own metrics.
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
