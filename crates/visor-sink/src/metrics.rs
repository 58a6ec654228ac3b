//! The sink's metrics, as Prometheus reads them.

use std::collections::BTreeMap;

use http::StatusCode;
use prometheus::{
    IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
    proto::{Bucket, Histogram, Metric, MetricFamily, MetricType},
};
use visor_proof::{
    Verdict,
    latency::{BOUNDS, Latencies},
    verdict::OutputVerdict,
};

use crate::fault::{FaultCounts, Faults};

/// The maximum number of outputs with series of their own.
const MAX_OUTPUTS: usize = 1_000;

/// What has come in by a protocol.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: u64,
    pub(crate) records: u64,
    /// The faults of `--fault` that have happened.
    pub(crate) faults: u64,
}

/// The counters.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    records: IntCounterVec,
    malformed: IntCounterVec,
    faults: IntCounterVec,
    lines: IntGaugeVec,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// If a name is taken.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let requests = counter(
            "visor_sink_requests_total",
            "Requests that were answered, by protocol and HTTP status code.",
            &["protocol", "code"],
        )?;
        let records = counter(
            "visor_sink_records_total",
            "Records that were taken, by protocol.",
            &["protocol"],
        )?;
        let malformed = counter(
            "visor_sink_malformed_total",
            "Requests and frames that are not what their protocol says, by protocol.",
            &["protocol"],
        )?;
        let faults = counter(
            "visor_sink_faults_total",
            "How often a fault of --fault has happened, by protocol.",
            &["protocol", "fault"],
        )?;
        let lines = IntGaugeVec::new(
            Opts::new(
                "visor_sink_lines",
                "The counts of the verdict, by the identity of the generator and output.",
            ),
            // Not `pod`, which Prometheus has for that of the sink.
            &["identity", "output", "count"],
        )?;
        registry.register(Box::new(lines.clone()))?;
        visor_runtime::build_info::register(&registry, "visor_sink_build_info")?;
        Ok(Self { registry, requests, records, malformed, faults, lines })
    }

    pub(crate) fn request(&self, protocol: &str, status: StatusCode) {
        self.requests.with_label_values(&[protocol, status.as_str()]).inc();
    }

    pub(crate) fn records(&self, protocol: &str, count: u64) {
        self.records.with_label_values(&[protocol]).inc_by(count);
    }

    pub(crate) fn malformed(&self, protocol: &str) {
        self.malformed.with_label_values(&[protocol]).inc();
    }

    /// What has come in by each protocol.
    pub(crate) fn protocols(&self, faults: &FaultCounts) -> BTreeMap<String, Traffic> {
        let mut protocols: BTreeMap<String, Traffic> = BTreeMap::new();
        for ((protocol, _), count) in faults {
            protocols.entry((*protocol).to_owned()).or_default().faults += count;
        }
        for family in self.registry.gather() {
            for metric in family.get_metric() {
                let label = metric.get_label().iter().find(|label| label.name() == "protocol");
                let Some(label) = label else { continue };
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count is a whole number"
                )]
                let count = metric.get_counter().get_value() as u64;
                let known = protocols.entry(label.value().to_owned()).or_default();
                match family.name() {
                    "visor_sink_requests_total" => known.requests += count,
                    "visor_sink_records_total" => known.records += count,
                    _ => {}
                }
            }
        }
        protocols
    }

    /// A page with a sample of each metric.
    pub(crate) fn example() -> prometheus::Result<String> {
        let metrics = Self::new()?;
        metrics.request("loki", StatusCode::NO_CONTENT);
        metrics.records("loki", 1);
        metrics.malformed("loki");
        metrics.faults.with_label_values(&["loki", "reject"]).inc();
        let mut verdict = Verdict::of(&mut visor_proof::Delivery::default(), &[], None);
        verdict.outputs.push(OutputVerdict::default());
        metrics.render(&Faults::new(&[]), &verdict)
    }

    /// The page.
    pub(crate) fn render(&self, faults: &Faults, verdict: &Verdict) -> prometheus::Result<String> {
        for ((protocol, name), count) in faults.counts() {
            let counter = self.faults.with_label_values(&[protocol, name]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        self.lines.reset();
        for output in verdict.outputs.iter().take(MAX_OUTPUTS) {
            for (name, count) in output.counts.named() {
                let labels = [output.pod.as_str(), output.output.as_str(), name];
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                self.lines.with_label_values(&labels).set(count);
            }
        }
        let mut families = self.registry.gather();
        families.push(latency(&verdict.latency));
        TextEncoder::new().encode_to_string(&families)
    }
}

/// The histogram of the latencies, in seconds.
fn latency(latencies: &Latencies) -> MetricFamily {
    let mut histogram = Histogram::default();
    let mut so_far = 0;
    let seconds = |milliseconds: i64| {
        #[expect(clippy::cast_precision_loss, reason = "more than enough digits are left")]
        let milliseconds = milliseconds as f64;
        milliseconds / 1000.0
    };
    let mut buckets = Vec::new();
    for (bound, count) in BOUNDS.iter().zip(latencies.counts()) {
        so_far += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(seconds(*bound));
        bucket.set_cumulative_count(so_far);
        buckets.push(bucket);
    }
    histogram.set_bucket(buckets);
    histogram.set_sample_count(latencies.count());
    histogram.set_sample_sum(seconds(latencies.sum()));
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let mut family = MetricFamily::default();
    family.set_name("visor_sink_latency_seconds".to_owned());
    family.set_help("How long lines took from their output to the sink.".to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
}
