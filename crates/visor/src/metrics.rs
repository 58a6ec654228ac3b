//! The program's metrics. Each stream and each output has a meter, which is looked up once.
//!
//! A line is counted when its write has succeeded. Counters live as long as the process: those of a
//! stream that a reload has removed remain, so that no counter is ever reset.

mod outputs;
mod streams;

use std::sync::Arc;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
    process_collector::ProcessCollector,
};

pub(crate) use outputs::OutputMeter;
use visor_runtime::build_info;

use outputs::OutputMetrics;
use serde::Serialize;
use streams::StreamMetrics;
pub(crate) use streams::{StreamMeter, StreamName};
use visor_proof::Emitted;

use crate::lanes::Lanes;

/// All metrics of the process.
pub(crate) struct Metrics {
    registry: Registry,
    lag: HistogramVec,
    outputs: OutputMetrics,
    reloads: IntCounterVec,
    streams: StreamMetrics,
    lanes: Arc<Lanes>,
}

/// The result of a reload of the documents.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reload {
    Success,
    Failure,
}

impl Metrics {
    /// All metrics, at zero.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let metrics = Self {
            registry: Registry::new(),
            lag: HistogramVec::new(
                HistogramOpts::new(
                    "visor_schedule_lag_seconds",
                    "Time from when the oldest line of a write was due until it was written.",
                )
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]),
                &["source", "generator"],
            )?,
            outputs: OutputMetrics::new()?,
            reloads: IntCounterVec::new(
                Opts::new("visor_config_reloads_total", "Reloads of changed documents by result."),
                &["result"],
            )?,
            streams: StreamMetrics::default(),
            lanes: Arc::default(),
        };
        build_info::register(&metrics.registry, "visor_build_info")?;
        metrics.outputs.register(&metrics.registry)?;
        metrics.registry.register(Box::new(metrics.lag.clone()))?;
        metrics.registry.register(Box::new(metrics.reloads.clone()))?;
        metrics.registry.register(Box::new(ProcessCollector::for_self()))?;
        for result in [Reload::Success, Reload::Failure] {
            metrics.reloads.with_label_values(&[result.as_str()]);
        }
        Ok(metrics)
    }

    /// The meter of a stream; always the same one for the same name.
    pub(crate) fn stream(&self, name: &StreamName) -> Arc<StreamMeter> {
        self.streams.meter(name, || {
            self.lag.with_label_values(&[name.source.as_str(), name.generator.as_str()])
        })
    }

    /// The meter of an output, by `stdout`, `stderr` or its path.
    pub(crate) fn output(&self, name: &str) -> OutputMeter {
        self.outputs.meter(name)
    }

    /// The reasons of failing outputs, one for each; empty if none is failing.
    pub(crate) fn failing_outputs(&self) -> Vec<String> {
        self.outputs.failing()
    }

    /// The meters of all streams so far, in order of creation.
    pub(crate) fn streams(&self) -> Vec<Arc<StreamMeter>> {
        self.streams.meters()
    }

    /// The lanes of lines with tokens.
    pub(crate) fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    /// What has been written so far.
    pub(crate) fn emitted(&self, ended: bool) -> Emitted {
        let (lines, bytes) = self.written();
        self.lanes.emitted(ended, lines, bytes)
    }

    /// How much has been written so far, without lanes, and what can't be written.
    pub(crate) fn counts(&self) -> Counts {
        let (lines, bytes) = self.written();
        let mut failing = self.failing_outputs();
        failing.truncate(1);
        Counts { lines, bytes, failing: failing.pop() }
    }

    /// The lines and the bytes of all streams.
    fn written(&self) -> (u64, u64) {
        self.streams().iter().fold((0, 0), |(lines, bytes), meter| {
            (lines + meter.lines.get(), bytes + meter.bytes.get())
        })
    }

    /// Counts a reload.
    pub(crate) fn record_reload(&self, result: Reload) {
        self.reloads.with_label_values(&[result.as_str()]).inc();
    }

    /// All metrics in Prometheus' text format.
    pub(crate) fn render(&self) -> prometheus::Result<String> {
        let mut page = TextEncoder::new().encode_to_string(&self.registry.gather())?;
        self.streams.render(&mut page)?;
        Ok(page)
    }
}

/// How much has been written: what the operator asks each pod for, however many streams it has.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    lines: u64,
    bytes: u64,
    /// Why one of the outputs can't be written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<String>,
}

impl Reload {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// All metrics with a sample each, for the reference.
pub(crate) fn example() -> prometheus::Result<String> {
    let metrics = Metrics::new()?;
    let name = |name: &str| name.to_owned();
    let (source, generator, stream) = (name("source"), name("generator"), name("stream"));
    metrics.stream(&StreamName { source, generator, stream, kind: "access" });
    metrics.output("stdout");
    metrics.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(stream: &str) -> StreamName {
        StreamName {
            source: "shop".to_owned(),
            generator: "web".to_owned(),
            stream: stream.to_owned(),
            kind: "access",
        }
    }

    #[test]
    fn a_name_has_one_meter_however_often_it_is_asked_for() {
        let metrics = Metrics::new().unwrap();
        metrics.stream(&name("a")).lines.inc_by(2);
        metrics.stream(&name("b")).lines.inc_by(1);
        metrics.stream(&name("a")).lines.inc_by(3);
        metrics.output("access.log").rotations.inc();
        metrics.output("access.log").rotations.inc();
        let lines: Vec<u64> = metrics.streams().iter().map(|meter| meter.lines.get()).collect();
        assert_eq!(lines, [5, 1]);
        let page = metrics.render().unwrap();
        for line in [
            r#"visor_lines_total{generator="web",kind="access",source="shop",stream="a"} 5"#,
            r#"visor_rotations_total{output="access.log"} 2"#,
            r#"visor_config_reloads_total{result="failure"} 0"#,
        ] {
            assert!(page.lines().any(|written| written == line), "{line}\n{page}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let metrics = Metrics::new().unwrap();
        metrics.output("a\"b\\c\nd").errors.inc();
        let line = r#"visor_write_errors_total{output="a\"b\\c\nd"} 1"#;
        let page = metrics.render().unwrap();
        assert!(page.lines().any(|written| written == line), "{page}");
    }
}
