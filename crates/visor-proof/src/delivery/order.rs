//! The order of the lines of an input, by lane.

use std::collections::HashMap;

use crate::lane::Lane;

/// The greatest number of each lane so far.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The lane of the last line, which is that of the next one nearly always.
    last: Option<Last>,
    greatest: HashMap<usize, u32>,
}

#[derive(Debug)]
struct Last {
    lane: Lane,
    slot: usize,
    greatest: u32,
}

impl Order {
    /// The slot of a lane, if it is that of the last line.
    pub(super) fn slot_of(&self, lane: Lane) -> Option<usize> {
        self.last.as_ref().filter(|last| last.lane == lane).map(|last| last.slot)
    }

    /// The slot of the last line.
    pub(super) fn last_slot(&self) -> Option<usize> {
        self.last.as_ref().map(|last| last.slot)
    }

    /// Adds a line. Returns whether it is behind a later one.
    pub(super) fn add(&mut self, lane: Lane, slot: usize, number: u32) -> bool {
        match &mut self.last {
            Some(last) if last.slot == slot => {
                let is_behind = number < last.greatest;
                last.greatest = last.greatest.max(number);
                is_behind
            }
            last => {
                if let Some(last) = last.take() {
                    self.greatest.insert(last.slot, last.greatest);
                }
                let greatest = self.greatest.get(&slot).copied().unwrap_or_default();
                *last = Some(Last { lane, slot, greatest: greatest.max(number) });
                number < greatest
            }
        }
    }
}
