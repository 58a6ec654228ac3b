//! Counts over the lives of pods: scrapes, restarts, final reports, terminations, another operator.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn counts(lines: u64) -> Counts {
    Counts { lines, bytes: lines * 10 }
}

fn report(lines: u64) -> Value {
    let message = json!({"lines": lines, "bytes": lines * 10}).to_string();
    json!({"terminated": {"exitCode": 0, "startedAt": BEGAN, "message": message}})
}

/// A pod whose generator is in this state, after this many restarts.
fn pod(uid: &str, restarts: i32, state: &Value, last_state: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"uid": uid},
        "status": {"containerStatuses": [{
            "name": "visor", "ready": true, "image": "", "imageID": "",
            "restartCount": restarts, "state": state, "lastState": last_state,
        }]},
    }))
    .unwrap()
}

/// When containers began that have ended.
const BEGAN: &str = "2026-01-01T00:00:00Z";

/// Gives an id to its container.
fn give_id(pod: &mut Pod, id: &str) {
    let statuses = pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    statuses[0].container_id = Some(id.to_owned());
}

fn unreachable(pods: usize) -> Findings {
    let unreachable = AffectedPods { pods, example: String::new() };
    Findings { unreachable, ..Findings::default() }
}

/// The last that a container wrote down before it was killed.
fn last_note(lines: u64) -> Value {
    let message = json!({"lines": lines, "bytes": lines * 10, "ended": false}).to_string();
    json!({"terminated": {"exitCode": 137, "startedAt": BEGAN, "message": message}})
}

fn running() -> Value {
    json!({"running": {}})
}

/// Sees a pod that runs.
fn sees(source_counts: &mut SourceCounts, uid: &str, restarts: i32) {
    source_counts.observe(&pod(uid, restarts, &running(), &json!({})));
}

fn before(total: u64, pods: &[(&str, PodState)]) -> SavedCounts {
    let pods = pods.iter().map(|(uid, state)| (PodId::of(uid), *state)).collect();
    SavedCounts { total: counts(total), killed: 0, pods }
}

fn writes(number: i32, lines: u64) -> PodState {
    PodState::Running { number, counts: counts(lines) }
}

#[test]
fn the_total_is_the_sum_of_the_last_scrapes() {
    let mut source_counts = SourceCounts::default();
    sees(&mut source_counts, "a", 0);
    sees(&mut source_counts, "b", 0);
    source_counts.record("a", 0, counts(5)).unwrap();
    source_counts.record("b", 0, counts(7)).unwrap();
    source_counts.record("a", 0, counts(9)).unwrap();
    assert_eq!(source_counts.totals().total, counts(16));
}

#[test]
fn a_container_that_ended_counts_by_its_last_word() {
    let mut source_counts = SourceCounts::default();
    source_counts.observe(&pod("a", 0, &running(), &json!({})));
    source_counts.record("a", 0, counts(5)).unwrap();
    source_counts.observe(&pod("a", 1, &running(), &report(8)));
    assert_eq!(source_counts.totals().total, counts(8));
    source_counts.record("a", 1, counts(2)).unwrap();
    assert_eq!(source_counts.totals().total, counts(10));
}

#[test]
fn a_container_that_was_killed_counts_by_its_last_answer() {
    let mut source_counts = SourceCounts::default();
    source_counts.observe(&pod("a", 0, &running(), &json!({})));
    source_counts.record("a", 0, counts(5)).unwrap();
    source_counts.observe(&pod(
        "a",
        1,
        &running(),
        &json!({"terminated": {"exitCode": 137, "startedAt": BEGAN}}),
    ));
    source_counts.record("a", 1, counts(1)).unwrap();
    assert_eq!(source_counts.totals().total, counts(6));
    assert_eq!(source_counts.totals().killed, 1);
    // Or by what it wrote down later than that.
    source_counts.observe(&pod("a", 2, &running(), &last_note(3)));
    assert_eq!(source_counts.totals().total, counts(8));
    assert_eq!(source_counts.totals().killed, 2);
    source_counts.observe(&pod("a", 2, &last_note(2), &last_note(3)));
    source_counts.observe(&pod("a", 3, &running(), &last_note(2)));
    assert_eq!(source_counts.totals().total, counts(10));
    assert_eq!(source_counts.totals().killed, 3, "each once");
}

#[test]
fn a_pod_without_a_final_report_is_counted_as_killed_if_it_may_have_written() {
    let mut source_counts = SourceCounts::default();
    source_counts.observe(&pod("waiting", 0, &json!({"waiting": {}}), &json!({})));
    source_counts.remove("waiting");
    source_counts.observe(&pod("finished", 0, &report(5), &json!({})));
    source_counts.remove("finished");
    assert_eq!(source_counts.totals().killed, 0);
    source_counts.observe(&pod("a", 0, &running(), &json!({})));
    source_counts.remove("a");
    assert_eq!(source_counts.totals().killed, 1);
    // A restart that was only seen to be due.
    source_counts.observe(&pod("c", 0, &json!({"waiting": {}}), &json!({})));
    source_counts.observe(&pod("c", 1, &running(), &report(5)));
    assert_eq!(source_counts.totals().total, counts(10));
    assert_eq!(source_counts.totals().killed, 1);
    // Three restarts in one step: two of them were not observed.
    source_counts.observe(&pod("b", 0, &running(), &json!({})));
    source_counts.observe(&pod("b", 3, &running(), &report(5)));
    assert_eq!(source_counts.totals().killed, 3);
}

#[test]
fn a_pod_that_finished_before_it_was_asked_counts_once() {
    let mut source_counts = SourceCounts::default();
    source_counts.observe(&pod("a", 0, &report(10_000), &json!({})));
    source_counts.observe(&pod("a", 0, &report(10_000), &json!({})));
    source_counts.record("a", 0, counts(9_000)).unwrap();
    assert_eq!(source_counts.totals().total, counts(10_000));
    source_counts.remove("a");
    source_counts.remove("a");
    assert_eq!(source_counts.totals().total, counts(10_000));
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut source_counts = SourceCounts::default();
    source_counts.observe(&pod("a", 1, &running(), &report(8)));
    source_counts.record("a", 0, counts(7)).unwrap();
    assert_eq!(source_counts.totals().total, counts(8), "its container was replaced");
    source_counts.record("a", 1, counts(2)).unwrap();
    source_counts.remove("a");
    source_counts.record("a", 1, counts(2)).unwrap();
    source_counts.retain_pods(&HashSet::new());
    assert_eq!(source_counts.totals().total, counts(10), "the pod is gone");
}

#[test]
fn a_container_that_waits_for_its_restart_has_its_last_word_in_its_last_state() {
    let mut report = report(8);
    report["terminated"]["containerID"] = json!("containerd://1");
    let mut waits = pod("a", 1, &json!({"waiting": {"reason": "CrashLoopBackOff"}}), &report);
    give_id(&mut waits, "containerd://1");
    let mut source_counts = SourceCounts::default();
    sees(&mut source_counts, "a", 1);
    assert_eq!(source_counts.totals().killed, 1, "the first one was not seen");
    source_counts.record("a", 1, counts(5)).unwrap();
    source_counts.observe(&waits);
    // The next one starts, and runs out of memory.
    source_counts.observe(&pod("a", 2, &running(), &report));
    source_counts.record("a", 2, counts(3)).unwrap();
    source_counts.observe(&pod("a", 2, &last_note(4), &report));
    assert_eq!(source_counts.totals().total, counts(12));
    assert_eq!(source_counts.totals().killed, 2);
}

#[test]
fn another_operator_continues_from_the_status() {
    let state = [
        ("a", writes(1, 40)),
        ("b", writes(0, 20)),
        ("ended", PodState::Terminated { number: 0 }),
        ("job", PodState::Finished),
    ];
    let present = [
        pod("a", 1, &running(), &report(20)),
        pod("b", 0, &running(), &json!({})),
        pod("ended", 1, &running(), &report(10)),
        pod("job", 0, &report(10), &json!({})),
        pod("new", 1, &running(), &report(7)),
    ];
    let mut source_counts = SourceCounts::resume(before(100, &state), &present.map(Box::new));
    assert_eq!(
        source_counts.totals().total,
        counts(107),
        "all is in it already but what the new one wrote"
    );
    source_counts.record("a", 1, counts(75)).unwrap();
    source_counts.record("b", 0, counts(19)).unwrap();
    source_counts.record("ended", 1, counts(3)).unwrap();
    source_counts.record("new", 1, counts(1)).unwrap();
    assert_eq!(source_counts.totals().total, counts(107 + 35 + 3 + 1));
    assert_eq!(source_counts.totals().killed, 0);
    let state = source_counts.totals().pods;
    assert_eq!(state[&PodId::of("a")], writes(1, 75));
    assert_eq!(state[&PodId::of("b")], writes(0, 20));
    assert_eq!(state[&PodId::of("job")], PodState::Finished);
}

#[test]
fn a_container_that_was_replaced_unobserved_is_counted_by_its_report() {
    let present = pod("a", 1, &running(), &report(120));
    let mut source_counts =
        SourceCounts::resume(before(130, &[("a", writes(0, 100))]), &[Box::new(present)]);
    source_counts.record("a", 1, counts(5)).unwrap();
    assert_eq!(source_counts.totals().total, counts(30 + 120 + 5));
    assert_eq!(source_counts.totals().killed, 0);
    // Of two, the first has no word any more.
    let present = pod("a", 2, &running(), &report(7));
    let source_counts =
        SourceCounts::resume(before(130, &[("a", writes(0, 100))]), &[Box::new(present)]);
    assert_eq!(source_counts.totals().total, counts(130 + 7));
    assert_eq!(source_counts.totals().killed, 1);
}

#[test]
fn the_total_keeps_the_counts_of_pods_that_were_deleted_unobserved() {
    let state = [("a", writes(0, 50)), ("job", PodState::Finished), ("b", writes(0, 20))];
    let left = pod("b", 0, &running(), &json!({}));
    let mut source_counts = SourceCounts::resume(before(100, &state), &[Box::new(left)]);
    assert_eq!(source_counts.totals().killed, 1, "a may have gone on writing");
    source_counts.record("b", 0, counts(21)).unwrap();
    assert_eq!(source_counts.totals().total, counts(101));
    source_counts.remove("b");
    assert_eq!(source_counts.totals().total, counts(101));
    assert_eq!(source_counts.totals().killed, 2);
}

#[test]
fn a_container_that_never_ran_was_not_killed() {
    for never in [
        json!({"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null}),
        json!({"exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z"}),
    ] {
        let mut source_counts = SourceCounts::default();
        source_counts.observe(&pod(
            "a",
            0,
            &json!({"waiting": {"reason": "PodInitializing"}}),
            &json!({}),
        ));
        source_counts.observe(&pod("a", 0, &json!({"terminated": never}), &json!({})));
        assert_eq!(source_counts.totals().killed, 0, "{never}");
        // Another one of the pod did run.
        sees(&mut source_counts, "a", 1);
        source_counts.observe(&pod("a", 1, &json!({"terminated": {"exitCode": 137}}), &json!({})));
        assert_eq!(source_counts.totals().killed, 1, "{never}");
    }
}

#[test]
fn a_container_that_its_node_has_lost_counts_by_its_last_answer() {
    let mut source_counts = SourceCounts::default();
    let mut shown = pod("a", 0, &running(), &json!({}));
    give_id(&mut shown, "containerd://1");
    source_counts.observe(&shown);
    source_counts.record("a", 0, counts(5)).unwrap();
    let unknown = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}});
    source_counts.observe(&pod("a", 0, &json!({"waiting": {}}), &unknown));
    assert_eq!(source_counts.totals().total, counts(5));
    // Another one of the same number.
    let mut shown = pod("a", 0, &running(), &unknown);
    give_id(&mut shown, "containerd://2");
    source_counts.observe(&shown);
    source_counts.record("a", 0, counts(2)).unwrap();
    assert_eq!(source_counts.totals().total, counts(7));
    assert_eq!(source_counts.totals().killed, 1);
    // And its node is lost as well.
    let mut over = shown;
    *over.status.as_mut().unwrap() = serde_json::from_value(json!({"phase": "Failed"})).unwrap();
    source_counts.observe(&over);
    assert_eq!(source_counts.totals().killed, 2);
    assert_eq!(source_counts.totals().pods[&PodId::of("a")], PodState::Finished);
}

#[test]
fn the_rate_is_that_between_two_rounds() {
    let mut source_counts = SourceCounts::default();
    sees(&mut source_counts, "a", 0);
    source_counts.record("a", 0, counts(100)).unwrap();
    source_counts.finish_round(10.0, unreachable(0));
    assert_eq!(source_counts.totals().rate, None);
    source_counts.record("a", 0, counts(150)).unwrap();
    source_counts.finish_round(20.0, unreachable(0));
    assert_eq!(source_counts.totals().rate, Some(5.0));
    source_counts.finish_round(30.0, unreachable(1));
    assert_eq!(source_counts.totals().rate, Some(0.0));
    assert_eq!(source_counts.totals().findings.unreachable.pods, 1);
}

/// Once, the container may have been restarted without the operator knowing it yet.
#[test]
fn a_pod_that_goes_back_twice_is_not_believed() {
    let mut source_counts = SourceCounts::default();
    sees(&mut source_counts, "a", 0);
    source_counts.record("a", 0, counts(9)).unwrap();
    source_counts.record("a", 0, counts(5)).unwrap();
    assert_eq!(
        source_counts.record("a", 0, counts(7)),
        Err(Implausible::WentBack { from: 9, to: 7 })
    );
    source_counts.record("a", 0, counts(10)).unwrap();
    source_counts.record("a", 0, counts(5)).unwrap();
    assert_eq!(source_counts.totals().total, counts(10));
}

#[test]
fn a_last_word_that_can_not_be_is_none() {
    for message in [
        json!({"lines": 9_000_000_000_u64, "bytes": 90_000_000_000_u64, "ended": true}),
        json!({"lines": 10, "bytes": 9, "ended": true}),
        json!({"lines": 1e300, "bytes": 1e300, "ended": true}),
    ] {
        let mut source_counts = SourceCounts::default();
        let state = json!({"terminated": {
            "exitCode": 0, "message": message.to_string(),
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
        }});
        sees(&mut source_counts, "a", 0);
        source_counts.record("a", 0, counts(5)).unwrap();
        source_counts.observe(&pod("a", 0, &state, &json!({})));
        let totals = source_counts.totals();
        assert_eq!((totals.total, totals.killed), (counts(5), 1), "{message}");
    }
}

/// An event of one of three pods, or of the operator.
#[derive(Debug, Clone)]
enum Happening {
    Running(usize, u64),
    /// Its container terminates, with or without a final report, or is restarted.
    Ends(usize, bool),
    /// It waits for its restart.
    Waiting(usize),
    Starts(usize),
    /// Its node has lost it, and may start one of the same number.
    IsLost(usize),
    /// Another one replaces it.
    Vanishes(usize),
    /// The operator scrapes those pods.
    Asks([bool; 3]),
    WritesStatus,
    /// Another operator starts from the last status.
    IsReplaced,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        4 => (0..3_usize, 1..1000_u64).prop_map(|(pod, lines)| Happening::Running(pod, lines)),
        2 => (0..3_usize, prop::bool::weighted(0.9)).prop_map(|(pod, report)| Happening::Ends(pod, report)),
        1 => (0..3_usize).prop_map(Happening::Waiting),
        3 => (0..3_usize).prop_map(Happening::Starts),
        1 => prop::bool::weighted(0.1).prop_flat_map(|is_lost| {
            (0..3_usize).prop_map(move |pod| if is_lost { Happening::IsLost(pod) } else { Happening::Starts(pod) })
        }),
        1 => (0..3_usize).prop_map(Happening::Vanishes),
        2 => any::<[bool; 3]>().prop_map(Happening::Asks),
        2 => Just(Happening::WritesStatus),
        2 => Just(Happening::IsReplaced),
    ];
    prop::collection::vec(one, 0..60)
}

/// A pod as its node knows it.
#[derive(Debug, Clone)]
struct RealPod {
    uid: String,
    /// Lines of the present container.
    lines: u64,
    restarts: i32,
    id: String,
    runs: bool,
    state: Value,
    last_state: Value,
}

impl RealPod {
    fn new(place: usize, life: usize) -> Self {
        let uid = format!("{place}-{life}");
        let id = format!("{uid}-0");
        let (state, last_state) = (running(), json!({}));
        Self { uid, id, lines: 0, restarts: 0, runs: true, state, last_state }
    }

    fn shown(&self) -> Pod {
        let mut pod = pod(&self.uid, self.restarts, &self.state, &self.last_state);
        if !self.id.is_empty() {
            give_id(&mut pod, &self.id);
        }
        pod
    }
}

/// Pods, the operator that counts, and what it can't know.
struct World {
    pods: [RealPod; 3],
    lives: usize,
    starts: usize,
    written: u64,
    source_counts: SourceCounts,
    status: Totals,
    /// The pods and restarts of that time.
    then: Vec<(String, i32)>,
    /// A container was killed, or was deleted while there was no operator: lines may be missing.
    may_miss: bool,
    /// A pod was created and deleted since the last status, or a container was lost: another
    /// operator cannot know it.
    unknown: bool,
    /// That was so when the operator was replaced.
    was_unknown: bool,
    seconds: f64,
}

impl World {
    fn new() -> Self {
        let pods = [0, 1, 2].map(|place| RealPod::new(place, 0));
        let mut source_counts = SourceCounts::default();
        for pod in &pods {
            source_counts.observe(&pod.shown());
        }
        let (status, then) = (SourceCounts::default().totals(), Vec::new());
        let (written, seconds) = (0, 0.0);
        let (may_miss, unknown, was_unknown) = (false, false, false);
        Self {
            pods,
            lives: 0,
            starts: 0,
            written,
            source_counts,
            status,
            then,
            may_miss,
            unknown,
            was_unknown,
            seconds,
        }
    }

    fn happens(&mut self, happening: &Happening) {
        match *happening {
            Happening::Running(place, lines) => {
                let pod = &mut self.pods[place];
                if pod.runs {
                    pod.lines += lines;
                    self.written += lines;
                }
            }
            Happening::Ends(place, has_word) => {
                let pod = &mut self.pods[place];
                if pod.runs {
                    let killed = json!({"terminated": {"exitCode": 137, "startedAt": BEGAN}});
                    pod.state = if has_word { report(pod.lines) } else { killed };
                    pod.state["terminated"]["containerID"] = json!(pod.id);
                    pod.runs = false;
                    self.may_miss |= !has_word;
                    self.source_counts.observe(&pod.shown());
                }
            }
            Happening::Starts(place) => {
                let pod = &mut self.pods[place];
                if !pod.runs {
                    let state = std::mem::replace(&mut pod.state, running());
                    if state.get("terminated").is_some() {
                        pod.last_state = state;
                    }
                    // One that was lost isn't counted by its node.
                    let was_lost = pod.id.is_empty();
                    pod.restarts += i32::from(!was_lost);
                    self.unknown |= was_lost;
                    self.starts += 1;
                    pod.id = format!("{}-{}", pod.uid, self.starts);
                    (pod.lines, pod.runs) = (0, true);
                    self.source_counts.observe(&pod.shown());
                }
            }
            Happening::Waiting(place) => {
                let pod = &mut self.pods[place];
                if pod.state.get("terminated").is_some() {
                    pod.last_state = std::mem::replace(&mut pod.state, json!({"waiting": {}}));
                    self.source_counts.observe(&pod.shown());
                }
            }
            Happening::IsLost(place) => {
                let pod = &mut self.pods[place];
                if pod.runs {
                    (pod.runs, pod.state) = (false, json!({"waiting": {}}));
                    pod.last_state = json!({"terminated": {"exitCode": 137, "startedAt": BEGAN}});
                    pod.id.clear();
                    (self.may_miss, self.unknown) = (true, true);
                    self.source_counts.observe(&pod.shown());
                }
            }
            Happening::Vanishes(place) => {
                self.lives += 1;
                let next = RealPod::new(place, self.lives);
                let pod = std::mem::replace(&mut self.pods[place], next);
                self.source_counts.remove(&pod.uid);
                self.source_counts.observe(&self.pods[place].shown());
                self.may_miss |= pod.runs;
                self.unknown |= !self.then.iter().any(|(uid, _)| *uid == pod.uid);
            }
            Happening::Asks(answers) => {
                for (pod, answers) in self.pods.iter().zip(answers) {
                    if answers && pod.runs {
                        let counts = counts(pod.lines);
                        let recorded = self.source_counts.record(&pod.uid, pod.restarts, counts);
                        // A container that was lost is replaced without a restart, so another operator
                        // rejects the counts of the new one.
                        assert!(recorded.is_ok() || self.was_unknown, "{recorded:?}");
                    }
                }
                let scraped = self.pods.iter().zip(answers);
                let unreachable_pods =
                    scraped.filter(|(pod, answers)| pod.runs && !answers).count();
                self.seconds += 1.0;
                self.source_counts.finish_round(self.seconds, unreachable(unreachable_pods));
            }
            Happening::WritesStatus => {
                self.status = self.source_counts.totals();
                let pods = self.pods.iter();
                self.then = pods.map(|pod| (pod.uid.clone(), pod.restarts)).collect();
                self.unknown = false;
            }
            Happening::IsReplaced => {
                self.was_unknown |= self.unknown;
                self.replace_the_operator();
            }
        }
    }

    fn replace_the_operator(&mut self) {
        let (then, pods) = (&self.then, &self.pods);
        let is_gone = |uid: &String| pods.iter().all(|pod| pod.uid != *uid);
        self.may_miss |= then.iter().any(|(uid, _)| is_gone(uid));
        // The status of a pod has its last two containers; only the last one, if that waits for its restart.
        self.may_miss |= pods.iter().any(|pod| {
            let known = then.iter().find(|(uid, _)| *uid == pod.uid).map_or(0, |known| known.1);
            let waits = pod.state.get("waiting").is_some();
            pod.restarts > known + i32::from(!waits)
        });
        let Totals { total, killed, pods, .. } = self.status.clone();
        let shown = self.pods.each_ref().map(|pod| Box::new(pod.shown()));
        self.source_counts = SourceCounts::resume(SavedCounts { total, killed, pods }, &shown);
    }
}

proptest! {
    /// In every sequence of events, the total is never more than what was written, and never
    /// decreases. It is less only if a container was killed or deleted without being observed,
    /// which is reported, and never reported without a reason.
    #[test]
    fn a_total_is_exact_or_marked_as_too_low(happenings in happenings()) {
        let mut world = World::new();
        let mut state = 0;
        for happening in happenings {
            world.happens(&happening);
            let sum = world.source_counts.totals().total.lines;
            prop_assert!(sum <= world.written, "{sum} of {}", world.written);
            prop_assert!(sum >= world.status.total.lines);
            prop_assert!(world.status.total.lines >= state);
            state = world.status.total.lines;
        }
        // That a container is lost for good is seen by what comes after it.
        for place in 0..3 {
            world.happens(&Happening::Starts(place));
        }
        world.happens(&Happening::Asks([true; 3]));
        let totals = world.source_counts.totals();
        if totals.killed == 0 && !world.was_unknown {
            prop_assert_eq!(totals.total.lines, world.written);
        }
        if !world.may_miss {
            prop_assert_eq!(totals.killed, 0);
        }
    }
}

#[test]
fn without_pods_the_counts_are_exact() {
    let no_pods: [Box<Pod>; 0] = [];
    let mut source_counts = SourceCounts::resume(SavedCounts::default(), &no_pods);
    assert!(source_counts.totals().scraped);
    assert_eq!(source_counts.totals().rate, Some(0.0));
    source_counts.finish_round(10.0, unreachable(0));
    assert_eq!(
        source_counts.totals().rate,
        Some(0.0),
        "the first round has none before it to compare with"
    );
    sees(&mut source_counts, "a", 0);
    assert!(source_counts.totals().scraped, "its first pod has only just begun");
    let one_pod = [Box::new(pod("a", 0, &running(), &json!({})))];
    let begun_with_a_pod = SourceCounts::resume(SavedCounts::default(), &one_pod);
    assert!(!begun_with_a_pod.totals().scraped);
    assert_eq!(begun_with_a_pod.totals().rate, None);
}
