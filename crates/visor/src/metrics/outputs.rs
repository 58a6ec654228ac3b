//! The metrics of outputs, and whether they accept lines at present.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{Counter, CounterVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use prometheus::{Registry, core::Collector};

/// The metrics of all outputs.
pub(super) struct OutputMetrics {
    blocked: CounterVec,
    errors: IntCounterVec,
    rotations: IntCounterVec,
    failing: IntGaugeVec,
    reasons: Arc<Reasons>,
}

/// The reasons of failing outputs, by their names.
#[derive(Default)]
struct Reasons(Mutex<BTreeMap<String, String>>);

/// The metrics of one output; clones share the counters.
#[derive(Clone)]
pub(crate) struct OutputMeter {
    name: String,
    pub(crate) blocked: Counter,
    pub(crate) errors: IntCounter,
    pub(crate) rotations: IntCounter,
    failing: IntGauge,
    reasons: Arc<Reasons>,
}

impl OutputMetrics {
    /// No output yet.
    pub(super) fn new() -> prometheus::Result<Self> {
        let output = ["output"];
        let opts = |name: &str, help: &str| Opts::new(name, help);
        Ok(Self {
            blocked: CounterVec::new(
                opts(
                    "visor_write_blocked_seconds_total",
                    "Time that writes to the output were blocked for more than 50 ms: the reader is slow, \
                     or the disk is.",
                ),
                &output,
            )?,
            errors: IntCounterVec::new(
                opts("visor_write_errors_total", "Failed writes to the output."),
                &output,
            )?,
            rotations: IntCounterVec::new(
                opts("visor_rotations_total", "Rotations of the output's file."),
                &output,
            )?,
            failing: IntGaugeVec::new(
                opts(
                    "visor_output_failing",
                    "1 while no line can be written to the output (/readyz has the reason), else 0.",
                ),
                &output,
            )?,
            reasons: Arc::default(),
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 4] = [
            Box::new(self.errors.clone()),
            Box::new(self.rotations.clone()),
            Box::new(self.blocked.clone()),
            Box::new(self.failing.clone()),
        ];
        all.into_iter().try_for_each(|collector| registry.register(collector))
    }

    pub(super) fn meter(&self, name: &str) -> OutputMeter {
        OutputMeter {
            name: name.to_owned(),
            blocked: self.blocked.with_label_values(&[name]),
            errors: self.errors.with_label_values(&[name]),
            rotations: self.rotations.with_label_values(&[name]),
            failing: self.failing.with_label_values(&[name]),
            reasons: Arc::clone(&self.reasons),
        }
    }

    /// The reasons of failing outputs, one for each.
    pub(super) fn failing(&self) -> Vec<String> {
        self.reasons.with(|reasons| reasons.values().cloned().collect())
    }
}

impl OutputMeter {
    /// Marks the output as failing, with the reason.
    pub(crate) fn set_failing(&self, why: &str) {
        self.failing.set(1);
        self.reasons.with(|reasons| reasons.insert(self.name.clone(), why.to_owned()));
    }

    /// Marks the output as working, or as having no lines to write.
    pub(crate) fn clear_failing(&self) {
        self.failing.set(0);
        self.reasons.with(|reasons| reasons.remove(&self.name));
    }
}

impl Reasons {
    fn with<T>(&self, then: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        // No code in here panics with an inconsistent map.
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
