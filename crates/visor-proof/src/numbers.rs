//! A set of the numbers of a lane. Numbers arrive almost in order and almost without holes: full blocks
//! at the start take no memory, and blocks with few numbers or few holes take little.

use std::{
    collections::VecDeque,
    ops::{Range, RangeInclusive},
};

/// The numbers of a block.
const BLOCK: u32 = 4096;
const WORDS: usize = (BLOCK / 64) as usize;
/// A block with at most so many numbers or holes is a list of them: with numbers at first, with holes
/// once it is old.
const MAX_LISTED: usize = 128;
/// The number of blocks at the end that are kept as bits, because numbers arrive there.
const RECENT: usize = if cfg!(test) { 2 } else { 64 };

/// A set of numbers.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// The blocks before this one are full.
    full_before: u32,
    /// The other blocks that have numbers, in order, each with its index.
    blocks: VecDeque<(u32, Block)>,
    /// The place in `blocks` of the last number; nearly always the next one belongs there, too.
    last: usize,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Full,
    /// The numbers that it has, in order.
    Few(Vec<u16>),
    /// The numbers that it hasn't, in order.
    Holes(Vec<u16>),
    Bits(Box<[u64; WORDS]>),
}

impl Numbers {
    /// Inserts a number. Returns whether it is new.
    #[inline]
    pub fn insert(&mut self, number: u32) -> bool {
        let (index, within) = place(number);
        let is_new = match self.blocks.get_mut(self.last) {
            Some((last, Block::Bits(words))) if *last == index => set(words, within),
            _ => self.insert_elsewhere(index, within),
        };
        self.count += u64::from(is_new);
        is_new
    }

    /// Inserts a range of numbers.
    pub fn insert_range(&mut self, range: RangeInclusive<u32>) {
        let (mut next, last) = (*range.start(), *range.end());
        while next <= last {
            let (index, within) = place(next);
            let is_at_front = self.blocks.front().is_none_or(|(first, _)| *first > index);
            let is_whole = within == 0 && last - next >= BLOCK - 1;
            let numbers = if is_whole && index == self.full_before && is_at_front {
                self.full_before += 1;
                self.pop_full();
                self.count += u64::from(BLOCK);
                BLOCK
            } else {
                self.insert(next);
                1
            };
            let Some(following) = next.checked_add(numbers) else { return };
            next = following;
        }
    }

    /// Whether a number is in the set.
    pub fn contains(&self, number: u32) -> bool {
        let (index, within) = place(number);
        index < self.full_before
            || self.find(index).is_ok_and(|at| self.blocks[at].1.contains(within))
    }

    /// How many numbers are in the set.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Adds the numbers of another set. Returns how many were in both.
    pub fn merge(&mut self, other: &Self) -> u64 {
        let both = other.iter().filter(|number| !self.insert(*number)).count();
        both as u64
    }

    /// The greatest number.
    pub fn last(&self) -> Option<u32> {
        match self.blocks.back() {
            Some((index, block)) => {
                let within = (0..BLOCK).rev().find(|within| block.contains(lower(*within)))?;
                Some(index * BLOCK + within)
            }
            None => (self.full_before * BLOCK).checked_sub(1),
        }
    }

    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let end = self.blocks.back().map_or(self.full_before, |(index, _)| index + 1);
        self.select(0..end.saturating_mul(BLOCK), true)
    }

    /// The numbers as ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> {
        let before = self.full_before * BLOCK;
        let mut range = before.checked_sub(1).map(|last| 0..=last);
        let end = self.blocks.back().map_or(self.full_before, |(index, _)| index + 1);
        let mut rest = self.select(before..end.saturating_mul(BLOCK), true);
        std::iter::from_fn(move || {
            loop {
                let next = rest.next();
                match (&mut range, next) {
                    (None, None) => return None,
                    (Some(range), Some(next)) if range.end() + 1 == next => {
                        *range = *range.start()..=next;
                    }
                    (known, next) => {
                        let known = std::mem::replace(known, next.map(|next| next..=next));
                        if known.is_some() {
                            return known;
                        }
                    }
                }
            }
        })
    }

    /// The numbers of a range that aren't in the set, in order.
    pub fn missing(&self, range: Range<u32>) -> impl Iterator<Item = u32> {
        self.select(range, false)
    }

    /// How many numbers of a range aren't in the set.
    pub fn count_missing(&self, range: Range<u32>) -> u64 {
        self.missing(range).count() as u64
    }

    /// The numbers of a range that are in the set, or those that aren't.
    fn select(&self, range: Range<u32>, wanted: bool) -> impl Iterator<Item = u32> {
        let blocks = range.start / BLOCK..range.end.div_ceil(BLOCK).max(range.start / BLOCK);
        blocks.flat_map(move |index| {
            let block = match self.find(index) {
                _ if index < self.full_before => Some(&Block::Full),
                Ok(at) => Some(&self.blocks[at].1),
                Err(_) => None,
            };
            let start = (index * BLOCK).max(range.start);
            let end = index.saturating_add(1).saturating_mul(BLOCK).min(range.end);
            let is_uniform = matches!(block, None | Some(Block::Full));
            let end = if is_uniform && block.is_some() != wanted { start } else { end };
            (start..end).filter(move |number| {
                is_uniform || block.is_some_and(|block| block.contains(place(*number).1)) == wanted
            })
        })
    }

    /// The place of a block, or the one that it would have.
    fn find(&self, index: u32) -> Result<usize, usize> {
        self.blocks.binary_search_by_key(&index, |(index, _)| *index)
    }

    #[cold]
    fn insert_elsewhere(&mut self, index: u32, within: u16) -> bool {
        if index < self.full_before {
            return false;
        }
        let at = match self.find(index) {
            Ok(at) => at,
            Err(at) => {
                self.blocks.insert(at, (index, Block::Few(Vec::new())));
                // One at a time leaves the end as it is.
                if let Some(old) = self.blocks.len().checked_sub(RECENT + 1) {
                    self.blocks[old].1.compact();
                }
                at
            }
        };
        let is_new = self.blocks[at].1.insert(within);
        self.last = at;
        self.pop_full();
        is_new
    }

    /// Forgets the full blocks at the start.
    fn pop_full(&mut self) {
        while let Some((first, block)) = self.blocks.front()
            && *first == self.full_before
            && block.is_full()
        {
            self.blocks.pop_front();
            self.last = self.last.saturating_sub(1);
            self.full_before += 1;
        }
    }
}

impl Block {
    fn contains(&self, within: u16) -> bool {
        match self {
            Self::Full => true,
            Self::Few(numbers) => numbers.binary_search(&within).is_ok(),
            Self::Holes(holes) => holes.binary_search(&within).is_err(),
            Self::Bits(words) => words[usize::from(within / 64)] & 1 << (within % 64) != 0,
        }
    }

    /// Inserts a number. Returns whether it is new.
    fn insert(&mut self, within: u16) -> bool {
        match self {
            Self::Full => false,
            Self::Few(numbers) => {
                let Err(at) = numbers.binary_search(&within) else { return false };
                numbers.insert(at, within);
                if numbers.len() > MAX_LISTED {
                    let mut words = Box::new([0; WORDS]);
                    for within in numbers {
                        set(&mut words, *within);
                    }
                    *self = Self::Bits(words);
                }
                true
            }
            Self::Holes(holes) => {
                let Ok(at) = holes.binary_search(&within) else { return false };
                holes.remove(at);
                if holes.is_empty() {
                    *self = Self::Full;
                }
                true
            }
            Self::Bits(words) => set(words, within),
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Few(_) | Self::Holes(_) => false,
            Self::Bits(words) => words.iter().all(|word| *word == u64::MAX),
        }
    }

    /// Makes a block small, if few of its numbers are missing.
    fn compact(&mut self) {
        let Self::Bits(words) = self else { return };
        let missing: u32 = words.iter().map(|word| word.count_zeros()).sum();
        if missing == 0 {
            *self = Self::Full;
        } else if missing as usize <= MAX_LISTED {
            let holes = (0..BLOCK).map(lower).filter(|within| !self.contains(*within));
            *self = Self::Holes(holes.collect());
        }
    }
}

/// Sets a bit. Returns whether it is new.
fn set(words: &mut [u64; WORDS], within: u16) -> bool {
    let (word, bit) = (&mut words[usize::from(within / 64)], 1 << (within % 64));
    let is_new = *word & bit == 0;
    *word |= bit;
    is_new
}

/// The block of a number, and its place there.
fn place(number: u32) -> (u32, u16) {
    (number / BLOCK, lower(number % BLOCK))
}

#[expect(clippy::cast_possible_truncation, reason = "it is below 4,096")]
const fn lower(within: u32) -> u16 {
    within as u16
}

#[cfg(test)]
mod tests;
