//! The operator's own metrics. The lines that pods write are in the metrics of the pods.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, process_collector::ProcessCollector,
};

use visor_runtime::build_info;

/// The state of a source, for the operator's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Progressing,
    Rejected,
    Complete,
}

impl State {
    pub(crate) const ALL: [Self; 4] =
        [Self::Ready, Self::Progressing, Self::Rejected, Self::Complete];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Progressing => "progressing",
            Self::Rejected => "rejected",
            Self::Complete => "complete",
        }
    }
}

/// All metrics of the operator.
pub(crate) struct Metrics {
    registry: Registry,
    leader: IntGauge,
    sources: IntGaugeVec,
    reconciles: IntCounterVec,
    reconcile_duration: Histogram,
    writes: IntCounterVec,
    requests: IntCounterVec,
    watch_errors: IntCounter,
    injections: IntCounterVec,
    validations: IntCounterVec,
    certificate_expiry: IntGauge,
    rounds: IntCounter,
    unreachable_pods: IntGauge,
    queue_depth: IntGauge,
    conditions: IntGaugeVec,
}

/// The states of the sources in one namespace, or in all, after a scrape round.
#[derive(Default)]
pub(crate) struct SourceStats {
    states: [i64; State::ALL.len()],
    /// By type and status.
    conditions: BTreeMap<(String, String), i64>,
    unreachable_pods: i64,
}

impl SourceStats {
    /// Starts counting, with this number of unreachable pods.
    pub(crate) fn new(unreachable_pods: usize) -> Self {
        Self {
            unreachable_pods: i64::try_from(unreachable_pods).unwrap_or(i64::MAX),
            ..Self::default()
        }
    }

    /// Counts a source.
    pub(crate) fn count(&mut self, state: State, conditions: &[Condition]) {
        self.states[state as usize] += 1;
        for Condition { type_, status, .. } in conditions {
            *self.conditions.entry((type_.clone(), status.clone())).or_default() += 1;
        }
    }
}

/// The result of a review of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validation {
    Allowed,
    Rejected,
    /// No answer was possible.
    Error,
}

impl Validation {
    const ALL: [Self; 3] = [Self::Allowed, Self::Rejected, Self::Error];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Rejected => "denied",
            Self::Error => "error",
        }
    }
}

/// A kind of write to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// A child was created.
    Create,
    /// A child was applied.
    Apply,
    /// A child was deleted.
    Delete,
    /// A pod was annotated, so that the kubelet updates its document at once.
    Notify,
    /// A status was written.
    Status,
}

/// The result of a review of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injection {
    Injected,
    Skipped,
    MissingSource,
    Rejected,
    Error,
}

impl Injection {
    const ALL: [Self; 5] =
        [Self::Injected, Self::Skipped, Self::MissingSource, Self::Rejected, Self::Error];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Skipped => "skipped",
            Self::MissingSource => "missing_source",
            Self::Rejected => "rejected",
            Self::Error => "error",
        }
    }
}

impl Metrics {
    /// # Errors
    ///
    /// If two metrics have the same name, which a test would find.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let metrics = Self {
            registry: Registry::new(),
            leader: IntGauge::new(
                "visor_operator_leader",
                "1 if this operator is the leader, else 0.",
            )?,
            sources: IntGaugeVec::new(
                Opts::new(
                    "visor_operator_sources",
                    "Sources by state: ready, progressing, rejected or complete.",
                ),
                &["state"],
            )?,
            reconciles: counter(
                "visor_operator_reconciles_total",
                "Reconciliations by result.",
                &["result"],
            )?,
            reconcile_duration: Histogram::with_opts(
                HistogramOpts::new(
                    "visor_operator_reconcile_duration_seconds",
                    "Duration of reconciliations.",
                )
                .buckets(vec![
                    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
                ]),
            )?,
            writes: counter(
                "visor_operator_writes_total",
                "Writes to the API server by kind and action.",
                &["kind", "action"],
            )?,
            requests: counter(
                "visor_operator_api_requests_total",
                "Requests to the API server by method (WATCH is a GET that watches) and status \
                 code (0: no response).",
                &["method", "code"],
            )?,
            watch_errors: IntCounter::new(
                "visor_operator_watch_errors_total",
                "Watches that failed and were restarted.",
            )?,
            validations: counter(
                "visor_operator_validations_total",
                "Admission reviews of sources by result.",
                &["result"],
            )?,
            injections: counter(
                "visor_operator_injections_total",
                "Admission reviews of pods by result: injected; skipped, if no injection was \
                 requested; or admitted without a generator: missing_source, \
                 rejected, error.",
                &["result"],
            )?,
            certificate_expiry: IntGauge::new(
                "visor_operator_webhook_certificate_expiry_seconds",
                "Expiry of the webhook's certificate in seconds since the epoch; 0 without one.",
            )?,
            rounds: IntCounter::new(
                "visor_operator_scrape_rounds_total",
                "Rounds in which all pods were scraped.",
            )?,
            unreachable_pods: IntGauge::new(
                "visor_operator_unreachable_pods",
                "Pods that could not be scraped in the last round.",
            )?,
            queue_depth: IntGauge::new(
                "visor_operator_queue_depth",
                "Sources that wait to be reconciled.",
            )?,
            conditions: IntGaugeVec::new(
                Opts::new(
                    "visor_operator_source_conditions",
                    "Sources by condition and its status: True or False.",
                ),
                &["condition", "status"],
            )?,
        };
        metrics.register()?;
        metrics.initialize();
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        let registry = &self.registry;
        build_info::register(registry, "visor_operator_build_info")?;
        registry.register(Box::new(self.leader.clone()))?;
        registry.register(Box::new(self.sources.clone()))?;
        registry.register(Box::new(self.reconciles.clone()))?;
        registry.register(Box::new(self.reconcile_duration.clone()))?;
        registry.register(Box::new(self.writes.clone()))?;
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.watch_errors.clone()))?;
        registry.register(Box::new(self.injections.clone()))?;
        registry.register(Box::new(self.validations.clone()))?;
        registry.register(Box::new(self.certificate_expiry.clone()))?;
        registry.register(Box::new(self.rounds.clone()))?;
        registry.register(Box::new(self.unreachable_pods.clone()))?;
        registry.register(Box::new(self.queue_depth.clone()))?;
        registry.register(Box::new(self.conditions.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(())
    }

    /// Series that have not been counted yet start at 0.
    fn initialize(&self) {
        for result in ["success", "error"] {
            self.reconciles.with_label_values(&[result]);
        }
        for state in State::ALL {
            self.sources.with_label_values(&[state.as_str()]);
        }
        for result in Injection::ALL {
            self.injections.with_label_values(&[result.as_str()]);
        }
        for result in Validation::ALL {
            self.validations.with_label_values(&[result.as_str()]);
        }
    }

    pub(crate) fn set_leader(&self, set_leader: bool) {
        self.leader.set(set_leader.into());
    }

    pub(crate) fn record_reconcile(&self, success: bool, took: Duration) {
        self.reconciles.with_label_values(&[if success { "success" } else { "error" }]).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn record_write(&self, kind: &str, write: Write) {
        let action = match write {
            Write::Create => "create",
            Write::Apply => "apply",
            Write::Delete => "delete",
            Write::Notify => "notify",
            Write::Status => "status",
        };
        self.writes.with_label_values(&[kind, action]).inc();
    }

    pub(crate) fn record_request(&self, method: &str, code: u16) {
        self.requests.with_label_values(&[method, &code.to_string()]).inc();
    }

    pub(crate) fn watch_failed(&self) {
        self.watch_errors.inc();
    }

    pub(crate) fn injection(&self, result: Injection) {
        self.injections.with_label_values(&[result.as_str()]).inc();
    }

    /// Counts a review of a source.
    pub(crate) fn validation(&self, result: Validation) {
        self.validations.with_label_values(&[result.as_str()]).inc();
    }

    pub(crate) fn certificate_ends(&self, seconds: i64) {
        self.certificate_expiry.set(seconds);
    }

    /// Adds to the number of sources that wait to be reconciled.
    pub(crate) fn queue_changed(&self, by: i64) {
        self.queue_depth.add(by);
    }

    /// A round is finished; `last` is the result of the previous one in the same namespaces.
    pub(crate) fn record_round(&self, last: &SourceStats, now: &SourceStats) {
        for state in State::ALL {
            let change = now.states[state as usize] - last.states[state as usize];
            self.sources.with_label_values(&[state.as_str()]).add(change);
        }
        for (conditions, sign) in [(&last.conditions, -1), (&now.conditions, 1)] {
            for ((type_, status), count) in conditions {
                self.conditions.with_label_values(&[type_, status]).add(sign * count);
            }
        }
        self.unreachable_pods.add(now.unreachable_pods - last.unreachable_pods);
        self.rounds.inc();
    }

    /// All metrics in Prometheus' text format.
    pub(crate) fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

/// All metrics with a sample each, for the reference.
pub(crate) fn example() -> prometheus::Result<String> {
    let metrics = Metrics::new()?;
    metrics.record_write("ConfigMap", Write::Apply);
    metrics.record_request("GET", 200);
    metrics.conditions.with_label_values(&["Ready", "True"]);
    metrics.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.set_leader(true);
        metrics.record_request("PATCH", 200);
        let condition = |status: &str| -> Condition {
            let time = "2026-01-01T00:00:00Z";
            let json = serde_json::json!({"type": "Ready", "status": status, "reason": "", "message": "", "lastTransitionTime": time});
            serde_json::from_value(json).unwrap()
        };
        let mut first = SourceStats::new(5);
        first.count(State::Complete, &[condition("True")]);
        metrics.record_round(&SourceStats::default(), &first);
        let mut second = SourceStats::new(3);
        for (state, status) in
            [(State::Ready, "True"), (State::Ready, "True"), (State::Rejected, "False")]
        {
            second.count(state, &[condition(status)]);
        }
        metrics.record_round(&first, &second);
        // Those of another namespace.
        metrics.record_round(&SourceStats::default(), &first);
        let text = metrics.render().unwrap();
        for line in [
            "visor_operator_leader 1",
            "visor_operator_api_requests_total{code=\"200\",method=\"PATCH\"} 1",
            "visor_operator_sources{state=\"ready\"} 2",
            "visor_operator_sources{state=\"complete\"} 1",
            "visor_operator_unreachable_pods 8",
            "visor_operator_source_conditions{condition=\"Ready\",status=\"True\"} 3",
            "visor_operator_source_conditions{condition=\"Ready\",status=\"False\"} 1",
            "visor_operator_queue_depth 0",
            "visor_operator_reconciles_total{result=\"error\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
