//! How many lines a source has written, from what its pods say now and then. Pure: pods and their
//! answers in, sums out.
//!
//! A generator counts from 0 each time its container starts. So what a container wrote stays in the
//! sum after it has ended: by its own last word (`visor run --report`), which the kubelet puts into
//! the pod's status. One that was killed has written that word up to a second before; of one whose
//! status has gone with its pod, only what it said when it was last asked is known. What it wrote
//! after that is not counted, for a sum is never more than what was written; that something may be
//! missing is.
//!
//! An operator that starts goes on from the source's status: the sum, and what each pod has added to
//! it. So it counts what has ended since as if it had seen it end.

mod plausible;
mod told;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashSet},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use serde::Deserialize;

use crate::observed;

pub(crate) use plausible::{Implausible, Page, reason};
pub(crate) use told::{PodEntry, PodMark, Told};

/// Lines, and their bytes.
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

/// A container's last word.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct LastWord {
    #[serde(flatten)]
    counts: Counts,
    /// Whether it had ended by then, with every line written. Older generators wrote it only then.
    #[serde(default = "yes")]
    ended: bool,
}

fn yes() -> bool {
    true
}

/// The pods of a source with which something was wrong when they were last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Affected {
    pub(crate) pods: usize,
    /// One of them, and what is wrong with it, for people.
    pub(crate) example: String,
}

/// What a round of questions has shown of a source's pods, besides their counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Those that gave no answer.
    pub(crate) silent: Affected,
    /// Those that can't write to some output of theirs.
    pub(crate) failing: Affected,
}

/// What is known of one source.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pods: BTreeMap<String, PodTally>,
    /// What pods wrote that are no more, or under an earlier operator.
    gone: Counts,
    /// The pods of that time, until they are seen again.
    told: BTreeMap<PodMark, Told>,
    /// When pods were last asked, and what the sum was then.
    last_round: Option<Round>,
    /// Whether there was no pod to ask when this began: then nothing is unknown.
    began_without_pods: bool,
    /// Lines a second between the last two rounds.
    rate: Option<f64>,
    findings: Findings,
    /// Containers that ended without their last word.
    killed: u64,
}

/// What the status of a source says of an earlier operator's count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// The sum.
    pub(crate) total: Counts,
    /// Containers that ended without their last word.
    pub(crate) killed: u64,
    /// The pods that there were.
    pub(crate) pods: BTreeMap<PodMark, Told>,
}

impl Before {
    /// Whether a pod was counted.
    pub(crate) fn knows(&self, pod: &Pod) -> bool {
        let uid = pod.metadata.uid.as_deref();
        uid.is_some_and(|uid| self.pods.contains_key(&PodMark::of(uid)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Round {
    seconds: f64,
    lines: u64,
}

#[derive(Debug)]
struct PodTally {
    /// What its earlier containers wrote, as far as this operator has seen.
    ended: Counts,
    /// What the present one said last.
    present: Counts,
    /// Its number, from 0, which is how many times there was a restart; -1 before the first.
    number: i32,
    /// Whether it said less the last time than before.
    went_back: bool,
    /// Its id, once that is known.
    id: Option<String>,
    phase: Phase,
}

/// How far the present container of a pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It hasn't been seen to run.
    Waits,
    /// It has, and may write.
    Writes,
    /// It has ended, and what it wrote is with that of the earlier ones.
    Ended,
    /// And there will be no other.
    Over,
}

/// The sums to tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    pub(crate) total: Counts,
    pub(crate) rate: Option<f64>,
    pub(crate) findings: Findings,
    pub(crate) killed: u64,
    pub(crate) pods: BTreeMap<PodMark, Told>,
    /// Whether the pods have been asked yet.
    pub(crate) asked: bool,
}

impl Tally {
    /// A tally that goes on from what a status says, with the pods that there are. Those of the
    /// status that aren't among them may have gone on writing while nobody looked.
    pub(crate) fn going_on_from<P: Borrow<Pod>>(before: Before, pods: &[P]) -> Self {
        let Before { total, killed, pods: told } = before;
        let theirs = told.values().fold(Counts::default(), |sum, told| sum.plus(told.present()));
        let mut tally = Self { gone: total.minus(theirs), told, killed, ..Self::default() };
        for pod in pods {
            tally.saw(pod.borrow());
        }
        for (_, told) in std::mem::take(&mut tally.told) {
            tally.gone = tally.gone.plus(told.present());
            tally.killed += u64::from(told != Told::Over);
        }
        if tally.pods.is_empty() {
            tally.began_without_pods = true;
            tally.rate = Some(0.0);
        }
        tally
    }

    /// Whether a pod is counted.
    pub(crate) fn knows(&self, pod: &Pod) -> bool {
        pod.metadata.uid.as_ref().is_some_and(|uid| self.pods.contains_key(uid))
    }

    /// A pod has changed, or is seen for the first time.
    pub(crate) fn saw(&mut self, pod: &Pod) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        let told = &mut self.told;
        let known = self
            .pods
            .entry(uid)
            .or_insert_with_key(|uid| PodTally::going_on_from(told.remove(&PodMark::of(uid))));
        if let Some(container) = observed::generator(pod) {
            self.killed += known.saw(container);
        }
        if observed::is_over(pod) && known.phase == Phase::Writes {
            // Nobody knows any more how it ended: its node has gone, say.
            self.killed += known.end(None);
        }
        let is_last = observed::is_over(pod) || pod.metadata.deletion_timestamp.is_some();
        if is_last && known.phase == Phase::Ended {
            known.phase = Phase::Over;
        }
    }

    /// A pod is no more.
    pub(crate) fn lost(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.gone = self.gone.plus(pod.ended).plus(pod.present);
            self.killed += u64::from(pod.phase == Phase::Writes);
        }
    }

    /// Pods other than these are no more.
    pub(crate) fn keep_only(&mut self, uids: &HashSet<String>) {
        let gone: Vec<_> = self.pods.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
        for uid in gone {
            self.lost(&uid);
        }
    }

    /// The answer of a pod's container, which has been started anew so often.
    ///
    /// # Errors
    ///
    /// Why it can't be. Nothing of it counts then.
    pub(crate) fn answered(
        &mut self,
        uid: &str,
        restarts: i32,
        counts: Counts,
    ) -> Result<(), Implausible> {
        // An answer of one that has ended since comes too late, and what is known of it is as good.
        if let Some(pod) = self.pods.get_mut(uid)
            && pod.number == restarts
            && matches!(pod.phase, Phase::Waits | Phase::Writes)
        {
            let went_back = counts.lines < pod.present.lines || counts.bytes < pod.present.bytes;
            if went_back && pod.went_back {
                return Err(Implausible::WentBack { from: pod.present.lines, to: counts.lines });
            }
            // Once it may be that it was started anew, and that isn't known yet.
            pod.went_back = went_back;
            pod.phase = Phase::Writes;
            pod.present = pod.present.at_least(counts);
        }
        Ok(())
    }

    /// A round of questions is over.
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
    pub(crate) fn round_is_over(&mut self, seconds: f64, findings: Findings) {
        self.findings = findings;
        let lines = self.sum().lines;
        // What was known before the first round holds: a rate of nothing, where there were no pods.
        // If it were unknown for a round, that would be a status more of each such source.
        if let Some(last) = self.last_round
            && seconds > last.seconds
        {
            self.rate = Some(lines.saturating_sub(last.lines) as f64 / (seconds - last.seconds));
        }
        self.last_round = Some(Round { seconds, lines });
    }

    /// What to tell.
    pub(crate) fn sums(&self) -> Sums {
        let pods = self.pods.iter().filter_map(|(uid, pod)| Some((PodMark::of(uid), pod.told()?)));
        Sums {
            total: self.sum(),
            rate: self.rate,
            findings: self.findings.clone(),
            killed: self.killed,
            pods: pods.collect(),
            asked: self.last_round.is_some() || self.began_without_pods,
        }
    }

    fn sum(&self) -> Counts {
        self.pods.values().fold(self.gone, |sum, pod| sum.plus(pod.ended).plus(pod.present))
    }
}

impl PodTally {
    fn going_on_from(told: Option<Told>) -> Self {
        let (number, phase) = match told {
            None => (-1, Phase::Waits),
            Some(Told::Writes { number, .. }) => (number, Phase::Writes),
            Some(Told::Ended { number }) => (number, Phase::Ended),
            Some(Told::Over) => (-1, Phase::Over),
        };
        let present = told.map(Told::present).unwrap_or_default();
        Self { ended: Counts::default(), present, number, went_back: false, id: None, phase }
    }

    /// What an operator that comes after this one has to know; nothing, if no container has run.
    fn told(&self) -> Option<Told> {
        match self.phase {
            Phase::Waits if self.number < 1 => None,
            Phase::Waits => Some(Told::Ended { number: self.number - 1 }),
            Phase::Writes => Some(Told::Writes { number: self.number, counts: self.present }),
            Phase::Ended => Some(Told::Ended { number: self.number }),
            Phase::Over => Some(Told::Over),
        }
    }

    /// Says how many containers have ended without a last word.
    fn saw(&mut self, container: &ContainerStatus) -> u64 {
        if self.phase == Phase::Over {
            return 0;
        }
        let (own, before) = ends(container);
        let id = container.container_id.as_ref();
        // A kubelet that has lost one may give its number to another.
        let is_other = self.id.is_some() && id.is_some() && self.id.as_ref() != id;
        let mut killed = 0;
        if is_other || container.restart_count != self.number {
            killed += self.replaced(container.restart_count, before);
        }
        let runs = container.state.as_ref().is_some_and(|state| state.running.is_some());
        match (id, &self.id) {
            (Some(id), _) => self.id = Some(id.clone()),
            // It was running, and is lost: whatever runs next is another one.
            (None, None) if self.phase == Phase::Writes && !runs => self.id = Some(String::new()),
            (None, _) => {}
        }
        if self.phase != Phase::Ended {
            if own.is_some() {
                killed += self.end(own);
            } else if runs {
                self.phase = Phase::Writes;
            }
        }
        killed
    }

    /// There is another container, of that number; `before` is how the one before it ended.
    fn replaced(&mut self, number: i32, before: Option<&ContainerStateTerminated>) -> u64 {
        let mut killed = 0;
        let between = number.saturating_sub(self.number).saturating_sub(1);
        // One that there is another after has run, if it wasn't seen to.
        let has_run = self.phase == Phase::Waits && (0..number).contains(&self.number);
        if self.phase == Phase::Writes || has_run {
            killed += self.end(before.filter(|_| between == 0));
        }
        if between > 0 {
            // Of all but the last of these nothing was seen.
            killed += u64::from(between.unsigned_abs() - 1) + self.end(before);
        }
        *self = Self { ended: self.ended, number, ..Self::going_on_from(None) };
        killed
    }

    /// The present container has ended, so: its last word counts. Says how many ended without one in
    /// which every line was.
    fn end(&mut self, ended: Option<&ContainerStateTerminated>) -> u64 {
        // One that could not be started, or was lost with its node before, ends as well.
        let has_begun = |ended: &ContainerStateTerminated| {
            ended.started_at.as_ref().is_some_and(|began| began.0 > Timestamp::UNIX_EPOCH)
        };
        let never_ran = self.phase == Phase::Waits && ended.is_some_and(|end| !has_begun(end));
        let message = ended.and_then(|ended| ended.message.as_deref());
        let ran = ended.and_then(|ended| {
            let (from, to) = (ended.started_at.as_ref()?.0, ended.finished_at.as_ref()?.0);
            to.duration_since(from).try_into().ok()
        });
        let word: Option<LastWord> = message.and_then(|text| serde_json::from_str(text).ok());
        let word = word.filter(|word| word.counts.check(ran).is_ok());
        let word = word.unwrap_or(LastWord { ended: false, ..LastWord::default() });
        self.ended = self.ended.plus(self.present.at_least(word.counts));
        self.present = Counts::default();
        self.phase = Phase::Ended;
        u64::from(!word.ended && !never_ran)
    }
}

/// How the container ended, if it has, and the one before it.
fn ends(
    container: &ContainerStatus,
) -> (Option<&ContainerStateTerminated>, Option<&ContainerStateTerminated>) {
    let state = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    // While a container waits for its restart, the last state is its own.
    let is_own = last.is_some_and(|last| {
        last.container_id.is_some() && last.container_id == container.container_id
    });
    if is_own { (state.or(last), None) } else { (state, last) }
}

#[cfg(test)]
mod tests;
