//! A tally over the lives of pods: answers, restarts, last words, ends, and another operator.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn counts(lines: u64) -> Counts {
    Counts { lines, bytes: lines * 10 }
}

fn word(lines: u64) -> Value {
    let message = json!({"lines": lines, "bytes": lines * 10}).to_string();
    json!({"terminated": {"exitCode": 0, "startedAt": BEGAN, "message": message}})
}

/// A pod whose generator is in this state, after so many restarts.
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

fn silent(pods: usize) -> Findings {
    let silent = Affected { pods, example: String::new() };
    Findings { silent, ..Findings::default() }
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
fn sees(tally: &mut Tally, uid: &str, restarts: i32) {
    tally.saw(&pod(uid, restarts, &running(), &json!({})));
}

fn before(total: u64, pods: &[(&str, Told)]) -> Before {
    let pods = pods.iter().map(|(uid, told)| (PodMark::of(uid), *told)).collect();
    Before { total: counts(total), killed: 0, pods }
}

fn writes(number: i32, lines: u64) -> Told {
    Told::Writes { number, counts: counts(lines) }
}

#[test]
fn the_sum_is_what_all_pods_said_last() {
    let mut tally = Tally::default();
    sees(&mut tally, "a", 0);
    sees(&mut tally, "b", 0);
    tally.answered("a", 0, counts(5)).unwrap();
    tally.answered("b", 0, counts(7)).unwrap();
    tally.answered("a", 0, counts(9)).unwrap();
    assert_eq!(tally.sums().total, counts(16));
}

#[test]
fn a_container_that_ended_counts_by_its_last_word() {
    let mut tally = Tally::default();
    tally.saw(&pod("a", 0, &running(), &json!({})));
    tally.answered("a", 0, counts(5)).unwrap();
    tally.saw(&pod("a", 1, &running(), &word(8)));
    assert_eq!(tally.sums().total, counts(8));
    tally.answered("a", 1, counts(2)).unwrap();
    assert_eq!(tally.sums().total, counts(10));
}

#[test]
fn a_container_that_was_killed_counts_by_its_last_answer() {
    let mut tally = Tally::default();
    tally.saw(&pod("a", 0, &running(), &json!({})));
    tally.answered("a", 0, counts(5)).unwrap();
    tally.saw(&pod(
        "a",
        1,
        &running(),
        &json!({"terminated": {"exitCode": 137, "startedAt": BEGAN}}),
    ));
    tally.answered("a", 1, counts(1)).unwrap();
    assert_eq!(tally.sums().total, counts(6));
    assert_eq!(tally.sums().killed, 1);
    // Or by what it wrote down later than that.
    tally.saw(&pod("a", 2, &running(), &last_note(3)));
    assert_eq!(tally.sums().total, counts(8));
    assert_eq!(tally.sums().killed, 2);
    tally.saw(&pod("a", 2, &last_note(2), &last_note(3)));
    tally.saw(&pod("a", 3, &running(), &last_note(2)));
    assert_eq!(tally.sums().total, counts(10));
    assert_eq!(tally.sums().killed, 3, "each once");
}

#[test]
fn a_pod_that_goes_without_a_last_word_is_told_of_if_it_may_have_written() {
    let mut tally = Tally::default();
    tally.saw(&pod("waiting", 0, &json!({"waiting": {}}), &json!({})));
    tally.lost("waiting");
    tally.saw(&pod("finished", 0, &word(5), &json!({})));
    tally.lost("finished");
    assert_eq!(tally.sums().killed, 0);
    tally.saw(&pod("a", 0, &running(), &json!({})));
    tally.lost("a");
    assert_eq!(tally.sums().killed, 1);
    // A restart that was only seen to be due.
    tally.saw(&pod("c", 0, &json!({"waiting": {}}), &json!({})));
    tally.saw(&pod("c", 1, &running(), &word(5)));
    assert_eq!(tally.sums().total, counts(10));
    assert_eq!(tally.sums().killed, 1);
    // Three restarts at once: of two of these nothing was seen.
    tally.saw(&pod("b", 0, &running(), &json!({})));
    tally.saw(&pod("b", 3, &running(), &word(5)));
    assert_eq!(tally.sums().killed, 3);
}

#[test]
fn a_pod_that_finished_before_it_was_asked_counts_once() {
    let mut tally = Tally::default();
    tally.saw(&pod("a", 0, &word(10_000), &json!({})));
    tally.saw(&pod("a", 0, &word(10_000), &json!({})));
    tally.answered("a", 0, counts(9_000)).unwrap();
    assert_eq!(tally.sums().total, counts(10_000));
    tally.lost("a");
    tally.lost("a");
    assert_eq!(tally.sums().total, counts(10_000));
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut tally = Tally::default();
    tally.saw(&pod("a", 1, &running(), &word(8)));
    tally.answered("a", 0, counts(7)).unwrap();
    assert_eq!(tally.sums().total, counts(8), "its container was replaced");
    tally.answered("a", 1, counts(2)).unwrap();
    tally.lost("a");
    tally.answered("a", 1, counts(2)).unwrap();
    tally.keep_only(&HashSet::new());
    assert_eq!(tally.sums().total, counts(10), "the pod is gone");
}

#[test]
fn a_container_that_waits_for_its_restart_has_its_last_word_in_its_last_state() {
    let mut word = word(8);
    word["terminated"]["containerID"] = json!("containerd://1");
    let mut waits = pod("a", 1, &json!({"waiting": {"reason": "CrashLoopBackOff"}}), &word);
    give_id(&mut waits, "containerd://1");
    let mut tally = Tally::default();
    sees(&mut tally, "a", 1);
    assert_eq!(tally.sums().killed, 1, "the first one was not seen");
    tally.answered("a", 1, counts(5)).unwrap();
    tally.saw(&waits);
    // The next begins, and ends for want of memory.
    tally.saw(&pod("a", 2, &running(), &word));
    tally.answered("a", 2, counts(3)).unwrap();
    tally.saw(&pod("a", 2, &last_note(4), &word));
    assert_eq!(tally.sums().total, counts(12));
    assert_eq!(tally.sums().killed, 2);
}

#[test]
fn another_operator_goes_on_from_the_status() {
    let told = [
        ("a", writes(1, 40)),
        ("b", writes(0, 20)),
        ("ended", Told::Ended { number: 0 }),
        ("job", Told::Over),
    ];
    let present = [
        pod("a", 1, &running(), &word(20)),
        pod("b", 0, &running(), &json!({})),
        pod("ended", 1, &running(), &word(10)),
        pod("job", 0, &word(10), &json!({})),
        pod("new", 1, &running(), &word(7)),
    ];
    let mut tally = Tally::going_on_from(before(100, &told), &present.map(Box::new));
    assert_eq!(tally.sums().total, counts(107), "all is in it already but what the new one wrote");
    tally.answered("a", 1, counts(75)).unwrap();
    tally.answered("b", 0, counts(19)).unwrap();
    tally.answered("ended", 1, counts(3)).unwrap();
    tally.answered("new", 1, counts(1)).unwrap();
    assert_eq!(tally.sums().total, counts(107 + 35 + 3 + 1));
    assert_eq!(tally.sums().killed, 0);
    let told = tally.sums().pods;
    assert_eq!(told[&PodMark::of("a")], writes(1, 75));
    assert_eq!(told[&PodMark::of("b")], writes(0, 20));
    assert_eq!(told[&PodMark::of("job")], Told::Over);
}

#[test]
fn a_container_that_was_replaced_while_nobody_looked_counts_by_its_last_word() {
    let present = pod("a", 1, &running(), &word(120));
    let mut tally =
        Tally::going_on_from(before(130, &[("a", writes(0, 100))]), &[Box::new(present)]);
    tally.answered("a", 1, counts(5)).unwrap();
    assert_eq!(tally.sums().total, counts(30 + 120 + 5));
    assert_eq!(tally.sums().killed, 0);
    // Of two, the first has no word any more.
    let present = pod("a", 2, &running(), &word(7));
    let tally = Tally::going_on_from(before(130, &[("a", writes(0, 100))]), &[Box::new(present)]);
    assert_eq!(tally.sums().total, counts(130 + 7));
    assert_eq!(tally.sums().killed, 1);
}

#[test]
fn of_pods_that_vanished_while_nobody_looked_the_sum_keeps_what_it_had() {
    let told = [("a", writes(0, 50)), ("job", Told::Over), ("b", writes(0, 20))];
    let left = pod("b", 0, &running(), &json!({}));
    let mut tally = Tally::going_on_from(before(100, &told), &[Box::new(left)]);
    assert_eq!(tally.sums().killed, 1, "a may have gone on writing");
    tally.answered("b", 0, counts(21)).unwrap();
    assert_eq!(tally.sums().total, counts(101));
    tally.lost("b");
    assert_eq!(tally.sums().total, counts(101));
    assert_eq!(tally.sums().killed, 2);
}

#[test]
fn a_container_that_never_ran_was_not_killed() {
    for never in [
        json!({"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null}),
        json!({"exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z"}),
    ] {
        let mut tally = Tally::default();
        tally.saw(&pod("a", 0, &json!({"waiting": {"reason": "PodInitializing"}}), &json!({})));
        tally.saw(&pod("a", 0, &json!({"terminated": never}), &json!({})));
        assert_eq!(tally.sums().killed, 0, "{never}");
        // Another one of the pod did run.
        sees(&mut tally, "a", 1);
        tally.saw(&pod("a", 1, &json!({"terminated": {"exitCode": 137}}), &json!({})));
        assert_eq!(tally.sums().killed, 1, "{never}");
    }
}

#[test]
fn a_container_that_its_node_has_lost_counts_by_its_last_answer() {
    let mut tally = Tally::default();
    let mut shown = pod("a", 0, &running(), &json!({}));
    give_id(&mut shown, "containerd://1");
    tally.saw(&shown);
    tally.answered("a", 0, counts(5)).unwrap();
    let unknown = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}});
    tally.saw(&pod("a", 0, &json!({"waiting": {}}), &unknown));
    assert_eq!(tally.sums().total, counts(5));
    // Another one of the same number.
    let mut shown = pod("a", 0, &running(), &unknown);
    give_id(&mut shown, "containerd://2");
    tally.saw(&shown);
    tally.answered("a", 0, counts(2)).unwrap();
    assert_eq!(tally.sums().total, counts(7));
    assert_eq!(tally.sums().killed, 1);
    // And its node is lost as well.
    let mut over = shown;
    *over.status.as_mut().unwrap() = serde_json::from_value(json!({"phase": "Failed"})).unwrap();
    tally.saw(&over);
    assert_eq!(tally.sums().killed, 2);
    assert_eq!(tally.sums().pods[&PodMark::of("a")], Told::Over);
}

#[test]
fn the_rate_is_that_between_two_rounds() {
    let mut tally = Tally::default();
    sees(&mut tally, "a", 0);
    tally.answered("a", 0, counts(100)).unwrap();
    tally.round_is_over(10.0, silent(0));
    assert_eq!(tally.sums().rate, None);
    tally.answered("a", 0, counts(150)).unwrap();
    tally.round_is_over(20.0, silent(0));
    assert_eq!(tally.sums().rate, Some(5.0));
    tally.round_is_over(30.0, silent(1));
    assert_eq!(tally.sums().rate, Some(0.0));
    assert_eq!(tally.sums().findings.silent.pods, 1);
}

/// Once it may be that the container was started anew, and that isn't known yet.
#[test]
fn a_pod_that_goes_back_twice_is_not_believed() {
    let mut tally = Tally::default();
    sees(&mut tally, "a", 0);
    tally.answered("a", 0, counts(9)).unwrap();
    tally.answered("a", 0, counts(5)).unwrap();
    assert_eq!(tally.answered("a", 0, counts(7)), Err(Implausible::WentBack { from: 9, to: 7 }));
    tally.answered("a", 0, counts(10)).unwrap();
    tally.answered("a", 0, counts(5)).unwrap();
    assert_eq!(tally.sums().total, counts(10));
}

#[test]
fn a_last_word_that_can_not_be_is_none() {
    for message in [
        json!({"lines": 9_000_000_000_u64, "bytes": 90_000_000_000_u64, "ended": true}),
        json!({"lines": 10, "bytes": 9, "ended": true}),
        json!({"lines": 1e300, "bytes": 1e300, "ended": true}),
    ] {
        let mut tally = Tally::default();
        let state = json!({"terminated": {
            "exitCode": 0, "message": message.to_string(),
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
        }});
        sees(&mut tally, "a", 0);
        tally.answered("a", 0, counts(5)).unwrap();
        tally.saw(&pod("a", 0, &state, &json!({})));
        let sums = tally.sums();
        assert_eq!((sums.total, sums.killed), (counts(5), 1), "{message}");
    }
}

/// Something that happens to one of three pods, or to the operator.
#[derive(Debug, Clone)]
enum Happening {
    Writes(usize, u64),
    /// Its container ends, with or without a last word, or is started anew.
    Ends(usize, bool),
    /// It waits for its restart.
    Waits(usize),
    Starts(usize),
    /// Its node has lost it, and may start one of the same number.
    IsLost(usize),
    /// Another one takes its place.
    Vanishes(usize),
    /// The operator asks those pods.
    Asks([bool; 3]),
    WritesStatus,
    /// Another operator begins, from the last status.
    IsReplaced,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        4 => (0..3_usize, 1..1000_u64).prop_map(|(pod, lines)| Happening::Writes(pod, lines)),
        2 => (0..3_usize, prop::bool::weighted(0.9)).prop_map(|(pod, word)| Happening::Ends(pod, word)),
        1 => (0..3_usize).prop_map(Happening::Waits),
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
    tally: Tally,
    status: Sums,
    /// The pods and restarts of that time.
    then: Vec<(String, i32)>,
    /// Something was killed, or went between two operators: some may be missing.
    may_miss: bool,
    /// A pod came and went since the last status, or a container was lost: another operator knows
    /// nothing of it.
    unknown: bool,
    seconds: f64,
}

impl World {
    fn new() -> Self {
        let pods = [0, 1, 2].map(|place| RealPod::new(place, 0));
        let mut tally = Tally::default();
        for pod in &pods {
            tally.saw(&pod.shown());
        }
        let (status, then) = (Tally::default().sums(), Vec::new());
        let (written, seconds) = (0, 0.0);
        let (may_miss, unknown) = (false, false);
        Self { pods, lives: 0, starts: 0, written, tally, status, then, may_miss, unknown, seconds }
    }

    fn happens(&mut self, happening: &Happening) {
        match *happening {
            Happening::Writes(place, lines) => {
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
                    pod.state = if has_word { word(pod.lines) } else { killed };
                    pod.state["terminated"]["containerID"] = json!(pod.id);
                    pod.runs = false;
                    self.may_miss |= !has_word;
                    self.tally.saw(&pod.shown());
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
                    self.tally.saw(&pod.shown());
                }
            }
            Happening::Waits(place) => {
                let pod = &mut self.pods[place];
                if pod.state.get("terminated").is_some() {
                    pod.last_state = std::mem::replace(&mut pod.state, json!({"waiting": {}}));
                    self.tally.saw(&pod.shown());
                }
            }
            Happening::IsLost(place) => {
                let pod = &mut self.pods[place];
                if pod.runs {
                    (pod.runs, pod.state) = (false, json!({"waiting": {}}));
                    pod.last_state = json!({"terminated": {"exitCode": 137, "startedAt": BEGAN}});
                    pod.id.clear();
                    (self.may_miss, self.unknown) = (true, true);
                    self.tally.saw(&pod.shown());
                }
            }
            Happening::Vanishes(place) => {
                self.lives += 1;
                let next = RealPod::new(place, self.lives);
                let pod = std::mem::replace(&mut self.pods[place], next);
                self.tally.lost(&pod.uid);
                self.tally.saw(&self.pods[place].shown());
                self.may_miss |= pod.runs;
                self.unknown |= !self.then.iter().any(|(uid, _)| *uid == pod.uid);
            }
            Happening::Asks(answers) => {
                for (pod, answers) in self.pods.iter().zip(answers) {
                    if answers && pod.runs {
                        self.tally.answered(&pod.uid, pod.restarts, counts(pod.lines)).unwrap();
                    }
                }
                let asked = self.pods.iter().zip(answers);
                let silent_pods = asked.filter(|(pod, answers)| pod.runs && !answers).count();
                self.seconds += 1.0;
                self.tally.round_is_over(self.seconds, silent(silent_pods));
            }
            Happening::WritesStatus => {
                self.status = self.tally.sums();
                let pods = self.pods.iter();
                self.then = pods.map(|pod| (pod.uid.clone(), pod.restarts)).collect();
                self.unknown = false;
            }
            Happening::IsReplaced => self.replace_the_operator(),
        }
    }

    fn replace_the_operator(&mut self) {
        let (then, pods) = (&self.then, &self.pods);
        let is_gone = |uid: &String| pods.iter().all(|pod| pod.uid != *uid);
        self.may_miss |= then.iter().any(|(uid, _)| is_gone(uid));
        // A pod tells of its last two containers; of its last one only, if that waits for its restart.
        self.may_miss |= pods.iter().any(|pod| {
            let known = then.iter().find(|(uid, _)| *uid == pod.uid).map_or(0, |known| known.1);
            let waits = pod.state.get("waiting").is_some();
            pod.restarts > known + i32::from(!waits)
        });
        let Sums { total, killed, pods, .. } = self.status.clone();
        let shown = self.pods.each_ref().map(|pod| Box::new(pod.shown()));
        self.tally = Tally::going_on_from(Before { total, killed, pods }, &shown);
    }
}

proptest! {
    /// Whatever happens, the sum is never more than what was written, and what was told of it never
    /// goes back. It is less only if something was killed or went while nobody looked, and that is
    /// told; and it isn't told without a reason.
    #[test]
    fn a_sum_is_what_was_written_or_it_says_that_it_is_less(happenings in happenings()) {
        let mut world = World::new();
        let (mut was_unknown, mut told) = (false, 0);
        for happening in happenings {
            was_unknown |= world.unknown && matches!(happening, Happening::IsReplaced);
            world.happens(&happening);
            let sum = world.tally.sums().total.lines;
            prop_assert!(sum <= world.written, "{sum} of {}", world.written);
            prop_assert!(sum >= world.status.total.lines);
            prop_assert!(world.status.total.lines >= told);
            told = world.status.total.lines;
        }
        // That a container is lost for good is seen by what comes after it.
        for place in 0..3 {
            world.happens(&Happening::Starts(place));
        }
        world.happens(&Happening::Asks([true; 3]));
        let sums = world.tally.sums();
        if sums.killed == 0 && !was_unknown {
            prop_assert_eq!(sums.total.lines, world.written);
        }
        if !world.may_miss {
            prop_assert_eq!(sums.killed, 0);
        }
    }
}

#[test]
fn where_there_is_nobody_to_ask_nothing_is_unknown() {
    let nobody: [Box<Pod>; 0] = [];
    let mut tally = Tally::going_on_from(Before::default(), &nobody);
    assert!(tally.sums().asked);
    assert_eq!(tally.sums().rate, Some(0.0));
    tally.round_is_over(10.0, silent(0));
    assert_eq!(tally.sums().rate, Some(0.0), "the first round has none before it to compare with");
    sees(&mut tally, "a", 0);
    assert!(tally.sums().asked, "its first pod has only just begun");
    let somebody = [Box::new(pod("a", 0, &running(), &json!({})))];
    let begun_with_a_pod = Tally::going_on_from(Before::default(), &somebody);
    assert!(!begun_with_a_pod.sums().asked);
    assert_eq!(begun_with_a_pod.sums().rate, None);
}
