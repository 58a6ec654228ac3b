//! The status of a source: its conditions and its numbers. Pure: derived from what was applied and
//! observed. Only the time at which a condition changed is taken from the previous status.

mod write;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use visor_api::source::{FakeLogSourceSpec, FakeLogSourceStatus, Workload};

use super::observe::workload::{JobResult, Observed};
use crate::{
    counts::{AffectedPods, Counts, SavedCounts, SavedPod, Totals},
    labels,
    metrics::State,
    source::{Rejection, ValidSource},
};

/// What the status is derived from.
pub(crate) struct StatusInputs<'a> {
    /// The generation of the source that was reconciled.
    pub(crate) generation: i64,
    /// The source, or why it was rejected.
    pub(crate) source: Result<ValidSource<'a>, &'a Rejection>,
    /// The existing workload, of this generation or an earlier one.
    pub(crate) workload: Option<(Workload, Observed)>,
    /// The counts.
    pub(crate) totals: Option<Totals>,
}

pub(crate) const READY: &str = "Ready";
pub(crate) const ACCEPTED: &str = "Accepted";
const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const COUNTS_EXACT: &str = "CountsExact";

/// The reason of `Available` if pods run and can't write.
pub(crate) const OUTPUTS_FAILING: &str = "OutputsFailing";

const PENDING: &str = "Pending";
const PODS_UNREACHABLE: &str = "PodsUnreachable";
const CONTAINERS_KILLED: &str = "ContainersKilled";
const EXACT: &str = "Exact";
/// The reasons of `CountsExact`.
const COUNTS_EXACT_REASONS: [&str; 4] = [PENDING, PODS_UNREACHABLE, CONTAINERS_KILLED, EXACT];
pub(crate) const COMPLETE: &str = "Complete";
/// True if nothing changes until somebody changes the source; absent otherwise. Known to tools that
/// wait for objects (kstatus).
const STALLED: &str = "Stalled";
const FAILED: &str = "Failed";
/// The reason of `Accepted` if reconciliations fail that may succeed later.
pub(crate) const RECONCILE_ERROR: &str = "ReconcileError";

/// The state of a source by its status, for the operator's metrics. A source without a status is
/// about to get it.
pub(crate) fn state(status: Option<&FakeLogSourceStatus>) -> State {
    let is = |type_: &str, wanted: &str| {
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        find_condition(conditions, type_).is_some_and(|condition| condition.status == wanted)
    };
    if is(ACCEPTED, "False") {
        State::Rejected
    } else if is(COMPLETE, "True") {
        State::Complete
    } else if is(READY, "True") {
        State::Ready
    } else {
        State::Progressing
    }
}

/// The new status.
pub(crate) fn next(
    old: Option<&FakeLogSourceStatus>,
    inputs: &StatusInputs<'_>,
    now: Timestamp,
) -> FakeLogSourceStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.observed_generation = Some(inputs.generation);
    let observed = inputs.workload.as_ref().map(|(_, observed)| observed);
    status.workload = inputs.workload.as_ref().map(|(workload, _)| *workload);
    status.replicas = Some(observed.map_or(0, |observed| observed.replicas));
    status.ready_replicas = Some(observed.map_or(0, |observed| observed.ready));
    if let Ok(source) = &inputs.source {
        status.selector = Some(labels::selector_text(*source));
        let pods = pods_that_should_write(*source, inputs.workload.as_ref());
        status.configured_rate = Some(rate_text(source.lines_per_second() * f64::from(pods)));
    }
    if let Some(totals) = &inputs.totals {
        set_totals(&mut status, totals);
    }
    let old_conditions = old.map(|old| old.conditions.as_slice()).unwrap_or_default();
    let new_conditions = conditions(inputs, old_conditions)
        .into_iter()
        .chain([counts_exact(inputs.totals.as_ref(), old_conditions)]);
    status.conditions = new_conditions
        .map(|condition| condition.into_condition(old_conditions, inputs.generation, now))
        .collect();
    status
}

/// Whether a new status must be written soon: it is about another generation, or a condition has
/// changed.
pub(crate) fn is_urgent(old: Option<&FakeLogSourceStatus>, new: &FakeLogSourceStatus) -> bool {
    let state_of = |status: &FakeLogSourceStatus| {
        let conditions = status.conditions.iter();
        let state_of: Vec<_> = conditions
            .map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone()))
            .collect();
        (status.observed_generation, state_of)
    };
    old.map(state_of) != Some(state_of(new))
}

/// Whether a status has these counts already.
pub(crate) fn has_totals(status: Option<&FakeLogSourceStatus>, totals: &Totals) -> bool {
    let Some(status) = status else { return false };
    let mut updated = status.clone();
    set_totals(&mut updated, totals);
    updated == *status
}

fn set_totals(status: &mut FakeLogSourceStatus, totals: &Totals) {
    status.lines = Some(number(totals.total.lines));
    status.bytes = Some(number(totals.total.bytes));
    let pods = |affected: &AffectedPods| Some(i32::try_from(affected.pods).unwrap_or(i32::MAX));
    status.unreachable_pods = pods(&totals.findings.unreachable);
    status.failing_pods = pods(&totals.findings.failing);
    status.killed_containers = Some(number(totals.killed));
    let pods =
        totals.pods.iter().map(|(mark, updated)| SavedPod(mark.clone(), *updated).to_string());
    status.counted_pods = Some(pods.collect());
    if let Some(rate) = totals.rate {
        status.rate = Some(rate_text(rate));
    }
}

/// The counts that a status has saved.
pub(crate) fn saved_counts(status: &FakeLogSourceStatus) -> SavedCounts {
    let count = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    SavedCounts {
        total: Counts { lines: count(status.lines), bytes: count(status.bytes) },
        killed: count(status.killed_containers),
        pods: status
            .counted_pods
            .iter()
            .flatten()
            .filter_map(|entry| entry.parse().ok())
            .map(|SavedPod(mark, updated)| (mark, updated))
            .collect(),
    }
}

/// The condition of that type.
pub(crate) fn find_condition<'a>(
    conditions: &'a [Condition],
    type_: &str,
) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// A condition without its transition time.
struct NewCondition {
    type_: &'static str,
    is_true: bool,
    reason: &'static str,
    message: String,
}

impl NewCondition {
    fn into_condition(self, old: &[Condition], generation: i64, now: Timestamp) -> Condition {
        let status = if self.is_true { "True" } else { "False" };
        let since = find_condition(old, self.type_)
            .filter(|condition| condition.status == status)
            .map_or(Time(now), |condition| condition.last_transition_time.clone());
        Condition {
            type_: self.type_.to_owned(),
            status: status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message,
            observed_generation: Some(generation),
            last_transition_time: since,
        }
    }
}

/// All conditions, the most important one first.
fn conditions(inputs: &StatusInputs<'_>, old: &[Condition]) -> Vec<NewCondition> {
    let workload = inputs.workload.as_ref().map(|(_, observed)| observed);
    let is_sidecar = matches!(inputs.workload, Some((Workload::Sidecar, _)));
    let available = available(workload, is_sidecar, failing(inputs.totals.as_ref(), old));
    let source = match &inputs.source {
        Err(rejection) => {
            let mut message = rejection.message.clone();
            if workload.is_some_and(|observed| observed.replicas > 0) {
                message.push_str(" (existing pods keep running unchanged)");
            }
            let condition = |type_| NewCondition {
                type_,
                is_true: false,
                reason: rejection.reason,
                message: message.clone(),
            };
            let waiting = NewCondition {
                message: "waiting for a change of the source".to_owned(),
                reason: "Waiting",
                ..condition(PROGRESSING)
            };
            // A failed reconciliation is retried, so the source isn't stalled.
            let is_stalled = rejection.reason != RECONCILE_ERROR;
            let stalled = is_stalled.then(|| NewCondition { is_true: true, ..condition(STALLED) });
            let all = [condition(READY), condition(ACCEPTED), available, waiting];
            return all.into_iter().chain(stalled).collect();
        }
        Ok(source) => source,
    };
    let accepted = NewCondition {
        type_: ACCEPTED,
        is_true: true,
        reason: "Valid",
        message: "the spec is valid".to_owned(),
    };
    let progressing = progressing(workload);
    let complete = source.is_finite().then(|| complete(workload));
    let ready = ready(source.spec(), &available, &progressing, complete.as_ref());
    let stalled = complete.as_ref().filter(|complete| complete.reason == FAILED).map(|complete| {
        NewCondition {
            type_: STALLED,
            is_true: true,
            reason: FAILED,
            message: complete.message.clone(),
        }
    });
    let all = [ready, accepted, available, progressing].into_iter();
    all.chain(complete).chain(stalled).collect()
}

/// Why lines can't be written, if that is known. Until the pods have been scraped, the message of
/// an earlier leader stays.
fn failing(totals: Option<&Totals>, old: &[Condition]) -> Option<String> {
    let Some(totals) = totals.filter(|totals| totals.scraped) else {
        let known =
            find_condition(old, AVAILABLE).filter(|condition| condition.reason == OUTPUTS_FAILING);
        return known.map(|condition| condition.message.clone());
    };
    let AffectedPods { pods, example } = &totals.findings.failing;
    match pods {
        0 => None,
        1 => Some(format!("1 pod can't write: {example}")),
        _ => Some(format!("{pods} pods can't write; for example {example}")),
    }
}

fn available(
    workload: Option<&Observed>,
    is_sidecar: bool,
    failing: Option<String>,
) -> NewCondition {
    let condition =
        |is_true, reason, message| NewCondition { type_: AVAILABLE, is_true, reason, message };
    let Some(observed) = workload else {
        return condition(false, "PodsNotReady", "no pods exist yet".to_owned());
    };
    let Observed { desired, ready, problem, .. } = observed;
    match &observed.ended {
        Some(JobResult::Finished) => {
            return condition(true, "Finished", "all pods have written their lines".to_owned());
        }
        Some(JobResult::Failed(why)) => return condition(false, "Failed", why.clone()),
        None => {}
    }
    if *desired == 0 && is_sidecar {
        let message = "no pod has requested this source yet".to_owned();
        return condition(true, "NoPods", message);
    }
    if *desired == 0 {
        let message = "`replicas` is 0".to_owned();
        return condition(true, "ScaledToZero", message);
    }
    if let Some(failing) = failing {
        return condition(false, OUTPUTS_FAILING, failing);
    }
    let mut message = format!("{ready} of {desired} pods are ready");
    if ready >= desired {
        return condition(true, "PodsReady", message);
    }
    if let Some(problem) = problem {
        message.push_str("; ");
        message.push_str(problem);
    }
    condition(false, "PodsNotReady", message)
}

fn progressing(workload: Option<&Observed>) -> NewCondition {
    let up_to_date = workload.is_some_and(|observed| observed.up_to_date);
    let condition =
        |is_true, reason, message| NewCondition { type_: PROGRESSING, is_true, reason, message };
    if let Some(Observed { paused: Some(paused), .. }) = workload {
        let message = format!("{paused}: changes don't reach its pods until it is resumed");
        return condition(!up_to_date, "Paused", message);
    }
    if let Some(Observed { retries: failed @ 1.., .. }) = workload {
        let have = if *failed == 1 { "pod has" } else { "pods have" };
        let message = format!("{failed} {have} failed; the Job is retrying");
        return condition(true, "Retrying", message);
    }
    if up_to_date {
        condition(false, "UpToDate", "all pods are up to date".to_owned())
    } else {
        condition(true, "RollingOut", "pods are being created or replaced".to_owned())
    }
}

fn complete(workload: Option<&Observed>) -> NewCondition {
    let (is_true, reason, message) = match workload.and_then(|observed| observed.ended.as_ref()) {
        Some(JobResult::Finished) => (true, "Finished", "all lines have been written".to_owned()),
        Some(JobResult::Failed(why)) => (false, FAILED, why.clone()),
        None => match workload.and_then(|observed| observed.waiting_for.as_ref()) {
            Some(container) => {
                let message = format!(
                    "all lines have been written; the Job completes when {container} terminates"
                );
                (false, "ContainersRunning", message)
            }
            None => (false, "Running", "lines remain to be written".to_owned()),
        },
    };
    NewCondition { type_: COMPLETE, is_true, reason, message }
}

/// Ready summarizes the others: the first condition that isn't met gives its reason.
fn ready(
    spec: &FakeLogSourceSpec,
    available: &NewCondition,
    progressing: &NewCondition,
    complete: Option<&NewCondition>,
) -> NewCondition {
    let like = |condition: &NewCondition, is_true| NewCondition {
        type_: READY,
        is_true,
        reason: condition.reason,
        message: condition.message.clone(),
    };
    match complete {
        Some(complete) if complete.is_true => return like(complete, true),
        _ => {}
    }
    if !available.is_true {
        return like(available, false);
    }
    if progressing.is_true {
        return like(progressing, false);
    }
    if spec.suspend {
        let message = "the source is suspended; its pods write no lines".to_owned();
        return NewCondition { type_: READY, is_true: true, reason: "Suspended", message };
    }
    NewCondition { reason: "Ready", ..like(available, true) }
}

/// Whether the counts are everything that was written. Until the pods have been scraped, the
/// condition of an earlier leader stays.
fn counts_exact(totals: Option<&Totals>, old: &[Condition]) -> NewCondition {
    let condition =
        |is_true, reason, message| NewCondition { type_: COUNTS_EXACT, is_true, reason, message };
    let Some(totals) = totals.filter(|totals| totals.scraped) else {
        let known = find_condition(old, COUNTS_EXACT).and_then(|old| {
            let reason = COUNTS_EXACT_REASONS.into_iter().find(|reason| *reason == old.reason)?;
            Some(condition(old.status == "True", reason, old.message.clone()))
        });
        let message = "the pods have not been scraped yet".to_owned();
        return known.unwrap_or_else(|| condition(false, PENDING, message));
    };
    let AffectedPods { pods, example } = &totals.findings.unreachable;
    if *pods > 0 {
        let (what, which) = if *pods == 1 { ("pod", "its") } else { ("pods", "their") };
        let message = format!(
            "{pods} {what} could not be scraped, so {which} latest lines are not counted: {example}"
        );
        return condition(false, PODS_UNREACHABLE, message);
    }
    if totals.killed > 0 {
        let (what, which) = if totals.killed == 1 {
            ("container was", "its")
        } else {
            ("containers were", "their")
        };
        let message = format!(
            "{} {what} killed before {which} final report, so {which} last lines are not counted",
            totals.killed
        );
        return condition(false, CONTAINERS_KILLED, message);
    }
    condition(true, EXACT, "all pods have been scraped".to_owned())
}

/// The number of pods for the configured rate.
fn pods_that_should_write(source: ValidSource<'_>, workload: Option<&(Workload, Observed)>) -> i32 {
    match (source.workload(), workload) {
        // As many as there are nodes, or injected pods.
        (Workload::DaemonSet, Some((Workload::DaemonSet, observed)))
        | (Workload::Sidecar, Some((Workload::Sidecar, observed))) => observed.desired,
        (Workload::Sidecar, _) => 0,
        _ => source.spec().replicas,
    }
}

/// A rate with two significant digits at least.
fn rate_text(lines_per_second: f64) -> String {
    if !lines_per_second.is_finite() {
        return "unlimited".to_owned();
    }
    match lines_per_second {
        rate if rate >= 100.0 => format!("{rate:.0}/s"),
        rate if rate >= 10.0 || rate == 0.0 => format!("{rate:.1}/s"),
        rate => format!("{rate:.2}/s"),
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
