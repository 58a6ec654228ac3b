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
//! An operator that starts goes on from the source's status. That has the sum, the part of it that
//! containers wrote which have ended, and how many of each pod's containers these are: so the new
//! operator knows whose lines are in that part, and counts those that have ended since as if it had
//! seen them end.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    str::FromStr,
};

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use serde::Deserialize;

use crate::{build::hash, observed};

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

/// The pods of a source that said nothing when they were last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Silence {
    pub(crate) pods: usize,
    /// One of them, and what came instead of an answer, for people.
    pub(crate) example: String,
}

/// What is known of one source.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pods: BTreeMap<String, PodTally>,
    /// What pods wrote that are no more.
    gone: Counts,
    /// The sum that an earlier operator told. Less is never told.
    told: Counts,
    /// The pods in that sum, until they are seen again.
    told_pods: BTreeMap<PodMark, Progress>,
    /// When pods were last asked, and what the sum was then.
    last_round: Option<Round>,
    /// Lines a second between the last two rounds.
    rate: Option<f64>,
    silence: Silence,
    /// Containers that ended without their last word.
    killed: u64,
}

/// What the status of a source says of an earlier operator's count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// The sum.
    pub(crate) total: Counts,
    /// The part of it that containers wrote which have ended.
    pub(crate) ended: Counts,
    /// Containers that ended without their last word.
    pub(crate) killed: u64,
    /// The pods that there were.
    pub(crate) pods: BTreeMap<PodMark, Progress>,
}

/// What tells a pod from others in a status, in few characters, for there may be a thousand: twelve
/// digits of a hash of its uid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodMark(String);

impl PodMark {
    pub(crate) fn of(uid: &str) -> Self {
        Self(hash::of_text(uid).split_off(4))
    }
}

/// How far a pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// So many of its containers have ended, and are counted as such. The next may be writing.
    Ended(i32),
    /// All have, and there will be no other.
    Over,
}

/// As a status tells it: `9f3b52c01d7e:2`, `9f3b52c01d7e:over`.
pub(crate) struct Told(pub(crate) PodMark, pub(crate) Progress);

const OVER: &str = "over";

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(PodMark(mark), progress) = self;
        match progress {
            Progress::Ended(containers) => write!(f, "{mark}:{containers}"),
            Progress::Over => write!(f, "{mark}:{OVER}"),
        }
    }
}

impl FromStr for Told {
    /// It is something else: there is nothing to say about it.
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (mark, progress) = text.split_once(':').ok_or(())?;
        let progress = match progress {
            OVER => Progress::Over,
            containers => {
                let containers: u32 = containers.parse().map_err(drop)?;
                Progress::Ended(containers.try_into().map_err(drop)?)
            }
        };
        Ok(Self(PodMark(mark.to_owned()), progress))
    }
}

#[derive(Debug, Clone, Copy)]
struct Round {
    seconds: f64,
    lines: u64,
}

#[derive(Debug, Default)]
struct PodTally {
    /// What its containers wrote that have ended.
    ended: Counts,
    /// How many these are. As the kubelet counts restarts, it is the number of the one after them.
    containers: i32,
    /// What that one said last.
    present: Counts,
    /// Whether it has been seen to run, and so may have written something.
    ran: bool,
    /// Whether it was running before this operator, and hasn't said yet how much of the old sum it
    /// wrote.
    owes: bool,
    /// Whether no other will start.
    over: bool,
}

/// The sums to tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    pub(crate) total: Counts,
    pub(crate) ended: Counts,
    pub(crate) rate: Option<f64>,
    pub(crate) silence: Silence,
    pub(crate) killed: u64,
    pub(crate) pods: BTreeMap<PodMark, Progress>,
    /// Whether the pods have been asked yet.
    pub(crate) asked: bool,
}

impl Tally {
    /// A tally that goes on from what a status says, with the pods that there are. Those of the
    /// status that aren't among them may have gone on writing while nobody looked.
    pub(crate) fn going_on_from<P: AsRef<Pod>>(before: Before, pods: &[P]) -> Self {
        let Before { total, ended, killed, pods: told_pods } = before;
        let mut tally = Self { gone: ended, told: total, killed, told_pods, ..Self::default() };
        for pod in pods {
            tally.saw(pod.as_ref());
        }
        let missed = std::mem::take(&mut tally.told_pods);
        tally.killed +=
            missed.values().filter(|progress| **progress != Progress::Over).count() as u64;
        tally
    }

    /// A pod has changed, or is seen for the first time.
    pub(crate) fn saw(&mut self, pod: &Pod) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        let Some(container) = observed::generator(pod) else { return };
        let told = self.told_pods.remove(&PodMark::of(&uid));
        let known =
            self.pods.entry(uid).or_insert_with(|| PodTally::going_on_from(told, container));
        self.killed += known.saw(container);
        let ends = observed::is_over(pod) || pod.metadata.deletion_timestamp.is_some();
        known.over |= ends && known.containers > container.restart_count;
    }

    /// A pod is no more.
    pub(crate) fn lost(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.gone = self.gone.plus(pod.ended).plus(pod.present);
            self.killed += u64::from(pod.ran);
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
    pub(crate) fn answered(&mut self, uid: &str, restarts: i32, counts: Counts) {
        // An answer of one that has ended since comes too late, and what is known of it is as good.
        if let Some(pod) = self.pods.get_mut(uid)
            && pod.containers == restarts
            && !pod.over
        {
            pod.ran = true;
            pod.owes = false;
            pod.present = pod.present.at_least(counts);
        }
    }

    /// A round of questions is over.
    pub(crate) fn round_is_over(&mut self, seconds: f64, silence: Silence) {
        self.silence = silence;
        if self.pods.values().all(|pod| !pod.owes) {
            // What is still missing then was written by pods that are gone.
            self.gone = self.gone.plus(self.told.minus(self.sum()));
        }
        let lines = self.sum().at_least(self.told).lines;
        self.rate = self.last_round.and_then(|last| {
            let passed = seconds - last.seconds;
            (passed > 0.0).then(|| lines.saturating_sub(last.lines) as f64 / passed)
        });
        self.last_round = Some(Round { seconds, lines });
    }

    /// What to tell.
    pub(crate) fn sums(&self) -> Sums {
        let pods = self.pods.iter().map(|(uid, pod)| (PodMark::of(uid), pod.progress()));
        Sums {
            total: self.sum().at_least(self.told),
            ended: self.pods.values().fold(self.gone, |sum, pod| sum.plus(pod.ended)),
            rate: self.rate,
            silence: self.silence.clone(),
            killed: self.killed,
            pods: pods.collect(),
            asked: self.last_round.is_some(),
        }
    }

    fn sum(&self) -> Counts {
        self.pods.values().fold(self.gone, |sum, pod| sum.plus(pod.ended).plus(pod.present))
    }
}

impl PodTally {
    fn going_on_from(told: Option<Progress>, container: &ContainerStatus) -> Self {
        match told {
            None => Self::default(),
            Some(Progress::Over) => {
                let containers = container.restart_count.saturating_add(1);
                Self { containers, over: true, ..Self::default() }
            }
            Some(Progress::Ended(containers)) => {
                let owes = containers == container.restart_count && is_running(container);
                Self { containers, owes, ..Self::default() }
            }
        }
    }

    fn progress(&self) -> Progress {
        if self.over { Progress::Over } else { Progress::Ended(self.containers) }
    }

    /// Says how many containers have ended without a last word.
    fn saw(&mut self, container: &ContainerStatus) -> u64 {
        let number = container.restart_count;
        let (own, before) = ends(container);
        let mut killed = 0;
        if number > self.containers {
            // Of all but the last of these nothing was seen.
            let unseen = number - self.containers - 1;
            if unseen > 0 {
                killed += self.end(None) + u64::from((unseen - 1).unsigned_abs());
                self.containers = number - 1;
            }
            killed += self.end(before);
        }
        if number == self.containers {
            self.ran |= is_running(container);
            if own.is_some() {
                killed += self.end(own);
            }
        }
        killed
    }

    /// The present container has ended, so: its last word counts. Says how many ended without one in
    /// which every line was.
    fn end(&mut self, ended: Option<&ContainerStateTerminated>) -> u64 {
        let message = ended.and_then(|ended| ended.message.as_deref());
        let word: Option<LastWord> = message.and_then(|text| serde_json::from_str(text).ok());
        let word = word.unwrap_or(LastWord { ended: false, ..LastWord::default() });
        *self = Self {
            ended: self.ended.plus(self.present.at_least(word.counts)),
            containers: self.containers.saturating_add(1),
            ..Self::default()
        };
        u64::from(!word.ended)
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

fn is_running(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Adds a line of a generator's `/metrics` to the counts of that generator.
pub(crate) fn add_metric(counts: &mut Counts, line: &str) {
    let number = |rest: &str| -> Option<u64> {
        let value: f64 = rest.rsplit_once("} ")?.1.trim().parse().ok()?;
        // Counters are whole, and exact up to 2^53.
        (value >= 0.0 && value.is_finite()).then_some(value as u64)
    };
    if let Some(rest) = line.strip_prefix("visor_lines_total{") {
        counts.lines = counts.lines.saturating_add(number(rest).unwrap_or(0));
    } else if let Some(rest) = line.strip_prefix("visor_bytes_total{") {
        counts.bytes = counts.bytes.saturating_add(number(rest).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests;
