//! The verdict: what arrived, compared with what was emitted. All counts are lines, except those of
//! merged and foreign, which are records.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::{
    delivery::{Delivery, Fault, Received},
    emitted::{Emitted, EmittedLane},
    lane::Lane,
};

/// The maximum number of missing lines that are named.
const MAX_EXAMPLES: usize = 10;

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Of all outputs.
    pub total: Counts,
    /// By identity and output.
    pub outputs: Vec<OutputVerdict>,
    /// The first lines of each kind of fault.
    pub examples: Vec<FaultyLine>,
    /// Lines of which only fields arrived: these can't be checked.
    pub unchecked: u64,
    /// Whether what was emitted is known.
    #[serde(skip)]
    pub is_emitted_known: bool,
}

/// The verdict for an output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputVerdict {
    /// The name of the pod, or of what else runs the generator; empty if nobody said.
    pub pod: String,
    /// The output, as metrics name it; empty if nobody said.
    pub output: String,
    /// The sources whose lines it has.
    pub sources: Vec<String>,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The counts of a verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Lines that were written. Without a report, those that must have been.
    pub emitted: u64,
    /// Lines that arrived, in whatever state, each once.
    pub delivered: u64,
    /// Lines that were written and didn't arrive.
    pub missing: u64,
    /// Copies of lines beyond the first.
    pub duplicated: u64,
    /// Lines that arrived behind a later one of the same lane in the same input.
    pub out_of_order: u64,
    /// Lines without their end.
    pub truncated: u64,
    /// Lines in several records.
    pub split: u64,
    /// Records of several lines.
    pub merged: u64,
    /// Lines with other bytes.
    pub altered: u64,
    /// Records without a token, or with one of nobody's.
    pub foreign: u64,
    /// Lines of which nobody knows whether they were written, or whether they should have arrived.
    pub unobserved: u64,
}

/// A line to which something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultyLine {
    /// What happened: the name of the count.
    pub fault: &'static str,
    /// The lane.
    pub lane: Lane,
    /// The number of the line in the lane.
    pub number: u32,
    /// The output, if it is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The input where it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The record in the input, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
}

/// What a verdict says in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All lines arrived, each once and intact.
    Delivered,
    /// Something happened to a line.
    Faulty,
    /// Nobody can tell.
    Unknown,
}

impl Verdict {
    /// Compares what arrived with what was emitted, if someone said.
    pub fn of(delivery: &Delivery, emitted: &[Emitted]) -> Self {
        let mut verdict = Self {
            total: Counts::default(),
            outputs: Vec::new(),
            examples: Vec::new(),
            unchecked: delivery.unchecked,
            is_emitted_known: !emitted.is_empty(),
        };
        let mut reported: HashMap<Lane, (&Emitted, &EmittedLane)> = HashMap::new();
        for report in emitted {
            for lane in &report.lanes {
                // Of two reports of a lane, the later one.
                let known = reported.entry(lane.lane).or_insert((report, lane));
                if (lane.ended, lane.lines) > (known.1.ended, known.1.lines) {
                    *known = (report, lane);
                }
            }
        }
        let mut outputs: BTreeMap<(String, String), OutputVerdict> = BTreeMap::new();
        let mut lanes: Vec<_> = reported.iter().collect();
        lanes.sort_by_key(|(lane, _)| **lane);
        let nothing = Received::default();
        for (lane, (report, said)) in lanes {
            let received = delivery.lanes.get(lane).unwrap_or(&nothing);
            let counts = verdict.lane(*lane, &said.output, received, Some(said));
            let key = (report.identity.clone(), said.output.clone());
            let output = outputs.entry(key).or_insert_with(|| OutputVerdict {
                pod: report.identity.clone(),
                output: said.output.clone(),
                ..OutputVerdict::default()
            });
            for source in &said.sources {
                if !output.sources.contains(source) {
                    output.sources.push(source.clone());
                }
            }
            output.counts.add(&counts);
        }
        let mut unreported: Vec<_> =
            delivery.lanes.iter().filter(|(lane, _)| !reported.contains_key(lane)).collect();
        unreported.sort_by_key(|(lane, _)| **lane);
        let mut others = Counts::default();
        for (lane, received) in unreported {
            // A token of nobody's is one that only looks like a token: no line of its lane was intact,
            // and there is only one of it.
            let count = received.seen.count() + received.claimed.count();
            if received.is_proven || count > 1 {
                others.add(&verdict.lane(*lane, "", received, None));
            } else {
                verdict.total.foreign += count + received.duplicated.count;
            }
        }
        if others != Counts::default() {
            outputs.insert(
                (String::new(), String::new()),
                OutputVerdict { counts: others, ..OutputVerdict::default() },
            );
        }
        let omitted: u64 = emitted.iter().map(|report| report.omitted.lines).sum();
        verdict.total.unobserved += omitted.saturating_sub(others.delivered);
        verdict.total.foreign += delivery.without_token + delivery.of_further_lanes;
        for output in outputs.values() {
            verdict.total.add(&output.counts);
        }
        verdict.outputs = outputs.into_values().collect();
        verdict
    }

    /// What it says in one word. `allowed` are the names of counts that are no faults.
    pub fn outcome(&self, allowed: &[String]) -> Outcome {
        let total = &self.total;
        let faults = [
            ("missing", total.missing),
            ("duplicated", total.duplicated),
            ("truncated", total.truncated),
            ("split", total.split),
            ("merged", total.merged),
            ("altered", total.altered),
        ];
        let is_faulty = faults
            .iter()
            .any(|(name, count)| *count > 0 && !allowed.iter().any(|allowed| allowed == name));
        if is_faulty {
            Outcome::Faulty
        } else if !self.is_emitted_known || total.emitted == 0 || total.unobserved > 0 {
            Outcome::Unknown
        } else {
            Outcome::Delivered
        }
    }

    /// The counts of a lane; adds its examples.
    fn lane(
        &mut self,
        lane: Lane,
        output: &str,
        received: &Received,
        said: Option<&EmittedLane>,
    ) -> Counts {
        let mut seen = received.seen.clone();
        seen.merge(&received.claimed);
        let next = seen.last().map_or(0, |last| last.saturating_add(1));
        let first = match said {
            Some(_) => 0,
            // Who began later than the lane knows of no earlier line.
            None => seen.iter().next().unwrap_or_default(),
        };
        // What is written, and the end of what may be.
        let (lines, handed_over) = said.map_or((next, next), |said| (said.lines, said.handed_over));
        let has_known_end = said.is_none_or(|said| said.ended && said.unread == 0);
        let settled = if has_known_end { lines } else { lines.min(next) };
        let examples: Vec<u32> = seen.missing(first..settled).take(MAX_EXAMPLES).collect();
        let missing = seen.count_missing(first..settled);
        let unobserved = seen.count_missing(settled..handed_over.max(lines));
        // What arrived was written, whoever says what.
        let beyond =
            u64::from(next.saturating_sub(lines)) - seen.count_missing(lines..next.max(lines));
        for number in examples {
            self.example("missing", lane, number, output, None);
        }
        let mut count = |name: &'static str, fault: &Fault| {
            for example in &fault.examples {
                let place = Some((example.input.clone(), example.record));
                self.example(name, lane, example.number, output, place);
            }
            fault.count
        };
        Counts {
            emitted: u64::from(lines - first.min(lines)) + beyond,
            delivered: seen.count(),
            missing,
            duplicated: count("duplicated", &received.duplicated),
            out_of_order: count("outOfOrder", &received.out_of_order),
            truncated: count("truncated", &received.truncated),
            split: count("split", &received.split),
            merged: count("merged", &received.merged),
            altered: count("altered", &received.altered),
            foreign: 0,
            unobserved,
        }
    }

    fn example(
        &mut self,
        fault: &'static str,
        lane: Lane,
        number: u32,
        output: &str,
        place: Option<(String, u64)>,
    ) {
        let so_far = self.examples.iter().filter(|example| example.fault == fault).count();
        if so_far < MAX_EXAMPLES {
            let (input, record) = place.unzip();
            let output = output.to_owned();
            self.examples.push(FaultyLine { fault, lane, number, output, input, record });
        }
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.emitted += other.emitted;
        self.delivered += other.delivered;
        self.missing += other.missing;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.truncated += other.truncated;
        self.split += other.split;
        self.merged += other.merged;
        self.altered += other.altered;
        self.foreign += other.foreign;
        self.unobserved += other.unobserved;
    }
}
