//! The sink's metrics, as Prometheus reads them.

use http::StatusCode;
use prometheus::{IntCounterVec, Opts, Registry};

use crate::fault::Faults;

/// The counters.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    records: IntCounterVec,
    malformed: IntCounterVec,
    faults: IntCounterVec,
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
            "How often a fault of --fault has happened.",
            &["fault"],
        )?;
        visor_runtime::build_info::register(&registry, "visor_sink_build_info")?;
        Ok(Self { registry, requests, records, malformed, faults })
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

    /// A page with a sample of each metric.
    pub(crate) fn example() -> prometheus::Result<String> {
        let metrics = Self::new()?;
        metrics.request("loki", StatusCode::NO_CONTENT);
        metrics.records("loki", 1);
        metrics.malformed("loki");
        metrics.faults.with_label_values(&["reject"]).inc();
        metrics.render(&Faults::new(&[]))
    }

    /// The page.
    pub(crate) fn render(&self, faults: &Faults) -> prometheus::Result<String> {
        for (name, count) in faults.counts() {
            let counter = self.faults.with_label_values(&[name]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
