//! How many lines a source has written, from what its pods say now and then. Pure: pods and their
//! answers in, sums out.
//!
//! A generator counts from 0 each time its container starts. So what a container wrote stays in the
//! sum after it has ended: by its own last word (`visor run --report`), which the kubelet puts into
//! the pod's status, or, where it had none (it was killed), by what it said when it was last asked.
//! What a container wrote between that and being killed is not known, and not counted: a sum is never
//! more than what was written.
//!
//! An operator that starts takes the sum from the source's status and goes on from there. It does so
//! once all pods have answered, for only then it knows which part of the sum is theirs.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::Pod;
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
    silent: usize,
}

/// What the status of a source says of an earlier operator's count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// The sum.
    pub(crate) total: Counts,
    /// The part of it that no pod can tell any more: of containers that were replaced, and of pods
    /// that are gone.
    pub(crate) ended: Counts,
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
    /// Whether the present container has given its last word.
    final_: bool,
}

/// The sums to tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    pub(crate) total: Counts,
    pub(crate) ended: Counts,
    pub(crate) rate: Option<f64>,
    pub(crate) silent: usize,
}

impl Tally {
    /// A tally that goes on from what a status says.
    pub(crate) fn going_on_from(before: Before) -> Self {
        Self { before: Some(before), ..Self::default() }
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
            let word = state.and_then(|state| last_word(state.terminated.as_ref()?));
            known.ended = known.ended.plus(known.present.at_least(word.unwrap_or_default()));
            known.present = Counts::default();
            known.final_ = false;
            known.restarts = container.restart_count;
        }
        let state = container.state.as_ref();
        if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
            known.final_ = true;
            known.present = known.present.at_least(last_word(ended).unwrap_or_default());
        }
    }

    /// A pod is no more.
    pub(crate) fn lost(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.gone = self.gone.plus(pod.ended).plus(pod.present);
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
        if restarts == pod.restarts && !pod.final_ {
            pod.present = pod.present.at_least(counts);
        }
    }

    /// A round of questions is over.
    pub(crate) fn round_is_over(&mut self, seconds: f64, silent: usize) {
        self.silent = silent;
        if silent == 0
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
        Sums { total, ended, rate: self.rate, silent: self.silent }
    }

    fn sum(&self) -> Counts {
        self.pods.values().fold(self.gone, |sum, pod| sum.plus(pod.ended).plus(pod.present))
    }
}

/// What a container said as it ended.
fn last_word(ended: &k8s_openapi::api::core::v1::ContainerStateTerminated) -> Option<Counts> {
    serde_json::from_str(ended.message.as_deref()?).ok()
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
