//! What changes in a delivery, so that it can be written down, and known again after a restart. All
//! changes in order are the delivery; so is a snapshot, which is changes that begin with nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    num::NonZeroU64,
    ops::{Not, RangeInclusive},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Arrival, At, Delivery, Effect, Fault, FaultKind, InputState, MAX_EXAMPLES, Received,
    places::{FieldCounts, Undecided},
};
use crate::{
    lane::Lane,
    latency::Latencies,
    numbers::Numbers,
    record::{Content, Reader},
};

/// The maximum number of ranges, and of lanes, of one change.
const MAX_WEIGHT: usize = if cfg!(test) { 10 } else { 10_000 };

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Change {
    /// Of each lane, what was added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lanes: Vec<(Lane, LaneChange)>,
    /// What isn't of a lane, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<Totals>,
    /// The counts of fields, as they are now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldCounts>,
    /// Whether what was undecided is decided.
    #[serde(skip_serializing_if = "Not::not")]
    are_decided: bool,
    /// Further records that are undecided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    undecided: Vec<Unfinished>,
    /// Of inputs, by their numbers, the records at their ends of which it isn't known what they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unfinished: BTreeMap<u64, Vec<Unfinished>>,
}

/// Counts that aren't of a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Totals {
    records: u64,
    without_token: u64,
    unchecked: u64,
    of_further_lanes: u64,
}

/// What was added to a lane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct LaneChange {
    #[serde(skip_serializing_if = "Ranges::is_empty")]
    seen: Ranges,
    #[serde(skip_serializing_if = "Ranges::is_empty")]
    claimed: Ranges,
    /// Lines that came again after they were denied.
    #[serde(skip_serializing_if = "Ranges::is_empty")]
    excused: Ranges,
    /// Lines that were denied, after those were excused.
    #[serde(skip_serializing_if = "Ranges::is_empty")]
    denied: Ranges,
    #[serde(skip_serializing_if = "Not::not")]
    is_proven: bool,
    #[serde(skip_serializing_if = "Not::not")]
    has_records: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    latencies: Option<Box<Latencies>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
}

/// A record of which it isn't known yet what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unfinished {
    /// The name of the field that it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    part: Content,
    whole: Content,
    /// The bytes, each as the character of this number; empty if they say nothing more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    bytes: String,
    at: At,
}

/// Ranges of numbers of a lane, each with its first and its last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u32, u32)>")]
struct Ranges(Vec<(u32, u32)>);

impl TryFrom<Vec<(u32, u32)>> for Ranges {
    type Error = &'static str;

    fn try_from(ranges: Vec<(u32, u32)>) -> Result<Self, Self::Error> {
        let is_range = |(first, last): &(u32, u32)| first <= last && *last < Lane::MAX_LINES;
        let are_ranges = ranges.iter().all(is_range);
        are_ranges.then_some(Self(ranges)).ok_or("a range of numbers that no lane has")
    }
}

/// What changed since it was taken last, and what of the rest is taken.
#[derive(Debug, Default)]
pub(super) struct Changes {
    lanes: HashMap<usize, (Lane, LaneChange)>,
    are_decided: bool,
    totals: Totals,
    fields: Vec<FieldCounts>,
    /// The number of undecided records.
    undecided: usize,
    /// The inputs with unfinished records.
    unfinished: HashSet<u64>,
}

/// Reads a delivery from its changes.
#[derive(Debug)]
pub struct Restore<'a> {
    delivery: &'a mut Delivery,
    unfinished: BTreeMap<u64, Vec<Unfinished>>,
}

impl Delivery {
    /// Notes changes from now on.
    pub fn note_changes(&mut self) {
        self.changes = Some(Box::new(Changes {
            totals: self.totals(),
            fields: self.places.fields().to_vec(),
            undecided: self.places.undecided().len(),
            ..Changes::default()
        }));
    }

    /// What has changed since this was called last: some changes, or none. If an input was read, with
    /// its number and the unfinished records that it has.
    pub fn take_changes(&mut self, input: Option<(u64, Vec<Unfinished>)>) -> Vec<Change> {
        let totals = self.totals();
        let Some(changes) = &mut self.changes else { return Vec::new() };
        let mut first = Change {
            totals: (totals != changes.totals).then_some(totals),
            are_decided: std::mem::take(&mut changes.are_decided),
            ..Change::default()
        };
        changes.totals = totals;
        let fields = self.places.fields();
        for (index, field) in fields.iter().enumerate() {
            match changes.fields.get_mut(index) {
                Some(known) if known == field => continue,
                Some(known) => known.clone_from(field),
                None => changes.fields.push(field.clone()),
            }
            first.fields.push(field.clone());
        }
        let undecided = self.places.undecided();
        let further = undecided.get(changes.undecided..).unwrap_or_default();
        first.undecided = further.iter().map(|record| Unfinished::of(record, fields)).collect();
        changes.undecided = undecided.len();
        if let Some((input, unfinished)) = input {
            let had_unfinished = changes.unfinished.remove(&input);
            if !unfinished.is_empty() {
                changes.unfinished.insert(input);
            }
            if had_unfinished || !unfinished.is_empty() {
                first.unfinished.insert(input, unfinished);
            }
        }
        let mut lanes: Vec<_> = changes.lanes.drain().map(|(_, lane)| lane).collect();
        lanes.sort_by_key(|(lane, _)| *lane);
        let is_nothing = first == Change::default() && lanes.is_empty();
        if is_nothing { Vec::new() } else { first.with_lanes(lanes.into_iter()).collect() }
    }

    /// All that is known, as changes that begin with nothing; with the unfinished records of inputs.
    pub fn snapshot(
        &self,
        unfinished: impl Iterator<Item = (u64, Vec<Unfinished>)>,
    ) -> impl Iterator<Item = Change> {
        let (fields, undecided) = (self.places.fields(), self.places.undecided());
        let first = Change {
            totals: Some(self.totals()),
            fields: fields.to_vec(),
            undecided: undecided.iter().map(|record| Unfinished::of(record, fields)).collect(),
            unfinished: unfinished.filter(|(_, records)| !records.is_empty()).collect(),
            ..Change::default()
        };
        first.with_lanes(self.lanes().map(|(lane, received)| (lane, LaneChange::of(received))))
    }

    /// The records at the end of an input of which it isn't known yet what they are. `parts` are what
    /// its decoder has of records that aren't whole.
    pub fn unfinished<'a>(
        &self,
        input: &InputState,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Unfinished> {
        let fields = self.places.fields();
        let name = &input.at.input;
        let pieces = input.pieces.iter().map(|piece| {
            let (field, whole) = piece.field.as_ref().map_or((None, &Content::NoToken), |field| {
                (fields.get(field.0).map(|field| field.name.clone()), &field.1)
            });
            let at = At { record: piece.record, input: Arc::clone(name) };
            Unfinished::new(field, piece.content.clone(), whole.clone(), &piece.bytes, at)
        });
        let parts = parts.map(|bytes| {
            let at = At { record: input.at.record + 1, input: Arc::clone(name) };
            Unfinished::new(None, Reader::default().read(bytes), Content::NoToken, bytes, at)
        });
        pieces.chain(parts).collect()
    }

    /// Reads changes into this delivery, which has nothing yet.
    pub fn restore(&mut self) -> Restore<'_> {
        Restore { delivery: self, unfinished: BTreeMap::new() }
    }

    const fn totals(&self) -> Totals {
        Totals {
            records: self.records,
            without_token: self.without_token,
            unchecked: self.unchecked,
            of_further_lanes: self.of_further_lanes,
        }
    }
}

impl Changes {
    /// What changes of a lane.
    pub(super) fn lane(&mut self, slot: usize, lane: Lane) -> &mut LaneChange {
        &mut self.lanes.entry(slot).or_insert_with(|| (lane, LaneChange::default())).1
    }

    /// Notes that nothing is undecided.
    pub(super) const fn decided(&mut self) {
        self.are_decided = true;
        self.undecided = 0;
    }
}

impl Change {
    /// Changes that have these lanes, too, none of them with very many.
    fn with_lanes(
        self,
        lanes: impl Iterator<Item = (Lane, LaneChange)>,
    ) -> impl Iterator<Item = Self> {
        let parts = lanes.flat_map(|(lane, change)| change.parts().map(move |part| (lane, part)));
        let (mut first, mut parts) = (Some(self), parts.peekable());
        std::iter::from_fn(move || {
            let mut change = match first.take() {
                Some(first) => first,
                None if parts.peek().is_none() => return None,
                None => Self::default(),
            };
            let mut weight = 0;
            while weight < MAX_WEIGHT
                && let Some((lane, part)) = parts.next()
            {
                weight += part.weight();
                change.lanes.push((lane, part));
            }
            Some(change)
        })
    }
}

impl LaneChange {
    /// All of a lane.
    fn of(received: &Received) -> Self {
        let Received { seen, claimed, faults, is_proven, has_records, denied, latencies, late } =
            received;
        let mut all_denied = Ranges::default();
        denied.iter().for_each(|number| all_denied.push(number));
        Self {
            seen: Ranges::of(seen),
            claimed: Ranges::of(claimed),
            excused: Ranges::default(),
            denied: all_denied,
            is_proven: *is_proven,
            has_records: *has_records,
            latencies: latencies.clone(),
            late: NonZeroU64::new(*late),
            faults: faults.clone(),
        }
    }

    /// Adds what the arrival of a line does.
    pub(super) fn add(&mut self, effect: &Effect, number: u32, is_denied: bool, at: &At) {
        if effect.is_new {
            let is_claimed = effect.arrival == Arrival::Claimed;
            let numbers = if is_claimed { &mut self.claimed } else { &mut self.seen };
            numbers.push(number);
        }
        for kind in effect.faults.into_iter().flatten() {
            if kind == FaultKind::Redelivered {
                self.excused.push(number);
            }
            Fault::add(&mut self.faults, kind, number, at);
        }
        if is_denied {
            self.denied.push(number);
        }
        self.is_proven |= effect.arrival == Arrival::Whole;
        if let Some(took) = effect.took {
            self.latencies.get_or_insert_default().add(took);
        }
        if effect.is_late {
            let late = self.late.map_or(0, NonZeroU64::get);
            self.late = NonZeroU64::new(late + 1);
        }
    }

    /// Notes that a line was a whole record.
    pub(super) const fn has_records(&mut self) {
        self.has_records = true;
    }

    fn weight(&self) -> usize {
        let Self { seen, claimed, excused, denied, .. } = self;
        1 + [seen, claimed, excused, denied].map(|ranges| ranges.0.len()).iter().sum::<usize>()
    }

    /// Changes one after the other that are this one, none of them with very many ranges.
    fn parts(mut self) -> impl Iterator<Item = Self> {
        let mut has_more = true;
        std::iter::from_fn(move || {
            if !std::mem::take(&mut has_more) {
                return None;
            }
            // What is excused comes before what is denied.
            let mut part = Self::default();
            let mut room = MAX_WEIGHT;
            for (all, some) in [
                (&mut self.seen, &mut part.seen),
                (&mut self.claimed, &mut part.claimed),
                (&mut self.excused, &mut part.excused),
                (&mut self.denied, &mut part.denied),
            ] {
                let count = room.min(all.0.len());
                let rest = all.0.split_off(count);
                some.0 = std::mem::replace(&mut all.0, rest);
                room -= count;
            }
            has_more = self.weight() > 1;
            if !has_more {
                (part.is_proven, part.has_records) = (self.is_proven, self.has_records);
                (part.latencies, part.late) = (self.latencies.take(), self.late.take());
                part.faults = std::mem::take(&mut self.faults);
            }
            Some(part)
        })
    }
}

impl Unfinished {
    fn new(field: Option<String>, part: Content, whole: Content, bytes: &[u8], at: At) -> Self {
        let bytes = match part {
            Content::Merged(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
            _ => String::new(),
        };
        Self { field, part, whole, bytes, at }
    }

    fn of(record: &Undecided, fields: &[FieldCounts]) -> Self {
        let Undecided { field, part, whole, bytes, at } = record;
        let field = fields.get(*field).map(|field| field.name.clone());
        Self::new(field, part.clone(), whole.clone(), bytes, at.clone())
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
    }

    fn into_undecided(self, delivery: &mut Delivery) -> Undecided {
        let bytes = self.bytes();
        let Self { field, part, whole, bytes: _, at } = self;
        let field = delivery.places.index(&field.unwrap_or_default());
        Undecided { field, part, whole, bytes, at }
    }
}

impl Ranges {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(numbers: &Numbers) -> Self {
        Self(numbers.ranges().map(RangeInclusive::into_inner).collect())
    }

    fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => self.0.push((number, number)),
        }
    }

    fn iter(&self) -> impl Iterator<Item = RangeInclusive<u32>> {
        self.0.iter().map(|(first, last)| *first..=*last)
    }
}

impl Restore<'_> {
    /// Adds a change.
    pub fn add(&mut self, change: Change) {
        let Change { lanes, totals, fields, are_decided, undecided, unfinished } = change;
        let delivery = &mut *self.delivery;
        for (lane, change) in lanes {
            let Some(slot) = delivery.slot(lane) else { continue };
            if let Some((_, received)) = delivery.lanes.get_mut(slot) {
                received.restore(change);
            }
        }
        if let Some(totals) = totals {
            delivery.records = totals.records;
            delivery.without_token = totals.without_token;
            delivery.unchecked = totals.unchecked;
            delivery.of_further_lanes = totals.of_further_lanes;
        }
        for field in fields {
            delivery.places.restore(&field);
        }
        if are_decided {
            delivery.places.take_undecided();
        }
        for record in undecided {
            let undecided = record.into_undecided(delivery);
            delivery.places.restore_undecided(undecided);
        }
        for (number, records) in unfinished {
            self.unfinished.insert(number, records);
        }
    }

    /// Ends the inputs that were open.
    pub fn finish(self) {
        for record in self.unfinished.into_values().flatten() {
            if record.field.is_some() && record.part != Content::NoToken {
                let undecided = record.into_undecided(self.delivery);
                self.delivery.undecided(undecided);
            } else {
                self.delivery.count(&record.part, &record.bytes(), &record.at, None);
            }
        }
    }
}

impl Received {
    fn restore(&mut self, change: LaneChange) {
        let LaneChange {
            seen,
            claimed,
            excused,
            denied,
            is_proven,
            has_records,
            latencies,
            late,
            faults,
        } = change;
        seen.iter().for_each(|range| self.seen.insert_range(range));
        claimed.iter().for_each(|range| self.claimed.insert_range(range));
        excused.iter().for_each(|range| {
            self.denied.remove_range(range);
        });
        denied.iter().for_each(|range| {
            self.denied.insert_range(range);
        });
        self.is_proven |= is_proven;
        self.has_records |= has_records;
        if let Some(latencies) = latencies {
            self.latencies.get_or_insert_default().merge(&latencies);
        }
        self.late += late.map_or(0, NonZeroU64::get);
        for Fault { kind, count, examples } in faults {
            let known = Fault::of(&mut self.faults, kind);
            known.count += count;
            known.examples.extend(examples);
            known.examples.truncate(MAX_EXAMPLES);
        }
    }
}

#[cfg(test)]
mod tests;
