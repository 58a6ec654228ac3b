//! Real files, and no clock.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::testing::{every, plan};

/// Runs a source with this spec on this many threads.
fn run_spec(
    spec: &Value,
    threads: usize,
) -> (tempfile::TempDir, Metrics, Result<(), SimulationError>) {
    let directory = tempfile::tempdir().unwrap();
    let (metrics, handle) = (Metrics::new().unwrap(), SimulationHandle::new().unwrap());
    let plan = plan(spec, directory.path());
    let (unfinished, outcome) = run(plan, Time::EPOCH, threads, &metrics, &handle);
    assert!(unfinished.is_empty());
    (directory, metrics, outcome)
}

fn generator(name: &str, file: &str, streams: &Value) -> Value {
    json!({"name": name, "access": {}, "streams": streams, "output": {"file": {"path": file}}})
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads() {
    let generators: Vec<Value> = (0..6)
        .map(|number| {
            generator(&format!("web-{number}"), &format!("{number}.log"), &json!([every("70ms")]))
        })
        .collect();
    let spec = json!({"seed": 7, "generators": generators, "stopAfter": {"duration": "1m"}});
    let written = |threads| {
        let (directory, metrics, outcome) = run_spec(&spec, threads);
        outcome.unwrap();
        let lines: u64 = metrics.streams().iter().map(|meter| meter.lines.get()).sum();
        let files = (0..6).map(|n| fs::read(directory.path().join(format!("{n}.log"))).unwrap());
        (lines, files.collect::<Vec<_>>())
    };
    let (lines, files) = written(1);
    assert_eq!(lines, 6 * 857);
    assert_eq!((lines, files), written(3));
}

#[test]
fn a_limit_of_lines_is_for_all_generators_together() {
    let generators = [
        generator("one", "one.log", &json!([every("1s")])),
        generator("two", "two.log", &json!([every("3s")])),
    ];
    let spec = json!({"seed": 7, "generators": generators, "stopAfter": {"lines": 40}});
    let (directory, _, outcome) = run_spec(&spec, 2);
    outcome.unwrap();
    let lines = |name: &str| {
        let text = fs::read_to_string(directory.path().join(name)).unwrap();
        text.lines().count()
    };
    assert_eq!((lines("one.log"), lines("two.log")), (30, 10));
}

#[test]
fn an_endless_simulation_is_rejected_before_a_line_is_written() {
    let endless = json!({"generators": [generator("web", "a.log", &json!([every("1s")]))]});
    let (directory, _, outcome) = run_spec(&endless, 1);
    assert!(matches!(outcome, Err(SimulationError::Endless(name)) if name == "shop"));
    assert!(!directory.path().join("a.log").exists());
    let unlimited = json!([{"name": "flood", "kind": "Access", "interval": {"unlimited": {}}}]);
    let timeless = json!({
        "generators": [generator("web", "a.log", &unlimited)],
        "stopAfter": {"duration": "1s"},
    });
    let (_, _, outcome) = run_spec(&timeless, 1);
    let message = outcome.unwrap_err().to_string();
    assert!(message.contains("generator web, stream flood"), "{message}");
}

#[test]
fn a_stopped_simulation_ends_with_the_current_chunk() {
    let directory = tempfile::tempdir().unwrap();
    let (metrics, handle) = (Metrics::new().unwrap(), SimulationHandle::new().unwrap());
    let spec = json!({
        "generators": [generator("web", "a.log", &json!([every("1ms")]))],
        "stopAfter": {"duration": "1000h"},
    });
    handle.stop();
    let plan = plan(&spec, directory.path());
    let (unfinished, outcome) = run(plan, Time::EPOCH, 1, &metrics, &handle);
    outcome.unwrap();
    assert!(unfinished.is_empty());
    let written = fs::read(directory.path().join("a.log")).unwrap();
    assert!(written.ends_with(b"\n") && written.len() < 2 * WRITE_BYTES, "{}", written.len());
    let lines = written.split_inclusive(|byte| *byte == b'\n').count() as u64;
    assert_eq!(lines, metrics.streams()[0].lines.get());
    assert!(handle.reached() > Time::EPOCH);
}

#[test]
fn a_failing_output_ends_the_simulation_and_reports_missing_lines() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("a.log")).unwrap();
    let (metrics, handle) = (Metrics::new().unwrap(), SimulationHandle::new().unwrap());
    let spec = json!({
        "generators": [generator("web", "a.log", &json!([every("1s")]))],
        "stopAfter": {"lines": 5},
    });
    let plan = plan(&spec, directory.path());
    let (unfinished, outcome) = run(plan, Time::EPOCH, 1, &metrics, &handle);
    assert!(matches!(outcome, Err(SimulationError::Output(OutputError::Failed { .. }))));
    let left: Vec<_> = unfinished.iter().map(|left| (left.lines, left.end)).collect();
    assert_eq!(left, [(5, Some(OutputEnd::Failed))]);
    assert_eq!(metrics.streams()[0].lines.get(), 0);
}
