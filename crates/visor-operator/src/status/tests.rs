//! What is told of a source in each of its situations.

use std::collections::BTreeMap;

use super::*;
use serde_json::json;
use visor_api::ResolvedSource;

use crate::{
    source::check,
    tally::{Findings, PodMark, Told},
};

const BEGIN: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-01T00:01:00Z";

fn source(spec: serde_json::Value) -> ResolvedSource {
    let mut spec = spec;
    spec["generators"] = json!([{"name": "web", "access": {}, "streams": [
        {"name": "a", "kind": "Access", "interval": {"rate": {"linesPerSecond": 50}}},
        {"name": "b", "kind": "Access", "interval": {"fixed": "4s"}},
    ]}]);
    let document = serde_json::from_value(json!({
        "apiVersion": "visor.dev/v1alpha1", "kind": "FakeLogSource",
        "metadata": {"name": "shop", "namespace": "web", "uid": "1"}, "spec": spec,
    }));
    check(&document.unwrap()).unwrap()
}

fn running(ready: i32, desired: i32) -> Observed {
    Observed { desired, replicas: desired, ready, settled: true, ..Observed::default() }
}

fn told(
    source: &ResolvedSource,
    workload: Option<(Workload, Observed)>,
    old: Option<&FakeLogSourceStatus>,
) -> FakeLogSourceStatus {
    let source = Ok(ValidSource::of(source));
    let facts = Facts { generation: 7, source, workload, sums: None };
    next(old, &facts, LATER.parse().unwrap())
}

/// Each condition as `Type=Status/Reason`.
fn conditions(status: &FakeLogSourceStatus) -> Vec<String> {
    let shown = |c: &Condition| format!("{}={}/{}", c.type_, c.status, c.reason);
    status.conditions.iter().map(shown).collect()
}

#[test]
fn a_source_whose_pods_all_write_is_ready() {
    let status =
        told(&source(json!({"replicas": 2})), Some((Workload::Deployment, running(2, 2))), None);
    assert_eq!(
        conditions(&status),
        [
            "Ready=True/Ready",
            "Accepted=True/Valid",
            "Available=True/PodsReady",
            "Progressing=False/Settled",
            "Counted=False/NotAskedYet"
        ]
    );
    assert_eq!((status.replicas, status.ready_replicas), (Some(2), Some(2)));
    assert_eq!(status.configured_rate.as_deref(), Some("100/s"));
    assert_eq!(status.observed_generation, Some(7));
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(7)));
    assert_eq!(State::of(Some(&status)), State::Ready);
}

#[test]
fn a_pod_that_is_missing_is_told_with_what_is_in_the_way() {
    let trouble = "pod shop-1, container visor: ErrImagePull: not found";
    let observed = Observed { trouble: Some(trouble.to_owned()), ..running(1, 2) };
    let status =
        told(&source(json!({"replicas": 2})), Some((Workload::Deployment, observed)), None);
    assert_eq!(conditions(&status)[0], "Ready=False/PodsNotReady");
    assert_eq!(status.conditions[0].message, format!("1 of 2 pods are ready; {trouble}"));
    assert_eq!(State::of(Some(&status)), State::Progressing);
}

#[test]
fn pods_that_are_being_replaced_make_it_progress() {
    let observed = Observed { settled: false, ..running(2, 2) };
    let status =
        told(&source(json!({"replicas": 2})), Some((Workload::Deployment, observed)), None);
    assert_eq!(conditions(&status)[0], "Ready=False/RollingOut");
    assert_eq!(conditions(&status)[3], "Progressing=True/RollingOut");
}

#[test]
fn a_source_that_is_suspended_or_scaled_to_nothing_is_ready_and_says_so() {
    let suspended = source(json!({"suspend": true}));
    let status = told(&suspended, Some((Workload::Deployment, running(1, 1))), None);
    assert_eq!(conditions(&status)[0], "Ready=True/Suspended");
    assert_eq!(status.configured_rate.as_deref(), Some("0.0/s"));
    let nothing = source(json!({"replicas": 0}));
    let status = told(&nothing, Some((Workload::Deployment, running(0, 0))), None);
    assert_eq!(conditions(&status)[2], "Available=True/ScaledToZero");
}

#[test]
fn a_source_that_ends_runs_and_then_is_complete_or_has_failed() {
    let finite = source(json!({"stopAfter": {"lines": 10}}));
    let with = |ended| Some((Workload::Job, Observed { ended, ..running(1, 1) }));
    let status = told(&finite, with(None), None);
    assert_eq!(conditions(&status)[4], "Complete=False/Running");
    let status = told(&finite, with(Some(Ended::Finished)), Some(&status));
    assert_eq!(conditions(&status)[0], "Ready=True/Finished");
    assert_eq!(conditions(&status)[4], "Complete=True/Finished");
    assert_eq!(State::of(Some(&status)), State::Complete);
    let status = told(&finite, with(Some(Ended::Failed("too often".to_owned()))), None);
    assert_eq!(conditions(&status)[0], "Ready=False/Failed");
    assert_eq!(status.conditions[0].message, "too often");
    assert_eq!(conditions(&status)[5], "Stalled=True/Failed");
}

#[test]
fn what_is_told_of_a_workload_is_true_at_its_time() {
    let finite = source(json!({"stopAfter": {"lines": 10}}));
    let job = |observed: Observed| told(&finite, Some((Workload::Job, observed)), None);
    let retrying = job(Observed { retries: 2, ..running(0, 1) });
    assert_eq!(conditions(&retrying)[3], "Progressing=True/Retrying");
    assert_eq!(retrying.conditions[3].message, "2 pods have failed, and the Job tries again");
    let waits_for = Some("container collector of pod shop-1".to_owned());
    let waits = job(Observed { waits_for, ..running(1, 1) });
    assert_eq!(conditions(&waits)[4], "Complete=False/ContainersRunning");
    assert!(waits.conditions[4].message.ends_with("container collector of pod shop-1 does"));

    let shop = source(json!({}));
    for (settled, progressing) in [(true, "False"), (false, "True")] {
        let paused = Some("the Deployment is paused");
        let observed = Observed { settled, paused, ..running(1, 1) };
        let status = told(&shop, Some((Workload::Deployment, observed)), None);
        assert_eq!(conditions(&status)[3], format!("Progressing={progressing}/Paused"));
    }
}

#[test]
fn a_refusal_says_why_and_leaves_what_there_is() {
    let refusal = Refusal::new("Invalid", "spec.timeZone: there is no time zone `Mars`");
    let facts = Facts {
        generation: 8,
        source: Err(&refusal),
        workload: Some((Workload::Deployment, running(2, 2))),
        sums: None,
    };
    let status = next(None, &facts, LATER.parse().unwrap());
    assert_eq!(
        conditions(&status),
        [
            "Ready=False/Invalid",
            "Accepted=False/Invalid",
            "Available=True/PodsReady",
            "Progressing=False/Waiting",
            "Stalled=True/Invalid",
            "Counted=False/NotAskedYet"
        ]
    );
    assert!(
        status.conditions[1].message.starts_with("spec.timeZone: there is no time zone `Mars`")
    );
    assert!(status.conditions[1].message.contains("go on as they were"));
    assert_eq!(status.ready_replicas, Some(2));
    assert_eq!(State::of(Some(&status)), State::Refused);
    // What fails for the moment isn't stalled, nor is what has been mended.
    let failing = Refusal::new(FAILING, "the API server is busy");
    let facts = Facts { source: Err(&failing), ..facts };
    let stalled = |status: &FakeLogSourceStatus| find(&status.conditions, STALLED).is_some();
    assert!(!stalled(&next(Some(&status), &facts, LATER.parse().unwrap())));
    let shop = source(json!({}));
    assert!(!stalled(&told(&shop, Some((Workload::Deployment, running(1, 1))), Some(&status))));
}

#[test]
fn a_condition_keeps_its_time_as_long_as_it_stays_what_it_is() {
    let shop = source(json!({}));
    let begin = Facts {
        generation: 1,
        source: Ok(ValidSource::of(&shop)),
        workload: Some((Workload::Deployment, running(0, 1))),
        sums: None,
    };
    let first = next(None, &begin, BEGIN.parse().unwrap());
    let second = told(&shop, Some((Workload::Deployment, running(1, 1))), Some(&first));
    let since = |status: &FakeLogSourceStatus, type_| {
        find(&status.conditions, type_).unwrap().last_transition_time.0.to_string()
    };
    assert_eq!(since(&second, ACCEPTED), BEGIN);
    assert_eq!(since(&second, READY), LATER);
    let third = told(&shop, Some((Workload::Deployment, running(1, 1))), Some(&second));
    assert_eq!(second, third, "nothing new is nothing to write");
}

fn silent(pods: usize, example: &str) -> Findings {
    let silent = Affected { pods, example: example.to_owned() };
    Findings { silent, ..Findings::default() }
}

#[test]
fn a_source_that_cannot_write_is_not_available_and_says_why() {
    let shop = source(json!({}));
    let example = "web/shop-1: cannot open /var/log/visor/web.log: Permission denied";
    let sums = |failing: usize, asked| {
        let failing = Affected { pods: failing, example: example.to_owned() };
        let findings = Findings { failing, ..Findings::default() };
        let total = Counts::default();
        let pods = BTreeMap::new();
        Some(Sums { total, rate: None, findings, killed: 0, pods, asked })
    };
    let told = |workload, sums: Option<Sums>, old: Option<&FakeLogSourceStatus>| {
        let source = Ok(ValidSource::of(&shop));
        let workload = Some((workload, running(1, 1)));
        next(old, &Facts { generation: 1, source, workload, sums }, LATER.parse().unwrap())
    };
    for workload in [Workload::Deployment, Workload::Sidecar] {
        let failing = told(workload, sums(1, true), None);
        assert_eq!(conditions(&failing)[0], "Ready=False/OutputsFailing");
        assert_eq!(conditions(&failing)[2], "Available=False/OutputsFailing");
        assert_eq!(failing.conditions[0].message, format!("1 pod cannot write: {example}"));
        assert_eq!(failing.failing_pods, Some(1));
        // Another operator believes what it finds until it has asked itself.
        let held = told(workload, sums(0, false), Some(&failing));
        assert_eq!(held.conditions[0].message, failing.conditions[0].message);
        assert!(!tells(Some(&failing), &sums(0, true).unwrap()));
        let mended = told(workload, sums(0, true), Some(&held));
        assert_eq!(conditions(&mended)[0], "Ready=True/Ready");
    }
}

#[test]
fn sums_are_told_and_a_rate_that_is_not_known_is_left_as_it_was() {
    let sums = |rate, lines| Sums {
        total: Counts { lines, bytes: 10 * lines },
        rate,
        findings: silent(1, "web/shop-1: no answer"),
        killed: 3,
        pods: [(PodMark::of("a"), Told::Ended { number: 2 }), (PodMark::of("b"), Told::Over)]
            .into(),
        asked: true,
    };
    let shop = source(json!({}));
    let status = told(&shop, None, None);
    assert!(!tells(Some(&status), &sums(None, 5)));
    let mut status = status;
    tell(&mut status, &sums(Some(2.5), 5));
    assert!(tells(Some(&status), &sums(None, 5)));
    assert_eq!(status.rate.as_deref(), Some("2.50/s"));
    assert_eq!(status.lines, Some(5));
    assert_eq!(status.silent_pods, Some(1));
    let before = counted_before(&status);
    assert_eq!(before.total, Counts { lines: 5, bytes: 50 });
    assert_eq!(before.killed, 3);
    assert_eq!(before.pods, sums(None, 5).pods);
}

#[test]
fn what_is_not_in_the_sum_is_told() {
    let shop = source(json!({}));
    let sums = |pods: usize, killed, asked| Sums {
        total: Counts::default(),
        rate: None,
        findings: silent(pods, "web/shop-1: no answer within 3 s"),
        killed,
        pods: BTreeMap::new(),
        asked,
    };
    let told = |sums, old: Option<&FakeLogSourceStatus>| {
        let source = Ok(ValidSource::of(&shop));
        let facts = Facts { generation: 1, source, workload: None, sums };
        next(old, &facts, LATER.parse().unwrap())
    };
    let counted = |status: &FakeLogSourceStatus| {
        let Condition { status, reason, message, .. } = find(&status.conditions, COUNTED).unwrap();
        format!("{status}/{reason}: {message}")
    };
    assert!(counted(&told(None, None)).starts_with("False/NotAskedYet"));
    assert!(counted(&told(Some(sums(0, 0, false)), None)).starts_with("False/NotAskedYet"));
    let good = told(Some(sums(0, 0, true)), None);
    assert!(counted(&good).starts_with("True/AllCounted"));
    // Another operator believes what it finds until it has asked itself.
    assert!(counted(&told(Some(sums(0, 0, false)), Some(&good))).starts_with("True/AllCounted"));
    let silent = counted(&told(Some(sums(2, 1, true)), Some(&good)));
    assert!(silent.starts_with("False/PodsSilent: "), "{silent}");
    assert!(silent.ends_with("web/shop-1: no answer within 3 s"), "{silent}");
    let killed = counted(&told(Some(sums(0, 3, true)), Some(&good)));
    assert!(killed.starts_with("False/ContainersKilled: 3 containers"), "{killed}");
}

#[test]
fn numbers_may_wait_and_conditions_may_not() {
    let shop = source(json!({"replicas": 3}));
    let workload = |ready| Some((Workload::Deployment, running(ready, 3)));
    let one = told(&shop, workload(1), None);
    assert!(is_urgent(None, &one));
    let two = told(&shop, workload(2), Some(&one));
    assert!(one != two && !is_urgent(Some(&one), &two));
    let three = told(&shop, workload(3), Some(&two));
    assert!(is_urgent(Some(&two), &three));
    let changed = FakeLogSourceStatus { observed_generation: Some(8), ..three.clone() };
    assert!(is_urgent(Some(&three), &changed));
}

#[test]
fn rates_read_well() {
    let texts = [0.0, 0.25, 9.5, 12.34, 156.25, 1e6, f64::INFINITY].map(rate_text);
    assert_eq!(texts, ["0.0/s", "0.25/s", "9.50/s", "12.3/s", "156/s", "1000000/s", "unlimited"]);
}
