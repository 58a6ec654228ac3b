//! The number of lines that a source has written, from scrapes and termination messages. Pure: pods
//! and scrape results in, totals out.
//!
//! A generator counts from 0 each time its container starts. So the counts of a terminated
//! container are kept: by its termination report (`visor run --report`), which the kubelet puts
//! into the pod's status. The report of a killed container may be up to a second old; if its status
//! was deleted with its pod, only the last scrape is known. Later lines are not counted, because a
//! total never exceeds what was written; but that lines may be missing is reported.
//!
//! A new leader resumes from the source's status: the totals, and the part of each pod. So it
//! counts what has terminated since as if it had observed it.

pub(crate) mod http_client;
mod plausibility;
pub(crate) mod scrape;
mod state;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashSet},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use serde::Deserialize;

use crate::pods;

pub(crate) use plausibility::Implausible;
use plausibility::{MetricsPage, reason};
pub(crate) use scrape::Scraped;
pub(crate) use state::{PodId, PodState, SavedPod};

/// A number of lines and of their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Counts {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            lines: self.lines.saturating_add(other.lines),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            lines: self.lines.saturating_sub(other.lines),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    fn at_least(self, other: Self) -> Self {
        Self { lines: self.lines.max(other.lines), bytes: self.bytes.max(other.bytes) }
    }
}

/// The termination report of a container.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct TerminationReport {
    #[serde(flatten)]
    counts: Counts,
    /// Whether it had finished, with every line written. Older generators wrote only such reports.
    #[serde(default = "yes")]
    ended: bool,
}

fn yes() -> bool {
    true
}

/// The pods of a source with some problem in the last scrape round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AffectedPods {
    pub(crate) pods: usize,
    /// One of them and its problem, as text.
    pub(crate) example: String,
}

/// The findings of a scrape round about a source's pods, besides their counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Pods that could not be scraped.
    pub(crate) unreachable: AffectedPods,
    /// Pods that can't write to one of their outputs.
    pub(crate) failing: AffectedPods,
}

/// The counts of one source.
#[derive(Debug, Default)]
pub(crate) struct SourceCounts {
    pods: BTreeMap<String, PodCounts>,
    /// The counts of pods that were deleted, or that an earlier leader counted.
    gone: Counts,
    /// The saved counts of pods that have not been observed yet.
    state: BTreeMap<PodId, PodState>,
    /// The last round, and the total then.
    last_round: Option<Round>,
    /// Whether there were no pods at the start: then nothing is unknown.
    began_without_pods: bool,
    /// Lines per second between the last two rounds.
    rate: Option<f64>,
    findings: Findings,
    /// Containers that terminated without a final report.
    killed: u64,
}

/// The counts that an earlier leader saved in the status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SavedCounts {
    /// The totals.
    pub(crate) total: Counts,
    /// Containers that terminated without a final report.
    pub(crate) killed: u64,
    /// The pods of that time.
    pub(crate) pods: BTreeMap<PodId, PodState>,
}

impl SavedCounts {
    /// Whether a pod was counted.
    pub(crate) fn contains_pod(&self, pod: &Pod) -> bool {
        let uid = pod.metadata.uid.as_deref();
        uid.is_some_and(|uid| self.pods.contains_key(&PodId::of(uid)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Round {
    seconds: f64,
    lines: u64,
}

#[derive(Debug)]
struct PodCounts {
    /// The counts of its terminated containers, as far as this leader has observed them.
    ended: Counts,
    /// The last known counts of the current container.
    present: Counts,
    /// The number of the current container, from 0, which is its restart count; -1 before the
    /// first.
    number: i32,
    /// Whether the last scrape had lower counts than the one before.
    went_back: bool,
    /// The container's id, once it is known.
    id: Option<String>,
    phase: Phase,
}

/// The phase of a pod's current container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It hasn't been observed running.
    Waiting,
    /// It has been, and may be writing.
    Running,
    /// It has terminated, and its counts are among those of the terminated ones.
    Terminated,
    /// It has terminated, and there will be no other.
    Finished,
}

/// The totals of a source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Totals {
    pub(crate) total: Counts,
    pub(crate) rate: Option<f64>,
    pub(crate) findings: Findings,
    pub(crate) killed: u64,
    pub(crate) pods: BTreeMap<PodId, PodState>,
    /// Whether the pods have been scraped yet.
    pub(crate) scraped: bool,
}

impl SourceCounts {
    /// Resumes from a status, with the existing pods. Other pods of the status may have written
    /// lines while nobody observed them.
    pub(crate) fn resume<P: Borrow<Pod>>(before: SavedCounts, pods: &[P]) -> Self {
        let SavedCounts { total, killed, pods: state } = before;
        let theirs = state.values().fold(Counts::default(), |sum, state| sum.plus(state.present()));
        let mut source_counts =
            Self { gone: total.minus(theirs), state, killed, ..Self::default() };
        for pod in pods {
            source_counts.observe(pod.borrow());
        }
        for (_, state) in std::mem::take(&mut source_counts.state) {
            source_counts.gone = source_counts.gone.plus(state.present());
            source_counts.killed += u64::from(state != PodState::Finished);
        }
        if source_counts.pods.is_empty() {
            source_counts.began_without_pods = true;
            source_counts.rate = Some(0.0);
        }
        source_counts
    }

    /// Whether a pod is counted.
    pub(crate) fn contains_pod(&self, pod: &Pod) -> bool {
        pod.metadata.uid.as_ref().is_some_and(|uid| self.pods.contains_key(uid))
    }

    /// A pod was added or has changed.
    pub(crate) fn observe(&mut self, pod: &Pod) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        let state = &mut self.state;
        let known = self
            .pods
            .entry(uid)
            .or_insert_with_key(|uid| PodCounts::resume(state.remove(&PodId::of(uid))));
        if let Some(container) = pods::generator(pod) {
            self.killed += known.observe(container);
        }
        if pods::is_terminated(pod) && known.phase == Phase::Running {
            // It is unknown how it terminated, for example because its node was removed.
            self.killed += known.terminate(None);
        }
        let is_last = pods::is_terminated(pod) || pod.metadata.deletion_timestamp.is_some();
        if is_last && known.phase == Phase::Terminated {
            known.phase = Phase::Finished;
        }
    }

    /// A pod was deleted.
    pub(crate) fn remove(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.gone = self.gone.plus(pod.ended).plus(pod.present);
            self.killed += u64::from(pod.phase == Phase::Running);
        }
    }

    /// Removes all pods but these.
    pub(crate) fn retain_pods(&mut self, uids: &HashSet<String>) {
        let gone: Vec<_> = self.pods.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
        for uid in gone {
            self.remove(&uid);
        }
    }

    /// Records the counts of a pod's container with this restart count.
    ///
    /// # Errors
    ///
    /// Why they are implausible. They are ignored then.
    pub(crate) fn record(
        &mut self,
        uid: &str,
        restarts: i32,
        counts: Counts,
    ) -> Result<(), Implausible> {
        // The result for a container that has terminated since is too late, and not needed.
        if let Some(pod) = self.pods.get_mut(uid)
            && pod.number == restarts
            && matches!(pod.phase, Phase::Waiting | Phase::Running)
        {
            let went_back = counts.lines < pod.present.lines || counts.bytes < pod.present.bytes;
            if went_back && pod.went_back {
                return Err(Implausible::WentBack { from: pod.present.lines, to: counts.lines });
            }
            // Once is possible: it may have restarted, and the restart count isn't known yet.
            pod.went_back = went_back;
            pod.phase = Phase::Running;
            pod.present = pod.present.at_least(counts);
        }
        Ok(())
    }

    /// Finishes a scrape round.
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
    pub(crate) fn finish_round(&mut self, seconds: f64, findings: Findings) {
        self.findings = findings;
        let lines = self.sum().lines;
        // The rate from before the first round stays: 0, if there were no pods.
        // An unknown rate would cause another write of each such status.
        if let Some(last) = self.last_round
            && seconds > last.seconds
        {
            self.rate = Some(lines.saturating_sub(last.lines) as f64 / (seconds - last.seconds));
        }
        self.last_round = Some(Round { seconds, lines });
    }

    /// The totals.
    pub(crate) fn totals(&self) -> Totals {
        let pods = self.pods.iter().filter_map(|(uid, pod)| Some((PodId::of(uid), pod.state()?)));
        Totals {
            total: self.sum(),
            rate: self.rate,
            findings: self.findings.clone(),
            killed: self.killed,
            pods: pods.collect(),
            scraped: self.last_round.is_some() || self.began_without_pods,
        }
    }

    fn sum(&self) -> Counts {
        self.pods.values().fold(self.gone, |sum, pod| sum.plus(pod.ended).plus(pod.present))
    }
}

impl PodCounts {
    fn resume(state: Option<PodState>) -> Self {
        let (number, phase) = match state {
            None => (-1, Phase::Waiting),
            Some(PodState::Running { number, .. }) => (number, Phase::Running),
            Some(PodState::Terminated { number }) => (number, Phase::Terminated),
            Some(PodState::Finished) => (-1, Phase::Finished),
        };
        let present = state.map(PodState::present).unwrap_or_default();
        Self { ended: Counts::default(), present, number, went_back: false, id: None, phase }
    }

    /// What a later leader has to know; `None` if no container has run.
    fn state(&self) -> Option<PodState> {
        match self.phase {
            Phase::Waiting if self.number < 1 => None,
            Phase::Waiting => Some(PodState::Terminated { number: self.number - 1 }),
            Phase::Running => Some(PodState::Running { number: self.number, counts: self.present }),
            Phase::Terminated => Some(PodState::Terminated { number: self.number }),
            Phase::Finished => Some(PodState::Finished),
        }
    }

    /// Returns how many containers have terminated without a final report.
    fn observe(&mut self, container: &ContainerStatus) -> u64 {
        if self.phase == Phase::Finished {
            return 0;
        }
        let (own, before) = terminations(container);
        let id = container.container_id.as_ref();
        // A kubelet that has lost a container may reuse its restart count.
        let is_other = self.id.is_some() && id.is_some() && self.id.as_ref() != id;
        let mut killed = 0;
        if is_other || container.restart_count != self.number {
            killed += self.restarted(container.restart_count, before);
        }
        let runs = container.state.as_ref().is_some_and(|state| state.running.is_some());
        match (id, &self.id) {
            (Some(id), _) => self.id = Some(id.clone()),
            // It was running and is lost: the next one is another container.
            (None, None) if self.phase == Phase::Running && !runs => self.id = Some(String::new()),
            (None, _) => {}
        }
        if self.phase != Phase::Terminated {
            if own.is_some() {
                killed += self.terminate(own);
            } else if runs {
                self.phase = Phase::Running;
            }
        }
        killed
    }

    /// There is another container with that number; `before` is how the previous one terminated.
    fn restarted(&mut self, number: i32, before: Option<&ContainerStateTerminated>) -> u64 {
        let mut killed = 0;
        let between = number.saturating_sub(self.number).saturating_sub(1);
        // A container with a successor has run, even if that wasn't observed.
        let has_run = self.phase == Phase::Waiting && (0..number).contains(&self.number);
        if self.phase == Phase::Running || has_run {
            killed += self.terminate(before.filter(|_| between == 0));
        }
        if between > 0 {
            // All but the last of these were never observed.
            killed += u64::from(between.unsigned_abs() - 1) + self.terminate(before);
        }
        *self = Self { ended: self.ended, number, ..Self::resume(None) };
        killed
    }

    /// The current container has terminated: its termination report counts. Returns how many have
    /// terminated without a final report.
    fn terminate(&mut self, ended: Option<&ContainerStateTerminated>) -> u64 {
        // A container that could not be started terminates as well.
        let has_begun = |ended: &ContainerStateTerminated| {
            ended.started_at.as_ref().is_some_and(|began| began.0 > Timestamp::UNIX_EPOCH)
        };
        let never_ran =
            self.phase == Phase::Waiting && ended.is_some_and(|terminate| !has_begun(terminate));
        let message = ended.and_then(|ended| ended.message.as_deref());
        let ran = ended.and_then(|ended| {
            let (from, to) = (ended.started_at.as_ref()?.0, ended.finished_at.as_ref()?.0);
            to.duration_since(from).try_into().ok()
        });
        let report: Option<TerminationReport> =
            message.and_then(|text| serde_json::from_str(text).ok());
        let report = report.filter(|report| report.counts.check(ran).is_ok());
        let report =
            report.unwrap_or(TerminationReport { ended: false, ..TerminationReport::default() });
        self.ended = self.ended.plus(self.present.at_least(report.counts));
        self.present = Counts::default();
        self.phase = Phase::Terminated;
        u64::from(!report.ended && !never_ran)
    }
}

/// How the container terminated, if it has, and the previous one.
fn terminations(
    container: &ContainerStatus,
) -> (Option<&ContainerStateTerminated>, Option<&ContainerStateTerminated>) {
    let state = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    // While a container waits for its restart, its last state is its own.
    let is_own = last.is_some_and(|last| {
        last.container_id.is_some() && last.container_id == container.container_id
    });
    if is_own { (state.or(last), None) } else { (state, last) }
}

#[cfg(test)]
mod tests;
