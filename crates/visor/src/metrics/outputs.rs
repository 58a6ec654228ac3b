//! What is known of each output: its counters, and whether lines get into it at present.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{Counter, CounterVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use prometheus::{Registry, core::Collector};

/// The metrics of all outputs.
pub(super) struct Outputs {
    blocked: CounterVec,
    errors: IntCounterVec,
    rotations: IntCounterVec,
    failing: IntGaugeVec,
    reasons: Arc<Reasons>,
}

/// Why outputs take no lines, by their names.
#[derive(Default)]
struct Reasons(Mutex<BTreeMap<String, String>>);

/// The metrics of one output; clones count together.
#[derive(Clone)]
pub(crate) struct OutputMeter {
    name: String,
    pub(crate) blocked: Counter,
    pub(crate) errors: IntCounter,
    pub(crate) rotations: IntCounter,
    failing: IntGauge,
    reasons: Arc<Reasons>,
}

impl Outputs {
    /// No output as yet.
    pub(super) fn new() -> prometheus::Result<Self> {
        let output = ["output"];
        let opts = |name: &str, help: &str| Opts::new(name, help);
        Ok(Self {
            blocked: CounterVec::new(
                opts(
                    "visor_write_blocked_seconds_total",
                    "Time that writes to the output took beyond the first moment: nobody reads, \
                     or the disk is slow.",
                ),
                &output,
            )?,
            errors: IntCounterVec::new(
                opts("visor_write_errors_total", "Writes to the output that failed."),
                &output,
            )?,
            rotations: IntCounterVec::new(
                opts("visor_rotations_total", "Rotations of the output's file."),
                &output,
            )?,
            failing: IntGaugeVec::new(
                opts(
                    "visor_output_failing",
                    "1 while no line can be written to the output; /readyz says why. Otherwise 0.",
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

    /// Why some outputs take no lines, one after the other.
    pub(super) fn failing(&self) -> Vec<String> {
        self.reasons.with(|reasons| reasons.values().cloned().collect())
    }
}

impl OutputMeter {
    /// Says that no line can be written at present, and why.
    pub(crate) fn fails(&self, why: &str) {
        self.failing.set(1);
        self.reasons.with(|reasons| reasons.insert(self.name.clone(), why.to_owned()));
    }

    /// Says that lines are written again, or that there are none to write any more.
    pub(crate) fn works(&self) {
        self.failing.set(0);
        self.reasons.with(|reasons| reasons.remove(&self.name));
    }
}

impl Reasons {
    fn with<T>(&self, then: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        // Nothing in here panics with the map half changed.
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
