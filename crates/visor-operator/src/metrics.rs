//! What the operator counts of itself, as Prometheus takes it. The lines that pods write are the
//! pods' own to tell.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, process_collector::ProcessCollector,
};

use crate::status::State;

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
    silent_pods: IntGauge,
    queue_depth: IntGauge,
    conditions: IntGaugeVec,
}

/// How the sources of a namespace, or of all, are after a round.
#[derive(Default)]
pub(crate) struct Census {
    states: [i64; State::ALL.len()],
    /// By type and status.
    conditions: BTreeMap<(String, String), i64>,
    silent_pods: i64,
}

impl Census {
    /// Begins to count, with so many pods that said nothing.
    pub(crate) fn new(silent_pods: usize) -> Self {
        Self { silent_pods: i64::try_from(silent_pods).unwrap_or(i64::MAX), ..Self::default() }
    }

    /// Counts a source.
    pub(crate) fn count(&mut self, state: State, conditions: &[Condition]) {
        self.states[state as usize] += 1;
        for Condition { type_, status, .. } in conditions {
            *self.conditions.entry((type_.clone(), status.clone())).or_default() += 1;
        }
    }
}

/// What became of a review of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validation {
    Allowed,
    Refused,
    /// There was no answer that could be given.
    Error,
}

impl Validation {
    const ALL: [Self; 3] = [Self::Allowed, Self::Refused, Self::Error];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }
}

/// What was written to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// A child was made.
    Create,
    /// A child was changed.
    Apply,
    /// A child was deleted.
    Delete,
    /// A pod was touched, so that its node gives it the changed document at once.
    Touch,
    /// A status was written.
    Status,
}

/// What became of a pod that the webhook was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injection {
    Injected,
    Skipped,
    MissingSource,
    Refused,
    Error,
}

impl Injection {
    const ALL: [Self; 5] =
        [Self::Injected, Self::Skipped, Self::MissingSource, Self::Refused, Self::Error];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Skipped => "skipped",
            Self::MissingSource => "missing_source",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }
}

impl Metrics {
    /// # Errors
    ///
    /// When two metrics have one name, which a test would find.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let metrics = Self {
            registry: Registry::new(),
            leader: IntGauge::new(
                "visor_operator_leader",
                "1 if this operator is the one that acts, else 0.",
            )?,
            sources: IntGaugeVec::new(
                Opts::new(
                    "visor_operator_sources",
                    "Sources by how they are: ready, progressing, refused or complete.",
                ),
                &["state"],
            )?,
            reconciles: counter(
                "visor_operator_reconciles_total",
                "Times that a source was looked at, by how that ended.",
                &["result"],
            )?,
            reconcile_duration: Histogram::with_opts(
                HistogramOpts::new(
                    "visor_operator_reconcile_duration_seconds",
                    "How long it took to look at a source and put it right.",
                )
                .buckets(vec![
                    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
                ]),
            )?,
            writes: counter(
                "visor_operator_writes_total",
                "Objects written to the API server, by kind and action.",
                &["kind", "action"],
            )?,
            requests: counter(
                "visor_operator_api_requests_total",
                "Requests to the API server by method (WATCH is a GET that stays) and status \
                 code (0: no answer).",
                &["method", "code"],
            )?,
            watch_errors: IntCounter::new(
                "visor_operator_watch_errors_total",
                "Watches that failed; each goes on after a pause.",
            )?,
            validations: counter(
                "visor_operator_validations_total",
                "Reviews of sources, by what became of them.",
                &["result"],
            )?,
            injections: counter(
                "visor_operator_injections_total",
                "Pods that were asked about, by what became of them: injected; skipped, for they \
                 asked for nothing; or let in without what they asked for: missing_source, \
                 refused, error.",
                &["result"],
            )?,
            certificate_expiry: IntGauge::new(
                "visor_operator_webhook_certificate_expiry_seconds",
                "When the webhook's certificate ends, in seconds since the epoch; 0 without one.",
            )?,
            rounds: IntCounter::new(
                "visor_operator_status_rounds_total",
                "Rounds in which all pods were asked how much they wrote.",
            )?,
            silent_pods: IntGauge::new(
                "visor_operator_silent_pods",
                "Pods that should have answered in the last round and did not.",
            )?,
            queue_depth: IntGauge::new(
                "visor_operator_queue_depth",
                "Sources that something has happened to and that have not been looked at since.",
            )?,
            conditions: IntGaugeVec::new(
                Opts::new(
                    "visor_operator_source_conditions",
                    "Sources by a condition and its status: True or False.",
                ),
                &["condition", "status"],
            )?,
        };
        metrics.register()?;
        metrics.begin_at_zero();
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        let build = IntGaugeVec::new(
            Opts::new(
                "visor_operator_build_info",
                "Always 1; the labels tell the operator's version.",
            ),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let registry = &self.registry;
        registry.register(Box::new(build))?;
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
        registry.register(Box::new(self.silent_pods.clone()))?;
        registry.register(Box::new(self.queue_depth.clone()))?;
        registry.register(Box::new(self.conditions.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(())
    }

    /// What has not happened yet is told as 0.
    fn begin_at_zero(&self) {
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

    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    pub(crate) fn reconciled(&self, success: bool, took: Duration) {
        self.reconciles.with_label_values(&[if success { "success" } else { "error" }]).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn wrote(&self, kind: &str, write: Write) {
        let action = match write {
            Write::Create => "create",
            Write::Apply => "apply",
            Write::Delete => "delete",
            Write::Touch => "touch",
            Write::Status => "status",
        };
        self.writes.with_label_values(&[kind, action]).inc();
    }

    pub(crate) fn requested(&self, method: &str, code: u16) {
        self.requests.with_label_values(&[method, &code.to_string()]).inc();
    }

    pub(crate) fn watch_failed(&self) {
        self.watch_errors.inc();
    }

    pub(crate) fn injection(&self, result: Injection) {
        self.injections.with_label_values(&[result.as_str()]).inc();
    }

    /// A source was asked about.
    pub(crate) fn validation(&self, result: Validation) {
        self.validations.with_label_values(&[result.as_str()]).inc();
    }

    pub(crate) fn certificate_ends(&self, seconds: i64) {
        self.certificate_expiry.set(seconds);
    }

    /// So many sources more are waiting to be looked at.
    pub(crate) fn queue_changed(&self, by: i64) {
        self.queue_depth.add(by);
    }

    /// A round is over; `last` is what the one before it in the same namespaces found.
    pub(crate) fn round(&self, last: &Census, now: &Census) {
        for state in State::ALL {
            let change = now.states[state as usize] - last.states[state as usize];
            self.sources.with_label_values(&[state.as_str()]).add(change);
        }
        for (conditions, sign) in [(&last.conditions, -1), (&now.conditions, 1)] {
            for ((type_, status), count) in conditions {
                self.conditions.with_label_values(&[type_, status]).add(sign * count);
            }
        }
        self.silent_pods.add(now.silent_pods - last.silent_pods);
        self.rounds.inc();
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_there_and_told() {
        let metrics = Metrics::new().unwrap();
        metrics.leads(true);
        metrics.requested("PATCH", 200);
        let condition = |status: &str| -> Condition {
            let time = "2026-01-01T00:00:00Z";
            let json = serde_json::json!({"type": "Ready", "status": status, "reason": "", "message": "", "lastTransitionTime": time});
            serde_json::from_value(json).unwrap()
        };
        let mut first = Census::new(5);
        first.count(State::Complete, &[condition("True")]);
        metrics.round(&Census::default(), &first);
        let mut second = Census::new(3);
        for (state, status) in
            [(State::Ready, "True"), (State::Ready, "True"), (State::Refused, "False")]
        {
            second.count(state, &[condition(status)]);
        }
        metrics.round(&first, &second);
        // Those of another namespace.
        metrics.round(&Census::default(), &first);
        let text = metrics.render().unwrap();
        for line in [
            "visor_operator_leader 1",
            "visor_operator_api_requests_total{code=\"200\",method=\"PATCH\"} 1",
            "visor_operator_sources{state=\"ready\"} 2",
            "visor_operator_sources{state=\"complete\"} 1",
            "visor_operator_silent_pods 8",
            "visor_operator_source_conditions{condition=\"Ready\",status=\"True\"} 3",
            "visor_operator_source_conditions{condition=\"Ready\",status=\"False\"} 1",
            "visor_operator_queue_depth 0",
            "visor_operator_reconciles_total{result=\"error\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
