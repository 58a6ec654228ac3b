//! The verdict: what arrived, compared with what was emitted. All counts are lines, except those of
//! merged and foreign, which are records.

mod show;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use serde::Serialize;
pub use show::Form;

use crate::{
    delivery::{Delivery, FaultKind, Received},
    emitted::{Emitted, EmittedLane},
    expected::Expected,
    lane::Lane,
    latency::{Latencies, quantiles},
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
    /// By source, of the outputs that have the lines of one source alone.
    pub sources: Vec<SourceVerdict>,
    /// The first lines of each kind of fault.
    pub examples: Vec<FaultyLine>,
    /// Lines of which only fields arrived: these can't be checked.
    pub unchecked: u64,
    /// How long lines took, where that is known.
    #[serde(skip_serializing_if = "Latencies::is_empty", serialize_with = "quantiles")]
    pub latency: Latencies,
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
    /// How long its lines took, where that is known.
    #[serde(skip_serializing_if = "Latencies::is_empty", serialize_with = "quantiles")]
    pub latency: Latencies,
}

/// The verdict for a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceVerdict {
    /// The generator, as `SOURCE/GENERATOR`.
    pub source: String,
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
    /// Copies of lines whose sender had been told that they hadn't arrived.
    pub redelivered: u64,
    /// Lines that arrived later than the grace time after they were written.
    pub late: u64,
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

/// What a verdict says in one word. Programs tell it by their exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All lines arrived, each once and intact.
    Delivered,
    /// Something happened to a line.
    Faulty,
    /// Nobody can tell.
    Unknown,
}

impl Outcome {
    /// The exit status of a program.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Delivered => 0,
            Self::Faulty => 1,
            Self::Unknown => 3,
        }
    }
}

impl Verdict {
    /// Compares what arrived with what was emitted, if someone said. `expected` says which lines
    /// should have arrived by now; without it, all that were written.
    pub fn of(delivery: &mut Delivery, emitted: &[Emitted], expected: Option<&Expected>) -> Self {
        delivery.decide();
        let mut verdict = Self {
            total: Counts::default(),
            outputs: Vec::new(),
            sources: Vec::new(),
            examples: Vec::new(),
            unchecked: delivery.unchecked,
            latency: Latencies::default(),
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
            let received = delivery.received(*lane).unwrap_or(&nothing);
            let counts = verdict.lane(*lane, &said.output, received, Some(said), expected);
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
            output.add_latencies(received);
        }
        let mut unreported: Vec<_> =
            delivery.lanes().filter(|(lane, _)| !reported.contains_key(lane)).collect();
        unreported.sort_by_key(|(lane, _)| *lane);
        let mut others = OutputVerdict::default();
        for (lane, received) in unreported {
            // A token of nobody's is one that only looks like a token: no line of its lane was intact,
            // and there is only one of it.
            let count = received.seen.count() + received.claimed.count();
            if received.is_proven || count > 1 {
                others.counts.add(&verdict.lane(lane, "", received, None, expected));
                others.add_latencies(received);
            } else {
                verdict.total.foreign += count + received.fault(FaultKind::Duplicated).0;
            }
        }
        let delivered = others.counts.delivered;
        if others != OutputVerdict::default() {
            outputs.insert((String::new(), String::new()), others);
        }
        let omitted: u64 = emitted.iter().map(|report| report.omitted.lines).sum();
        verdict.total.unobserved += omitted.saturating_sub(delivered);
        verdict.total.foreign += delivery.without_token + delivery.of_further_lanes;
        for output in outputs.values() {
            verdict.total.add(&output.counts);
            verdict.latency.merge(&output.latency);
        }
        let mut sources: BTreeMap<&str, Counts> = BTreeMap::new();
        for output in outputs.values() {
            // Nobody can tell whose lines are missing where several sources write.
            if let [source] = &output.sources[..] {
                sources.entry(source).or_default().add(&output.counts);
            }
        }
        let sources = sources.into_iter();
        verdict.sources = sources
            .map(|(source, counts)| SourceVerdict { source: source.to_owned(), counts })
            .collect();
        verdict.outputs = outputs.into_values().collect();
        verdict
    }

    /// What it says in one word, except for the faults that are allowed.
    pub fn outcome(&self, allowed: &[FaultKind]) -> Outcome {
        let total = &self.total;
        let is_faulty =
            total.faults().iter().any(|(kind, count)| *count > 0 && !allowed.contains(kind));
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
        expected: Option<&Expected>,
    ) -> Counts {
        let mut seen = Cow::Borrowed(&received.seen);
        if received.claimed.count() > 0 {
            seen.to_mut().merge(&received.claimed);
        }
        let next = received.next();
        let lowest = || seen.iter().next();
        // What is written, and the end of what may be.
        let (lines, handed_over) = said.map_or((next, next), |said| (said.lines, said.handed_over));
        // Who began later than the lane knows of no earlier line than the first that arrived.
        let begin = if said.is_some() { 0 } else { lowest().unwrap_or_default() };
        let first = match expected {
            Some(expected) if expected.began_before(lane) => lowest().unwrap_or(lines),
            _ => begin,
        };
        // Nobody knows whether the reader of a pipe has read its last bytes.
        let has_known_end = said.is_none_or(|said| said.unread == 0);
        let has_ended = said.is_none_or(|said| said.ended);
        let settled = match expected {
            Some(expected) => expected.settled(lane).min(lines.max(next)),
            None if has_ended => lines,
            None => lines.min(next),
        };
        let settled = if has_known_end { settled } else { settled.min(next) };
        let examples: Vec<u32> = seen.missing(first..settled).take(MAX_EXAMPLES).collect();
        let missing = seen.count_missing(first..settled);
        let unobserved = u64::from(first - begin)
            + seen.count_missing(settled.max(first)..handed_over.max(lines).max(next));
        // What arrived was written, whoever says what.
        let beyond =
            u64::from(next.saturating_sub(lines)) - seen.count_missing(lines..next.max(lines));
        for number in examples {
            self.example(FaultKind::Missing, lane, number, output, None);
        }
        // The last line, if it isn't said to be written, was torn where it was written.
        let torn = seen.last().filter(|last| {
            let is_whole = said.is_none() || *last < lines || received.seen.contains(*last);
            !is_whole && received.fault(FaultKind::Truncated).0 > 0
        });
        let torn_lines = u64::from(torn.is_some());
        let mut count = |kind: FaultKind| {
            let (count, examples) = received.fault(kind);
            for example in examples.iter().filter(|example| torn != Some(example.number)) {
                let place = Some((example.at.input.to_string(), example.at.record));
                self.example(kind, lane, example.number, output, place);
            }
            count
        };
        Counts {
            emitted: u64::from(lines - begin.min(lines)) + beyond - torn_lines,
            delivered: seen.count() - torn_lines,
            missing,
            duplicated: count(FaultKind::Duplicated),
            redelivered: count(FaultKind::Redelivered),
            late: received.late,
            out_of_order: count(FaultKind::OutOfOrder),
            truncated: count(FaultKind::Truncated) - torn_lines,
            split: count(FaultKind::Split),
            merged: count(FaultKind::Merged),
            altered: count(FaultKind::Altered),
            foreign: 0,
            unobserved: unobserved + torn_lines,
        }
    }

    fn example(
        &mut self,
        kind: FaultKind,
        lane: Lane,
        number: u32,
        output: &str,
        place: Option<(String, u64)>,
    ) {
        let fault = kind.name();
        let so_far = self.examples.iter().filter(|example| example.fault == fault).count();
        if so_far < MAX_EXAMPLES {
            let (input, record) = place.unzip();
            let output = output.to_owned();
            self.examples.push(FaultyLine { fault, lane, number, output, input, record });
        }
    }
}

impl OutputVerdict {
    fn add_latencies(&mut self, received: &Received) {
        if let Some(latencies) = &received.latencies {
            self.latency.merge(latencies);
        }
    }
}

impl Counts {
    /// The counts of a verdict by their names.
    pub const fn named(&self) -> [(&'static str, u64); 13] {
        [
            ("emitted", self.emitted),
            ("delivered", self.delivered),
            ("missing", self.missing),
            ("duplicated", self.duplicated),
            ("redelivered", self.redelivered),
            ("late", self.late),
            ("outOfOrder", self.out_of_order),
            ("truncated", self.truncated),
            ("split", self.split),
            ("merged", self.merged),
            ("altered", self.altered),
            ("foreign", self.foreign),
            ("unobserved", self.unobserved),
        ]
    }

    /// What makes a delivery faulty: how many lines are out of order is no fault.
    pub const fn faults(&self) -> [(FaultKind, u64); 6] {
        [
            (FaultKind::Missing, self.missing),
            (FaultKind::Duplicated, self.duplicated),
            (FaultKind::Truncated, self.truncated),
            (FaultKind::Split, self.split),
            (FaultKind::Merged, self.merged),
            (FaultKind::Altered, self.altered),
        ]
    }

    fn add(&mut self, other: &Self) {
        self.emitted += other.emitted;
        self.delivered += other.delivered;
        self.missing += other.missing;
        self.duplicated += other.duplicated;
        self.redelivered += other.redelivered;
        self.late += other.late;
        self.out_of_order += other.out_of_order;
        self.truncated += other.truncated;
        self.split += other.split;
        self.merged += other.merged;
        self.altered += other.altered;
        self.foreign += other.foreign;
        self.unobserved += other.unobserved;
    }
}
