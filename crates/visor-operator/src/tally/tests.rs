//! A tally over the lives of pods: answers, restarts, last words, ends, and another operator.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn counts(lines: u64) -> Counts {
    Counts { lines, bytes: lines * 10 }
}

fn word(lines: u64) -> Value {
    let message = json!({"lines": lines, "bytes": lines * 10}).to_string();
    json!({"terminated": {"exitCode": 0, "message": message}})
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

fn silent(pods: usize) -> Silence {
    Silence { pods, example: String::new() }
}

/// The last that a container wrote down before it was killed.
fn last_note(lines: u64) -> Value {
    let message = json!({"lines": lines, "bytes": lines * 10, "ended": false}).to_string();
    json!({"terminated": {"exitCode": 137, "message": message}})
}

fn running() -> Value {
    json!({"running": {}})
}

#[test]
fn the_sum_is_what_all_pods_said_last() {
    let mut tally = Tally::default();
    tally.answered("a", 0, counts(5));
    tally.answered("b", 0, counts(7));
    tally.answered("a", 0, counts(9));
    assert_eq!(tally.sums().total, counts(16));
    assert_eq!(tally.sums().ended, counts(0));
}

#[test]
fn a_container_that_ended_counts_by_its_last_word() {
    let mut tally = Tally::default();
    tally.saw(&pod("a", 0, &running(), &json!({})));
    tally.answered("a", 0, counts(5));
    tally.saw(&pod("a", 1, &running(), &word(8)));
    assert_eq!(tally.sums().total, counts(8));
    tally.answered("a", 1, counts(2));
    assert_eq!(tally.sums().total, counts(10));
    assert_eq!(tally.sums().ended, counts(8));
}

#[test]
fn a_container_that_was_killed_counts_by_its_last_answer() {
    let mut tally = Tally::default();
    tally.saw(&pod("a", 0, &running(), &json!({})));
    tally.answered("a", 0, counts(5));
    tally.saw(&pod("a", 1, &running(), &json!({"terminated": {"exitCode": 137}})));
    tally.answered("a", 1, counts(1));
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
    tally.answered("a", 0, counts(9_000));
    assert_eq!(tally.sums().total, counts(10_000));
    assert_eq!(tally.sums().ended, counts(0), "the pod is there, and can tell another operator");
    tally.lost("a");
    tally.lost("a");
    assert_eq!(tally.sums().total, counts(10_000));
    assert_eq!(tally.sums().ended, counts(10_000));
}

#[test]
fn a_late_answer_of_a_container_that_was_replaced_changes_nothing() {
    let mut tally = Tally::default();
    tally.saw(&pod("a", 1, &running(), &word(8)));
    tally.answered("a", 0, counts(7));
    assert_eq!(tally.sums().total, counts(8));
}

#[test]
fn another_operator_goes_on_from_the_status_once_all_pods_have_answered() {
    let before = Before { total: counts(100), ended: counts(30), killed: 0 };
    let mut tally = Tally::going_on_from(before);
    // It restarted before this operator began, so its first container is in the sum already.
    tally.saw(&pod("a", 1, &running(), &word(20)));
    tally.answered("a", 1, counts(75));
    tally.round_is_over(0.0, silent(1));
    assert_eq!(tally.sums().total, counts(100), "not all have answered");
    tally.answered("b", 0, counts(1));
    tally.round_is_over(1.0, silent(0));
    assert_eq!(tally.sums().total, counts(30 + 76));
    tally.answered("a", 1, counts(80));
    assert_eq!(tally.sums().total, counts(30 + 81));
}

#[test]
fn what_pods_wrote_that_vanished_between_two_operators_is_not_lost() {
    let mut tally =
        Tally::going_on_from(Before { total: counts(100), ended: counts(30), killed: 0 });
    tally.round_is_over(0.0, silent(0));
    assert_eq!(tally.sums().total, counts(100));
    assert_eq!(tally.sums().ended, counts(100));
    tally.answered("new", 0, counts(1));
    assert_eq!(tally.sums().total, counts(101));
}

#[test]
fn a_pod_that_finished_under_another_operator_counts_once() {
    let mut tally =
        Tally::going_on_from(Before { total: counts(100), ended: counts(0), killed: 0 });
    tally.saw(&pod("a", 0, &word(100), &json!({})));
    tally.round_is_over(0.0, silent(0));
    assert_eq!(tally.sums().total, counts(100));
    tally.lost("a");
    assert_eq!(tally.sums().total, counts(100));
}

#[test]
fn the_rate_is_that_between_two_rounds() {
    let mut tally = Tally::default();
    tally.answered("a", 0, counts(100));
    tally.round_is_over(10.0, silent(0));
    assert_eq!(tally.sums().rate, None);
    tally.answered("a", 0, counts(150));
    tally.round_is_over(20.0, silent(0));
    assert_eq!(tally.sums().rate, Some(5.0));
    tally.round_is_over(30.0, silent(1));
    assert_eq!(tally.sums().rate, Some(0.0));
    assert_eq!(tally.sums().silence.pods, 1);
}

#[test]
fn the_counters_of_a_page_are_summed_and_all_else_is_passed_over() {
    let mut sum = Counts::default();
    for line in [
        "# HELP visor_lines_total Lines whose write succeeded.",
        "visor_lines_total{generator=\"a\",source=\"s\",stream=\"} 9\",kind=\"access\"} 12",
        "visor_lines_total{generator=\"b\"} 3",
        "visor_bytes_total{generator=\"a\"} 1.5e3",
        "visor_lines_skipped_total{generator=\"a\"} 99",
        "visor_lines_total{generator=\"c\"} NaN",
        "visor_lines_total{generator=\"c\"} -5",
        "visor_lines_total{",
    ] {
        add_metric(&mut sum, line);
    }
    assert_eq!(sum, Counts { lines: 15, bytes: 1500 });
}

/// Something that happens to one of three pods.
#[derive(Debug, Clone)]
enum Happening {
    Writes(usize, u64),
    Answers(usize),
    /// Its container ends, with or without a last word, and starts anew.
    Restarts(usize, bool),
    Vanishes(usize),
    OperatorRestarts,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        (0..3_usize, 0..1000_u64).prop_map(|(pod, lines)| Happening::Writes(pod, lines)),
        (0..3_usize).prop_map(Happening::Answers),
        (0..3_usize, any::<bool>()).prop_map(|(pod, word)| Happening::Restarts(pod, word)),
        (0..3_usize).prop_map(Happening::Vanishes),
        Just(Happening::OperatorRestarts),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    /// Whatever happens, the sum never goes back, and never is more than what was written; and it is
    /// less only if a container was killed.
    #[test]
    fn a_sum_never_goes_back_and_never_is_too_much(happenings in happenings()) {
        let mut tally = Tally::default();
        let mut written = 0;
        let mut told = 0;
        // Lines of the present container, restarts, and how often the pod was replaced.
        let mut pods = [(0_u64, 0_i32, 0_u32); 3];
        let uid = |index: usize, life: u32| format!("{index}-{life}");
        let mut seconds = 0.0;
        for happening in happenings {
            match happening {
                Happening::Writes(index, lines) => {
                    pods[index].0 += lines;
                    written += lines;
                    let (_, restarts, life) = pods[index];
                    tally.saw(&pod(&uid(index, life), restarts, &running(), &json!({})));
                }
                Happening::Answers(index) => {
                    let (lines, restarts, life) = pods[index];
                    tally.saw(&pod(&uid(index, life), restarts, &running(), &json!({})));
                    tally.answered(&uid(index, life), restarts, counts(lines));
                }
                Happening::Restarts(index, has_word) => {
                    let (lines, restarts, life) = pods[index];
                    let ended = if has_word {
                        word(lines)
                    } else {
                        json!({"terminated": {"exitCode": 137}})
                    };
                    pods[index] = (0, restarts + 1, life);
                    tally.saw(&pod(&uid(index, life), restarts + 1, &running(), &ended));
                }
                Happening::Vanishes(index) => {
                    let (_, _, life) = pods[index];
                    tally.lost(&uid(index, life));
                    pods[index] = (0, 0, life + 1);
                }
                Happening::OperatorRestarts => {
                    let sums = tally.sums();
                    let Sums { total, ended, killed, .. } = sums;
                    tally = Tally::going_on_from(Before { total, ended, killed });
                    for (index, (lines, restarts, life)) in pods.into_iter().enumerate() {
                        tally.saw(&pod(&uid(index, life), restarts, &running(), &json!({})));
                        tally.answered(&uid(index, life), restarts, counts(lines));
                    }
                    seconds += 1.0;
                    tally.round_is_over(seconds, silent(0));
                }
            }
            let sum = tally.sums().total.lines;
            prop_assert!(sum >= told, "{sum} after {told}");
            prop_assert!(sum <= written, "{sum} of {written}");
            told = sum;
        }
        for (index, (lines, restarts, life)) in pods.into_iter().enumerate() {
            tally.answered(&uid(index, life), restarts, counts(lines));
        }
        let sums = tally.sums();
        prop_assert!(sums.killed > 0 || sums.total.lines == written, "{sums:?} of {written}");
    }
}
