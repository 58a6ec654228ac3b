//! The status of a source in each of its states.

use std::collections::BTreeMap;

use super::*;
use serde_json::json;
use visor_api::ResolvedSource;

use crate::{
    counts::{Findings, PodId, PodState},
    source::check,
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
    Observed { desired, replicas: desired, ready, up_to_date: true, ..Observed::default() }
}

fn status_of(
    source: &ResolvedSource,
    workload: Option<(Workload, Observed)>,
    old: Option<&FakeLogSourceStatus>,
) -> FakeLogSourceStatus {
    let source = Ok(ValidSource::of(source));
    let inputs = StatusInputs { generation: 7, source, workload, totals: None };
    next(old, &inputs, LATER.parse().unwrap())
}

/// Each condition as `Type=Status/Reason`.
fn conditions(status: &FakeLogSourceStatus) -> Vec<String> {
    let shown = |c: &Condition| format!("{}={}/{}", c.type_, c.status, c.reason);
    status.conditions.iter().map(shown).collect()
}

#[test]
fn a_source_whose_pods_are_ready_is_ready() {
    let status = status_of(
        &source(json!({"replicas": 2})),
        Some((Workload::Deployment, running(2, 2))),
        None,
    );
    assert_eq!(
        conditions(&status),
        [
            "Ready=True/Ready",
            "Accepted=True/Valid",
            "Available=True/PodsReady",
            "Progressing=False/UpToDate",
            "CountsExact=False/Pending"
        ]
    );
    assert_eq!((status.replicas, status.ready_replicas), (Some(2), Some(2)));
    assert_eq!(status.configured_rate.as_deref(), Some("100/s"));
    assert_eq!(status.observed_generation, Some(7));
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(7)));
    assert_eq!(state(Some(&status)), State::Ready);
}

#[test]
fn a_missing_pod_is_reported_with_its_problem() {
    let problem = "pod shop-1, container visor: ErrImagePull: not found";
    let observed = Observed { problem: Some(problem.to_owned()), ..running(1, 2) };
    let status =
        status_of(&source(json!({"replicas": 2})), Some((Workload::Deployment, observed)), None);
    assert_eq!(conditions(&status)[0], "Ready=False/PodsNotReady");
    assert_eq!(status.conditions[0].message, format!("1 of 2 pods are ready; {problem}"));
    assert_eq!(state(Some(&status)), State::Progressing);
}

#[test]
fn pods_that_are_being_replaced_make_it_progress() {
    let observed = Observed { up_to_date: false, ..running(2, 2) };
    let status =
        status_of(&source(json!({"replicas": 2})), Some((Workload::Deployment, observed)), None);
    assert_eq!(conditions(&status)[0], "Ready=False/RollingOut");
    assert_eq!(conditions(&status)[3], "Progressing=True/RollingOut");
}

#[test]
fn a_suspended_source_or_one_without_replicas_is_ready() {
    let suspended = source(json!({"suspend": true}));
    let status = status_of(&suspended, Some((Workload::Deployment, running(1, 1))), None);
    assert_eq!(conditions(&status)[0], "Ready=True/Suspended");
    assert_eq!(status.configured_rate.as_deref(), Some("0.0/s"));
    let nothing = source(json!({"replicas": 0}));
    let status = status_of(&nothing, Some((Workload::Deployment, running(0, 0))), None);
    assert_eq!(conditions(&status)[2], "Available=True/ScaledToZero");
}

#[test]
fn a_source_that_ends_runs_and_then_is_complete_or_has_failed() {
    let finite = source(json!({"stopAfter": {"lines": 10}}));
    let with = |ended| Some((Workload::Job, Observed { ended, ..running(1, 1) }));
    let status = status_of(&finite, with(None), None);
    assert_eq!(conditions(&status)[4], "Complete=False/Running");
    let status = status_of(&finite, with(Some(JobResult::Finished)), Some(&status));
    assert_eq!(conditions(&status)[0], "Ready=True/Finished");
    assert_eq!(conditions(&status)[4], "Complete=True/Finished");
    assert_eq!(state(Some(&status)), State::Complete);
    let status = status_of(&finite, with(Some(JobResult::Failed("too often".to_owned()))), None);
    assert_eq!(conditions(&status)[0], "Ready=False/Failed");
    assert_eq!(status.conditions[0].message, "too often");
    assert_eq!(conditions(&status)[5], "Stalled=True/Failed");
}

#[test]
fn the_state_of_a_workload_is_reported() {
    let finite = source(json!({"stopAfter": {"lines": 10}}));
    let job = |observed: Observed| status_of(&finite, Some((Workload::Job, observed)), None);
    let retrying = job(Observed { retries: 2, ..running(0, 1) });
    assert_eq!(conditions(&retrying)[3], "Progressing=True/Retrying");
    assert_eq!(retrying.conditions[3].message, "2 pods have failed; the Job is retrying");
    let waiting_for = Some("container collector of pod shop-1".to_owned());
    let waits = job(Observed { waiting_for, ..running(1, 1) });
    assert_eq!(conditions(&waits)[4], "Complete=False/ContainersRunning");
    assert!(waits.conditions[4].message.ends_with("container collector of pod shop-1 terminates"));

    let shop = source(json!({}));
    for (up_to_date, progressing) in [(true, "False"), (false, "True")] {
        let paused = Some("the Deployment is paused");
        let observed = Observed { up_to_date, paused, ..running(1, 1) };
        let status = status_of(&shop, Some((Workload::Deployment, observed)), None);
        assert_eq!(conditions(&status)[3], format!("Progressing={progressing}/Paused"));
    }
}

#[test]
fn a_rejection_has_a_reason_and_keeps_existing_pods() {
    let rejection = Rejection::new("Invalid", "spec.timeZone: unknown time zone `Mars`");
    let inputs = StatusInputs {
        generation: 8,
        source: Err(&rejection),
        workload: Some((Workload::Deployment, running(2, 2))),
        totals: None,
    };
    let status = next(None, &inputs, LATER.parse().unwrap());
    assert_eq!(
        conditions(&status),
        [
            "Ready=False/Invalid",
            "Accepted=False/Invalid",
            "Available=True/PodsReady",
            "Progressing=False/Waiting",
            "Stalled=True/Invalid",
            "CountsExact=False/Pending"
        ]
    );
    assert!(status.conditions[1].message.starts_with("spec.timeZone: unknown time zone `Mars`"));
    assert!(status.conditions[1].message.contains("keep running unchanged"));
    assert_eq!(status.ready_replicas, Some(2));
    assert_eq!(state(Some(&status)), State::Rejected);
    // What fails for the moment isn't stalled, nor is what has recovered.
    let failing = Rejection::new(RECONCILE_ERROR, "the API server is busy");
    let inputs = StatusInputs { source: Err(&failing), ..inputs };
    let stalled =
        |status: &FakeLogSourceStatus| find_condition(&status.conditions, STALLED).is_some();
    assert!(!stalled(&next(Some(&status), &inputs, LATER.parse().unwrap())));
    let shop = source(json!({}));
    assert!(!stalled(&status_of(
        &shop,
        Some((Workload::Deployment, running(1, 1))),
        Some(&status)
    )));
}

#[test]
fn a_condition_keeps_its_time_as_long_as_it_stays_what_it_is() {
    let shop = source(json!({}));
    let begin = StatusInputs {
        generation: 1,
        source: Ok(ValidSource::of(&shop)),
        workload: Some((Workload::Deployment, running(0, 1))),
        totals: None,
    };
    let first = next(None, &begin, BEGIN.parse().unwrap());
    let second = status_of(&shop, Some((Workload::Deployment, running(1, 1))), Some(&first));
    let since = |status: &FakeLogSourceStatus, type_| {
        find_condition(&status.conditions, type_).unwrap().last_transition_time.0.to_string()
    };
    assert_eq!(since(&second, ACCEPTED), BEGIN);
    assert_eq!(since(&second, READY), LATER);
    let third = status_of(&shop, Some((Workload::Deployment, running(1, 1))), Some(&second));
    assert_eq!(second, third, "nothing new is nothing to write");
}

fn unreachable(pods: usize, example: &str) -> Findings {
    let unreachable = AffectedPods { pods, example: example.to_owned() };
    Findings { unreachable, ..Findings::default() }
}

#[test]
fn a_source_that_cannot_write_is_not_available() {
    let shop = source(json!({}));
    let example = "web/shop-1: cannot open /var/log/visor/web.log: Permission denied";
    let totals = |failing: usize, scraped| {
        let failing = AffectedPods { pods: failing, example: example.to_owned() };
        let findings = Findings { failing, ..Findings::default() };
        let total = Counts::default();
        let pods = BTreeMap::new();
        Some(Totals { total, rate: None, findings, killed: 0, pods, scraped })
    };
    let status_of = |workload, totals: Option<Totals>, old: Option<&FakeLogSourceStatus>| {
        let source = Ok(ValidSource::of(&shop));
        let workload = Some((workload, running(1, 1)));
        next(old, &StatusInputs { generation: 1, source, workload, totals }, LATER.parse().unwrap())
    };
    for workload in [Workload::Deployment, Workload::Sidecar] {
        let failing = status_of(workload, totals(1, true), None);
        assert_eq!(conditions(&failing)[0], "Ready=False/OutputsFailing");
        assert_eq!(conditions(&failing)[2], "Available=False/OutputsFailing");
        assert_eq!(failing.conditions[0].message, format!("1 pod can't write: {example}"));
        assert_eq!(failing.failing_pods, Some(1));
        // A new leader keeps the condition until it has scraped the pods.
        let failed_again = status_of(workload, totals(0, false), Some(&failing));
        assert_eq!(failed_again.conditions[0].message, failing.conditions[0].message);
        assert!(!has_totals(Some(&failing), &totals(0, true).unwrap()));
        let recovered = status_of(workload, totals(0, true), Some(&failed_again));
        assert_eq!(conditions(&recovered)[0], "Ready=True/Ready");
    }
}

#[test]
fn totals_are_reported_and_an_unknown_rate_is_kept() {
    let totals = |rate, lines| Totals {
        total: Counts { lines, bytes: 10 * lines },
        rate,
        findings: unreachable(1, "web/shop-1: no answer"),
        killed: 3,
        pods: [
            (PodId::of("a"), PodState::Terminated { number: 2 }),
            (PodId::of("b"), PodState::Finished),
        ]
        .into(),
        scraped: true,
    };
    let shop = source(json!({}));
    let status = status_of(&shop, None, None);
    assert!(!has_totals(Some(&status), &totals(None, 5)));
    let mut status = status;
    set_totals(&mut status, &totals(Some(2.5), 5));
    assert!(has_totals(Some(&status), &totals(None, 5)));
    assert_eq!(status.rate.as_deref(), Some("2.50/s"));
    assert_eq!(status.lines, Some(5));
    assert_eq!(status.unreachable_pods, Some(1));
    let before = saved_counts(&status);
    assert_eq!(before.total, Counts { lines: 5, bytes: 50 });
    assert_eq!(before.killed, 3);
    assert_eq!(before.pods, totals(None, 5).pods);
}

#[test]
fn missing_lines_are_reported() {
    let shop = source(json!({}));
    let totals = |pods: usize, killed, scraped| Totals {
        total: Counts::default(),
        rate: None,
        findings: unreachable(pods, "web/shop-1: no answer within 3 s"),
        killed,
        pods: BTreeMap::new(),
        scraped,
    };
    let status_of = |totals, old: Option<&FakeLogSourceStatus>| {
        let source = Ok(ValidSource::of(&shop));
        let inputs = StatusInputs { generation: 1, source, workload: None, totals };
        next(old, &inputs, LATER.parse().unwrap())
    };
    let counts_exact = |status: &FakeLogSourceStatus| {
        let Condition { status, reason, message, .. } =
            find_condition(&status.conditions, COUNTS_EXACT).unwrap();
        format!("{status}/{reason}: {message}")
    };
    assert!(counts_exact(&status_of(None, None)).starts_with("False/Pending"));
    assert!(counts_exact(&status_of(Some(totals(0, 0, false)), None)).starts_with("False/Pending"));
    let good = status_of(Some(totals(0, 0, true)), None);
    assert!(counts_exact(&good).starts_with("True/Exact"));
    // A new leader keeps the condition until it has scraped the pods.
    assert!(
        counts_exact(&status_of(Some(totals(0, 0, false)), Some(&good))).starts_with("True/Exact")
    );
    let unreachable = counts_exact(&status_of(Some(totals(2, 1, true)), Some(&good)));
    assert!(unreachable.starts_with("False/PodsUnreachable: "), "{unreachable}");
    assert!(unreachable.ends_with("web/shop-1: no answer within 3 s"), "{unreachable}");
    let killed = counts_exact(&status_of(Some(totals(0, 3, true)), Some(&good)));
    assert!(killed.starts_with("False/ContainersKilled: 3 containers"), "{killed}");
}

#[test]
fn numbers_may_wait_and_conditions_may_not() {
    let shop = source(json!({"replicas": 3}));
    let workload = |ready| Some((Workload::Deployment, running(ready, 3)));
    let one = status_of(&shop, workload(1), None);
    assert!(is_urgent(None, &one));
    let two = status_of(&shop, workload(2), Some(&one));
    assert!(one != two && !is_urgent(Some(&one), &two));
    let three = status_of(&shop, workload(3), Some(&two));
    assert!(is_urgent(Some(&two), &three));
    let changed = FakeLogSourceStatus { observed_generation: Some(8), ..three.clone() };
    assert!(is_urgent(Some(&three), &changed));
}

#[test]
fn rates_read_well() {
    let texts = [0.0, 0.25, 9.5, 12.34, 156.25, 1e6, f64::INFINITY].map(rate_text);
    assert_eq!(texts, ["0.0/s", "0.25/s", "9.50/s", "12.3/s", "156/s", "1000000/s", "unlimited"]);
}
