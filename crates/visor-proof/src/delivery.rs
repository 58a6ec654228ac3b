//! What arrived so far, by lane. Inputs are read one after the other; each is a file or a connection,
//! in whose order its records were sent.

mod change;
mod input;
mod order;
mod places;

use std::{collections::HashMap, sync::Arc};

use change::Changes;
pub use change::{Change, Restore, Unfinished};
pub use input::{Field, Input, InputState};
use order::Order;
pub use places::Contents;
use places::{Places, Undecided};

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::{
    lane::Lane,
    latency::Latencies,
    numbers::Numbers,
    record::{Content, Reader},
    token::Token,
};

/// The maximum number of lanes; tokens of further ones are counted as foreign.
const MAX_LANES: usize = 1 << 18;
/// The maximum number of examples of a fault in a lane.
const MAX_EXAMPLES: usize = 10;

/// What arrived.
#[derive(Debug, Default)]
pub struct Delivery {
    /// The place of each lane in `lanes`.
    slots: HashMap<Lane, usize>,
    lanes: Vec<(Lane, Received)>,
    places: Places,
    records: u64,
    pub(crate) without_token: u64,
    /// Lines of which only fields arrived.
    pub(crate) unchecked: u64,
    /// How the records arrive that are added now.
    circumstances: Circumstances,
    /// Tokens of lanes for which there is no room.
    pub(crate) of_further_lanes: u64,
    /// What changed, if it is noted.
    changes: Option<Box<Changes>>,
}

/// How records arrive.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances {
    /// When, in milliseconds since the epoch; `None` if nobody knows.
    pub now: Option<u64>,
    /// A line that takes longer than this many milliseconds is late.
    pub grace: u64,
    /// Whether their sender is told that they have not arrived, so that it has to send them again.
    pub are_denied: bool,
}

/// What arrived of a lane.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The lines that arrived with all their bytes.
    pub(crate) seen: Numbers,
    /// The lines that arrived in another state. What tells their number may itself have changed.
    pub(crate) claimed: Numbers,
    /// What happened to its lines, in no order.
    faults: Vec<Fault>,
    /// Whether a line was intact.
    pub(crate) is_proven: bool,
    /// Whether a line was a whole record of those that have fields, such as a line of JSON.
    has_records: bool,
    /// The lines whose sender was told that they haven't arrived, and that haven't come again since.
    denied: RoaringBitmap,
    /// How long its lines took; `None` if nobody knows.
    pub(crate) latencies: Option<Box<Latencies>>,
    /// How many of them took longer than the grace time.
    pub(crate) late: u64,
}

/// What may happen to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum FaultKind {
    /// It didn't arrive.
    Missing,
    /// It arrived more than once.
    Duplicated,
    /// It arrived again, after its sender had been told that it hadn't. No fault.
    #[cfg_attr(feature = "clap", value(skip))]
    Redelivered,
    /// It arrived behind a later one of the same lane in the same input. No fault.
    #[cfg_attr(feature = "clap", value(skip))]
    OutOfOrder,
    /// It has lost its end.
    Truncated,
    /// It arrived in several records.
    Split,
    /// It arrived in one record with others.
    Merged,
    /// It arrived with other bytes.
    Altered,
}

/// How often something happened, and the first times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fault {
    kind: FaultKind,
    count: u64,
    examples: Vec<Example>,
}

/// A line to which something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Example {
    /// Its number in the lane.
    pub(crate) number: u32,
    /// Where it was found.
    pub(crate) at: At,
}

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct At {
    /// The record, from 1, in its input.
    pub(crate) record: u64,
    /// The name of the input.
    pub(crate) input: Arc<str>,
}

/// What the arrival of a line does to its lane.
#[derive(Debug, Clone, Copy)]
struct Effect {
    arrival: Arrival,
    /// Whether it arrived so for the first time.
    is_new: bool,
    /// What happened to it.
    faults: [Option<FaultKind>; 2],
    /// How many milliseconds it took, where that is known.
    took: Option<i64>,
    /// Whether that is longer than the grace time.
    is_late: bool,
}

/// How a line arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Arrival {
    /// With all its bytes.
    Whole,
    /// With all that can be known of its bytes.
    Unchecked,
    /// In another state.
    Claimed,
}

impl Delivery {
    /// Begins another input.
    pub fn input(&mut self, name: &str) -> Input<'_> {
        self.resume(InputState::new(name))
    }

    /// Goes on with an input.
    pub const fn resume(&mut self, input: InputState) -> Input<'_> {
        Input::new(self, input)
    }

    /// Says how the records arrive that are added from now on.
    pub const fn arrive(&mut self, circumstances: Circumstances) {
        self.circumstances = circumstances;
    }

    /// Says what the fields of this name have, rather than finding out.
    pub fn set_contents(&mut self, field: &str, contents: Contents) {
        self.places.set(field, contents);
    }

    /// How many records arrived.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// What arrived of a lane.
    pub(crate) fn received(&self, lane: Lane) -> Option<&Received> {
        self.slots.get(&lane).map(|slot| &self.lanes[*slot].1)
    }

    /// What arrived, by lane.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (Lane, &Received)> {
        self.lanes.iter().map(|(lane, received)| (*lane, received))
    }

    /// Counts the records that aren't lines, by what others of their fields are.
    pub(crate) fn decide(&mut self) {
        if let Some(changes) = &mut self.changes {
            changes.decided();
        }
        for undecided in self.places.take_undecided() {
            let Undecided { field, part, whole, bytes, at } = &undecided;
            let mut token = whole.tokens().into_iter();
            let is_record = token.any(|token| {
                self.received(token.lane).is_some_and(|received| received.has_records)
            });
            if self.places.are_lines(*field) {
                self.count(part, bytes, at, None);
            } else if is_record {
                self.count(whole, &[], at, None);
            } else {
                self.unchecked += 1;
                for token in part.tokens() {
                    self.arrived(&token, at, Arrival::Unchecked, None, None);
                }
            }
        }
    }

    /// Adds a record that isn't a line; what that means is decided later.
    fn undecided(&mut self, undecided: Undecided) {
        if self.places.add(undecided) {
            self.decide();
        }
    }

    /// Counts what a record says. `bytes` are its bytes.
    fn count(&mut self, content: &Content, bytes: &[u8], at: &At, order: Option<&mut Order>) {
        match content {
            Content::NoToken => self.without_token += 1,
            Content::Intact(token) => self.arrived(token, at, Arrival::Whole, None, order),
            Content::Truncated { token, .. } => {
                self.arrived(token, at, Arrival::Claimed, Some(FaultKind::Truncated), order);
            }
            Content::Altered(token) => {
                self.arrived(token, at, Arrival::Claimed, Some(FaultKind::Altered), order);
            }
            Content::Merged(tokens) => self.count_merged(tokens, bytes, at, order),
        }
    }

    fn count_merged(
        &mut self,
        tokens: &[(Token, bool)],
        bytes: &[u8],
        at: &At,
        mut order: Option<&mut Order>,
    ) {
        // A text may look like a token, but nothing proves its lane.
        let is_proven = |(token, is_intact): &&(Token, bool)| {
            *is_intact || self.received(token.lane).is_some_and(|received| received.is_proven)
        };
        let proven: Vec<(Token, bool)> = tokens.iter().filter(is_proven).copied().collect();
        let has_intact = proven.iter().any(|(_, is_intact)| *is_intact);
        // Of tokens without an intact line, one may be what a change has made of another.
        if let Some((token, _)) = proven.first().or(tokens.first())
            && (proven.len() < 2 || !has_intact)
        {
            let content = Reader::default().read_as(bytes, token);
            return self.count(&content, bytes, at, order);
        }
        for (index, (token, is_intact)) in proven.iter().enumerate() {
            let arrival = if *is_intact { Arrival::Whole } else { Arrival::Claimed };
            let fault = (index == 0).then_some(FaultKind::Merged);
            self.arrived(token, at, arrival, fault, order.as_deref_mut());
        }
    }

    /// Counts a line that arrived, and what happened to it. Without `order`, it is in none.
    #[inline]
    fn arrived(
        &mut self,
        token: &Token,
        at: &At,
        arrival: Arrival,
        fault: Option<FaultKind>,
        order: Option<&mut Order>,
    ) {
        let last = order.as_ref().and_then(|order| order.slot_of(token.lane));
        let Some(slot) = last.or_else(|| self.slot(token.lane)) else {
            self.of_further_lanes += 1;
            return;
        };
        let Some((_, received)) = self.lanes.get_mut(slot) else { return };
        let (is_new, is_behind) = if arrival == Arrival::Claimed {
            (received.claimed.insert(token.number), false)
        } else {
            let is_new = received.seen.insert(token.number);
            let order = order.map(|order| order.add(token.lane, slot, token.number));
            (is_new, order == Some(true) && is_new)
        };
        received.is_proven |= arrival == Arrival::Whole;
        let is_watched = self.circumstances.now.is_some()
            || self.circumstances.are_denied
            || self.changes.is_some();
        // This is the short way, for nearly all lines of a file.
        if is_watched || fault.is_some() || !is_new || is_behind {
            let behind = is_behind.then_some(FaultKind::OutOfOrder);
            let faults = [fault, behind];
            let effect = Effect { arrival, is_new, faults, took: None, is_late: false };
            self.happened(slot, token, at, effect);
        }
    }

    /// Counts what else the arrival of a line does.
    fn happened(&mut self, slot: usize, token: &Token, at: &At, mut effect: Effect) {
        let Some((lane, received)) = self.lanes.get_mut(slot) else { return };
        if effect.is_new {
            effect.took = self.circumstances.time_of(token);
            let grace = self.circumstances.grace.cast_signed();
            effect.is_late = effect.took.is_some_and(|took| took > grace);
        } else {
            effect.faults[1] = Some(received.came_again(token.number));
        }
        let are_denied = self.circumstances.are_denied;
        received.add(&effect, token.number, are_denied, at);
        if let Some(changes) = &mut self.changes {
            changes.lane(slot, *lane).add(&effect, token.number, are_denied, at);
        }
    }

    /// The place of a lane in `lanes`; `None` if there is no room.
    fn slot(&mut self, lane: Lane) -> Option<usize> {
        if let Some(slot) = self.slots.get(&lane) {
            return Some(*slot);
        }
        let slot = self.lanes.len();
        if slot >= MAX_LANES {
            return None;
        }
        self.lanes.push((lane, Received::default()));
        self.slots.insert(lane, slot);
        Some(slot)
    }
}

impl Received {
    /// How often something happened, and the first times.
    pub(crate) fn fault(&self, kind: FaultKind) -> (u64, &[Example]) {
        let fault = self.faults.iter().find(|fault| fault.kind == kind);
        fault.map_or((0, &[]), |fault| (fault.count, &fault.examples))
    }

    /// The number that the next line has, by what arrived.
    pub(crate) fn next(&self) -> u32 {
        let last = self.seen.last().max(self.claimed.last());
        last.map_or(0, |last| last.saturating_add(1))
    }

    /// What it means that a line came again.
    #[cold]
    fn came_again(&mut self, number: u32) -> FaultKind {
        let was_denied = self.denied.remove(number);
        if was_denied { FaultKind::Redelivered } else { FaultKind::Duplicated }
    }

    /// Adds what the arrival of a line does, except for its number.
    #[inline]
    fn add(&mut self, effect: &Effect, number: u32, is_denied: bool, at: &At) {
        for kind in effect.faults.into_iter().flatten() {
            Fault::add(&mut self.faults, kind, number, at);
        }
        if is_denied {
            self.denied.insert(number);
        }
        if let Some(took) = effect.took {
            self.latencies.get_or_insert_default().add(took);
        }
        self.late += u64::from(effect.is_late);
    }
}

impl Circumstances {
    /// How many milliseconds a line took that arrives so.
    #[inline]
    fn time_of(&self, token: &Token) -> Option<i64> {
        let now = self.now.filter(|_| !token.lane.is_simulated())?;
        Some(now.cast_signed().saturating_sub(token.milliseconds.cast_signed()))
    }
}

impl Fault {
    /// Counts that something happened to a line.
    #[cold]
    fn add(faults: &mut Vec<Self>, kind: FaultKind, number: u32, at: &At) {
        let fault = Self::of(faults, kind);
        fault.count += 1;
        if fault.examples.len() < MAX_EXAMPLES {
            fault.examples.push(Example { number, at: at.clone() });
        }
    }

    /// The one of this kind.
    fn of(faults: &mut Vec<Self>, kind: FaultKind) -> &mut Self {
        let index = faults.iter().position(|fault| fault.kind == kind);
        let index = index.unwrap_or_else(|| {
            faults.push(Self { kind, count: 0, examples: Vec::new() });
            faults.len() - 1
        });
        &mut faults[index]
    }
}

impl FaultKind {
    /// Its name in a verdict.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Duplicated => "duplicated",
            Self::Redelivered => "redelivered",
            Self::OutOfOrder => "outOfOrder",
            Self::Truncated => "truncated",
            Self::Split => "split",
            Self::Merged => "merged",
            Self::Altered => "altered",
        }
    }
}
