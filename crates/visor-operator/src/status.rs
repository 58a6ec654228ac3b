//! What a person is told of a source: its conditions, its numbers. Pure: it is derived from what was
//! applied and observed, and from nothing else. Only the time at which a condition changed is
//! remembered, in the status itself.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use visor_api::source::{FakeLogSourceSpec, FakeLogSourceStatus, Workload};

use crate::{
    build::labels,
    observed::{Ended, Observed},
    source::{Refusal, ValidSource},
    tally::{Affected, Before, Counts, PodEntry, Sums},
};

/// What the status is derived from.
pub(crate) struct Facts<'a> {
    /// The generation of the source that was looked at.
    pub(crate) generation: i64,
    /// The source, or why it can't be acted on.
    pub(crate) source: Result<ValidSource<'a>, &'a Refusal>,
    /// The workload that there is, of this source or an earlier state of it.
    pub(crate) workload: Option<(Workload, Observed)>,
    /// What was counted.
    pub(crate) sums: Option<Sums>,
}

/// How a source is, in a word: for the operator's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Progressing,
    Refused,
    Complete,
}

impl State {
    pub(crate) const ALL: [Self; 4] =
        [Self::Ready, Self::Progressing, Self::Refused, Self::Complete];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Progressing => "progressing",
            Self::Refused => "refused",
            Self::Complete => "complete",
        }
    }

    /// The state that a status tells of. A source without one is about to get it.
    pub(crate) fn of(status: Option<&FakeLogSourceStatus>) -> Self {
        let is = |type_: &str, wanted: &str| {
            let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
            find(conditions, type_).is_some_and(|condition| condition.status == wanted)
        };
        if is(ACCEPTED, "False") {
            Self::Refused
        } else if is(COMPLETE, "True") {
            Self::Complete
        } else if is(READY, "True") {
            Self::Ready
        } else {
            Self::Progressing
        }
    }
}

pub(crate) const READY: &str = "Ready";
pub(crate) const ACCEPTED: &str = "Accepted";
const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const COUNTED: &str = "Counted";

/// Why `Available` is False although pods may run.
pub(crate) const OUTPUTS_FAILING: &str = "OutputsFailing";

const NOT_ASKED: &str = "NotAskedYet";
const PODS_SILENT: &str = "PodsSilent";
const CONTAINERS_KILLED: &str = "ContainersKilled";
const ALL_COUNTED: &str = "AllCounted";
/// The reasons of `Counted`.
const COUNTED_REASONS: [&str; 4] = [NOT_ASKED, PODS_SILENT, CONTAINERS_KILLED, ALL_COUNTED];
pub(crate) const COMPLETE: &str = "Complete";
/// Of a source that nothing more comes of until somebody changes something; of others it isn't there.
/// Tools that wait for objects know it (kstatus).
const STALLED: &str = "Stalled";
const FAILED: &str = "Failed";
/// The reason of `Accepted` where something fails that may go well the next time.
pub(crate) const FAILING: &str = "Failing";

/// The status as it should be now.
pub(crate) fn next(
    old: Option<&FakeLogSourceStatus>,
    facts: &Facts<'_>,
    now: Timestamp,
) -> FakeLogSourceStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.observed_generation = Some(facts.generation);
    let observed = facts.workload.as_ref().map(|(_, observed)| observed);
    status.workload = facts.workload.as_ref().map(|(workload, _)| *workload);
    status.replicas = Some(observed.map_or(0, |observed| observed.replicas));
    status.ready_replicas = Some(observed.map_or(0, |observed| observed.ready));
    if let Ok(source) = &facts.source {
        status.selector = Some(labels::selector_text(*source));
        let pods = pods_that_should_write(*source, facts.workload.as_ref());
        status.configured_rate = Some(rate_text(source.lines_per_second() * f64::from(pods)));
    }
    if let Some(sums) = &facts.sums {
        tell(&mut status, sums);
    }
    let old_conditions = old.map(|old| old.conditions.as_slice()).unwrap_or_default();
    let judged = judge(facts, old_conditions)
        .into_iter()
        .chain([counted(facts.sums.as_ref(), old_conditions)]);
    status.conditions = judged
        .map(|verdict| verdict.into_condition(old_conditions, facts.generation, now))
        .collect();
    status
}

/// Whether what is new in a status can't wait: it is about another state of the source, or one of
/// its conditions has changed.
pub(crate) fn is_urgent(old: Option<&FakeLogSourceStatus>, new: &FakeLogSourceStatus) -> bool {
    let said = |status: &FakeLogSourceStatus| {
        let conditions = status.conditions.iter();
        let said: Vec<_> = conditions
            .map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone()))
            .collect();
        (status.observed_generation, said)
    };
    old.map(said) != Some(said(new))
}

/// Whether a status tells these sums already.
pub(crate) fn tells(status: Option<&FakeLogSourceStatus>, sums: &Sums) -> bool {
    let Some(status) = status else { return false };
    let mut told = status.clone();
    tell(&mut told, sums);
    told == *status
}

fn tell(status: &mut FakeLogSourceStatus, sums: &Sums) {
    status.lines = Some(number(sums.total.lines));
    status.bytes = Some(number(sums.total.bytes));
    let pods = |affected: &Affected| Some(i32::try_from(affected.pods).unwrap_or(i32::MAX));
    status.silent_pods = pods(&sums.findings.silent);
    status.failing_pods = pods(&sums.findings.failing);
    status.killed_containers = Some(number(sums.killed));
    let pods = sums.pods.iter().map(|(mark, told)| PodEntry(mark.clone(), *told).to_string());
    status.counted_pods = Some(pods.collect());
    if let Some(rate) = sums.rate {
        status.rate = Some(rate_text(rate));
    }
}

/// What a status says of what was counted so far.
pub(crate) fn counted_before(status: &FakeLogSourceStatus) -> Before {
    let count = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Before {
        total: Counts { lines: count(status.lines), bytes: count(status.bytes) },
        killed: count(status.killed_containers),
        pods: status
            .counted_pods
            .iter()
            .flatten()
            .filter_map(|entry| entry.parse().ok())
            .map(|PodEntry(mark, told)| (mark, told))
            .collect(),
    }
}

/// The condition of that type.
pub(crate) fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// A condition before it has a time.
struct Verdict {
    type_: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn into_condition(self, old: &[Condition], generation: i64, now: Timestamp) -> Condition {
        let status = if self.holds { "True" } else { "False" };
        let since = find(old, self.type_)
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

/// All conditions, the one that people look for first.
fn judge(facts: &Facts<'_>, old: &[Condition]) -> Vec<Verdict> {
    let workload = facts.workload.as_ref().map(|(_, observed)| observed);
    let is_guest = matches!(facts.workload, Some((Workload::Sidecar, _)));
    let available = available(workload, is_guest, failing(facts.sums.as_ref(), old));
    let source = match &facts.source {
        Err(refusal) => {
            let mut message = refusal.message.clone();
            if workload.is_some_and(|observed| observed.replicas > 0) {
                message.push_str(" (the pods that there are go on as they were)");
            }
            let verdict = |type_| Verdict {
                type_,
                holds: false,
                reason: refusal.reason,
                message: message.clone(),
            };
            let waits = Verdict {
                message: "waits until the source is changed".to_owned(),
                reason: "Waiting",
                ..verdict(PROGRESSING)
            };
            // What fails for the moment is tried again, and is no matter of the source.
            let is_stalled = refusal.reason != FAILING;
            let stalled = is_stalled.then(|| Verdict { holds: true, ..verdict(STALLED) });
            let all = [verdict(READY), verdict(ACCEPTED), available, waits];
            return all.into_iter().chain(stalled).collect();
        }
        Ok(source) => source,
    };
    let accepted = Verdict {
        type_: ACCEPTED,
        holds: true,
        reason: "Valid",
        message: "every rule is met".to_owned(),
    };
    let progressing = progressing(workload);
    let complete = source.is_finite().then(|| complete(workload));
    let ready = ready(source.spec(), &available, &progressing, complete.as_ref());
    let stalled = complete.as_ref().filter(|complete| complete.reason == FAILED).map(|complete| {
        Verdict { type_: STALLED, holds: true, reason: FAILED, message: complete.message.clone() }
    });
    let all = [ready, accepted, available, progressing].into_iter();
    all.chain(complete).chain(stalled).collect()
}

/// Why lines can't be written, as far as that is known. Until the pods have been asked, what an earlier
/// operator said of it holds.
fn failing(sums: Option<&Sums>, old: &[Condition]) -> Option<String> {
    let Some(sums) = sums.filter(|sums| sums.asked) else {
        let known = find(old, AVAILABLE).filter(|condition| condition.reason == OUTPUTS_FAILING);
        return known.map(|condition| condition.message.clone());
    };
    let Affected { pods, example } = &sums.findings.failing;
    match pods {
        0 => None,
        1 => Some(format!("1 pod cannot write: {example}")),
        _ => Some(format!("{pods} pods cannot write, such as {example}")),
    }
}

fn available(workload: Option<&Observed>, is_guest: bool, failing: Option<String>) -> Verdict {
    let verdict = |holds, reason, message| Verdict { type_: AVAILABLE, holds, reason, message };
    let Some(observed) = workload else {
        return verdict(false, "PodsNotReady", "there are no pods yet".to_owned());
    };
    let Observed { desired, ready, trouble, .. } = observed;
    match &observed.ended {
        Some(Ended::Finished) => {
            return verdict(true, "Finished", "all pods have written what they should".to_owned());
        }
        Some(Ended::Failed(why)) => return verdict(false, "Failed", why.clone()),
        None => {}
    }
    if *desired == 0 && is_guest {
        let message = "no pod has asked for this source yet".to_owned();
        return verdict(true, "NoPods", message);
    }
    if *desired == 0 {
        let message = "no pods are wished".to_owned();
        return verdict(true, "ScaledToZero", message);
    }
    if let Some(failing) = failing {
        return verdict(false, OUTPUTS_FAILING, failing);
    }
    let mut message = format!("{ready} of {desired} pods are ready");
    if ready >= desired {
        return verdict(true, "PodsReady", message);
    }
    if let Some(trouble) = trouble {
        message.push_str("; ");
        message.push_str(trouble);
    }
    verdict(false, "PodsNotReady", message)
}

fn progressing(workload: Option<&Observed>) -> Verdict {
    let settled = workload.is_some_and(|observed| observed.settled);
    let verdict = |holds, reason, message| Verdict { type_: PROGRESSING, holds, reason, message };
    if let Some(Observed { paused: Some(paused), .. }) = workload {
        let message = format!("{paused}: what changes doesn't reach its pods until it is resumed");
        return verdict(!settled, "Paused", message);
    }
    if let Some(Observed { retries: failed @ 1.., .. }) = workload {
        let message = format!("{failed} pods have failed, and the Job tries again");
        return verdict(true, "Retrying", message);
    }
    if settled {
        verdict(false, "Settled", "all pods are as the source wishes them".to_owned())
    } else {
        verdict(true, "RollingOut", "pods are being made or replaced".to_owned())
    }
}

fn complete(workload: Option<&Observed>) -> Verdict {
    let (holds, reason, message) = match workload.and_then(|observed| observed.ended.as_ref()) {
        Some(Ended::Finished) => (true, "Finished", "all lines have been written".to_owned()),
        Some(Ended::Failed(why)) => (false, FAILED, why.clone()),
        None => match workload.and_then(|observed| observed.waits_for.as_ref()) {
            Some(container) => {
                let message =
                    format!("all lines have been written; the Job ends when {container} does");
                (false, "ContainersRunning", message)
            }
            None => (false, "Running", "lines are still to be written".to_owned()),
        },
    };
    Verdict { type_: COMPLETE, holds, reason, message }
}

/// Ready is what the others make of it: the first that is missing gives its reason.
fn ready(
    spec: &FakeLogSourceSpec,
    available: &Verdict,
    progressing: &Verdict,
    complete: Option<&Verdict>,
) -> Verdict {
    let like = |verdict: &Verdict, holds| Verdict {
        type_: READY,
        holds,
        reason: verdict.reason,
        message: verdict.message.clone(),
    };
    match complete {
        Some(complete) if complete.holds => return like(complete, true),
        _ => {}
    }
    if !available.holds {
        return like(available, false);
    }
    if progressing.holds {
        return like(progressing, false);
    }
    if spec.suspend {
        let message = "the source is suspended: its pods write nothing".to_owned();
        return Verdict { type_: READY, holds: true, reason: "Suspended", message };
    }
    Verdict { reason: "Ready", ..like(available, true) }
}

/// Whether the sums are all that was written. Until the pods have been asked what an earlier operator
/// said of it holds.
fn counted(sums: Option<&Sums>, old: &[Condition]) -> Verdict {
    let verdict = |holds, reason, message| Verdict { type_: COUNTED, holds, reason, message };
    let Some(sums) = sums.filter(|sums| sums.asked) else {
        let known = find(old, COUNTED).and_then(|old| {
            let reason = COUNTED_REASONS.into_iter().find(|reason| *reason == old.reason)?;
            Some(verdict(old.status == "True", reason, old.message.clone()))
        });
        let message = "the pods have not been asked yet how much they wrote".to_owned();
        return known.unwrap_or_else(|| verdict(false, NOT_ASKED, message));
    };
    let Affected { pods, example } = &sums.findings.silent;
    if *pods > 0 {
        let message =
            format!("what {pods} pods wrote lately is missing, for they did not say: {example}");
        return verdict(false, PODS_SILENT, message);
    }
    if sums.killed > 0 {
        let message = format!(
            "{} containers were killed before they could say all that they wrote: what each wrote \
             last is missing",
            sums.killed
        );
        return verdict(false, CONTAINERS_KILLED, message);
    }
    verdict(true, ALL_COUNTED, "all pods have said how much they wrote".to_owned())
}

/// How many pods there should be.
fn pods_that_should_write(source: ValidSource<'_>, workload: Option<&(Workload, Observed)>) -> i32 {
    match (source.workload(), workload) {
        // As many as there are nodes for, or as others make.
        (Workload::DaemonSet, Some((Workload::DaemonSet, observed)))
        | (Workload::Sidecar, Some((Workload::Sidecar, observed))) => observed.desired,
        (Workload::Sidecar, _) => 0,
        _ => source.spec().replicas,
    }
}

/// A rate as people read it, with two digits at least.
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
