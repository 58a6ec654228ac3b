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
//! An operator that starts takes the sum from the source's status and goes on from there. It does so
//! once all pods have answered, for only then it knows which part of the sum is theirs. A container
//! that was replaced after the last status was written it takes for one that is in the old sum, which
//! makes the sum too small until the new one has written more; nothing tells that yet.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use serde::Deserialize;

use crate::observed;

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
    /// What the status said when this operator began, until the pods have all answered.
    before: Option<Before>,
    /// When pods were last asked, and what the sum was then.
    last_round: Option<Round>,
    /// Lines a second between the last two rounds.
    rate: Option<f64>,
    silence: Silence,
    /// Containers that ended without their last word.
    killed: u64,
}

/// What the status of a source says of an earlier operator's count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// The sum.
    pub(crate) total: Counts,
    /// The part of it that no pod can tell any more: of containers that were replaced, and of pods
    /// that are gone.
    pub(crate) ended: Counts,
    /// Containers that ended without their last word.
    pub(crate) killed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    seconds: f64,
    lines: u64,
}

#[derive(Debug, Default)]
struct PodTally {
    /// What the pod's earlier containers wrote.
    ended: Counts,
    /// What the present one, or the last one, said last.
    present: Counts,
    restarts: i32,
    /// Whether the present container has been seen to run, and so may have written something.
    ran: bool,
    /// Whether the present container has ended, and what it said then is known.
    ended_by_now: bool,
}

/// The sums to tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    pub(crate) total: Counts,
    pub(crate) ended: Counts,
    pub(crate) rate: Option<f64>,
    pub(crate) silence: Silence,
    pub(crate) killed: u64,
    /// Whether the pods have been asked yet.
    pub(crate) asked: bool,
}

impl Tally {
    /// A tally that goes on from what a status says.
    pub(crate) fn going_on_from(before: Before) -> Self {
        Self { before: Some(before), killed: before.killed, ..Self::default() }
    }

    /// A pod has changed, or is seen for the first time.
    pub(crate) fn saw(&mut self, pod: &Pod) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        let Some(container) = observed::generator(pod) else { return };
        // The earlier containers of a pod that was there before this operator are in the old sum.
        let inherited = self.before.is_some();
        let known = self.pods.entry(uid).or_insert_with(|| PodTally {
            restarts: if inherited { container.restart_count } else { 0 },
            ..PodTally::default()
        });
        if container.restart_count > known.restarts {
            let state = container.last_state.as_ref();
            let ended = state.and_then(|state| state.terminated.as_ref());
            self.killed += u64::from(!known.end(ended));
            // Of others in between nothing was seen.
            self.killed += u64::from((container.restart_count - known.restarts).unsigned_abs() - 1);
            *known = PodTally {
                ended: known.ended.plus(known.present),
                restarts: container.restart_count,
                ..PodTally::default()
            };
        }
        let state = container.state.as_ref();
        known.ran |= state.is_some_and(|state| state.running.is_some());
        if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
            self.killed += u64::from(!known.end(Some(ended)));
        }
    }

    /// A pod is no more.
    pub(crate) fn lost(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.gone = self.gone.plus(pod.ended).plus(pod.present);
            self.killed += u64::from(pod.ran && !pod.ended_by_now);
        }
    }

    /// Pods other than these are no more.
    pub(crate) fn keep_only(&mut self, uids: &HashSet<String>) {
        let gone: Vec<_> = self.pods.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
        for uid in gone {
            self.lost(&uid);
        }
    }

    /// The answer of a pod's present container, which has been started anew so often.
    pub(crate) fn answered(&mut self, uid: &str, restarts: i32, counts: Counts) {
        let pod = self
            .pods
            .entry(uid.to_owned())
            .or_insert_with(|| PodTally { restarts, ..PodTally::default() });
        // An answer of a container that has since been replaced comes too late, and what is known of
        // that one is as good.
        if restarts == pod.restarts && !pod.ended_by_now {
            pod.ran = true;
            pod.present = pod.present.at_least(counts);
        }
    }

    /// A round of questions is over.
    pub(crate) fn round_is_over(&mut self, seconds: f64, silence: Silence) {
        self.silence = silence;
        if self.silence.pods == 0
            && let Some(before) = self.before.take()
        {
            // Pods that are gone since are in the old sum only.
            let missing = before.total.minus(self.sum());
            self.gone = self.gone.plus(before.ended.at_least(missing));
        }
        let lines = self.sum().lines;
        self.rate = self.last_round.and_then(|last| {
            let passed = seconds - last.seconds;
            (passed > 0.0).then(|| lines.saturating_sub(last.lines) as f64 / passed)
        });
        self.last_round = Some(Round { seconds, lines });
    }

    /// What to tell.
    pub(crate) fn sums(&self) -> Sums {
        let (total, ended) = self.before.map_or_else(
            || (self.sum(), self.pods.values().fold(self.gone, |sum, pod| sum.plus(pod.ended))),
            |before| (before.total, before.ended),
        );
        Sums {
            total,
            ended,
            rate: self.rate,
            silence: self.silence.clone(),
            killed: self.killed,
            asked: self.last_round.is_some(),
        }
    }

    fn sum(&self) -> Counts {
        self.pods.values().fold(self.gone, |sum, pod| sum.plus(pod.ended).plus(pod.present))
    }
}

impl PodTally {
    /// The present container has ended, so: its last word counts. Says whether that was its last
    /// word indeed, with every line written.
    fn end(&mut self, ended: Option<&ContainerStateTerminated>) -> bool {
        if self.ended_by_now {
            return true;
        }
        self.ended_by_now = true;
        let message = ended.and_then(|ended| ended.message.as_deref());
        let word: Option<LastWord> = message.and_then(|text| serde_json::from_str(text).ok());
        let word = word.unwrap_or(LastWord { ended: false, ..LastWord::default() });
        self.present = self.present.at_least(word.counts);
        word.ended
    }
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
