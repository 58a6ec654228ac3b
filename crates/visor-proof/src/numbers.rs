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
            Some((index, block)) => Some(index * BLOCK + block.last()?),
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
        let full = (self.full_before * BLOCK).clamp(range.start, range.end.max(range.start));
        let all = u64::from(range.end.saturating_sub(full));
        let (Ok(at) | Err(at)) = self.find(full / BLOCK);
        let others = self.blocks.range(at..);
        let inside = others.take_while(|(index, _)| *index < range.end.div_ceil(BLOCK));
        let count = inside.map(|(index, block)| match within(*index, &(full..range.end)) {
            (0, BLOCK) => block.count(),
            range => ones(block.words(), range).map(u64::count_ones).sum(),
        });
        all - count.map(u64::from).sum::<u64>()
    }

    /// The numbers of a range that are in the set, or those that aren't.
    fn select(&self, range: Range<u32>, wanted: bool) -> impl Iterator<Item = u32> {
        // None are missing of the full blocks at the start.
        let start = if wanted { 0 } else { self.full_before * BLOCK };
        let range = range.start.max(start)..range.end;
        (range.start / BLOCK..range.end.div_ceil(BLOCK)).flat_map(move |index| {
            let words = match self.find(index) {
                _ if index < self.full_before => Block::Full.words(),
                Ok(at) => self.blocks[at].1.words(),
                Err(_) => Box::new([0; WORDS]),
            };
            let words = if wanted { words } else { complement(words) };
            let firsts = (index * BLOCK..).step_by(64);
            firsts
                .zip(ones(words, within(index, &range)))
                .flat_map(|(first, word)| numbers_of(first, word))
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
                    *self = Self::Bits(bits_of(numbers));
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

    /// Its numbers as bits.
    fn words(&self) -> Box<[u64; WORDS]> {
        match self {
            Self::Full => Box::new([u64::MAX; WORDS]),
            Self::Few(numbers) => bits_of(numbers),
            Self::Holes(holes) => complement(bits_of(holes)),
            Self::Bits(words) => words.clone(),
        }
    }

    /// How many numbers it has.
    fn count(&self) -> u32 {
        match self {
            Self::Full => BLOCK,
            _ => self.words().iter().map(|word| word.count_ones()).sum(),
        }
    }

    /// Its greatest number.
    fn last(&self) -> Option<u32> {
        let mut words = (0..BLOCK).step_by(64).zip(*self.words());
        let (first, word) = words.rfind(|(_, word)| *word != 0)?;
        Some(first + word.ilog2())
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

/// The bits of a list.
fn bits_of(list: &[u16]) -> Box<[u64; WORDS]> {
    let mut words = Box::new([0; WORDS]);
    for within in list {
        set(&mut words, *within);
    }
    words
}

/// The bits that aren't set.
fn complement(mut words: Box<[u64; WORDS]>) -> Box<[u64; WORDS]> {
    for word in words.iter_mut() {
        *word = !*word;
    }
    words
}

/// Sets a bit. Returns whether it is new.
fn set(words: &mut [u64; WORDS], within: u16) -> bool {
    let (word, bit) = (&mut words[usize::from(within / 64)], 1 << (within % 64));
    let is_new = *word & bit == 0;
    *word |= bit;
    is_new
}

/// Of a range, what is within a block: the first number, and the one behind the last.
fn within(index: u32, range: &Range<u32>) -> (u32, u32) {
    let first = index * BLOCK;
    let of = |number: u32| number.saturating_sub(first).min(BLOCK);
    (of(range.start), of(range.end))
}

/// The bits of a block from a number up to another one.
fn ones(words: Box<[u64]>, (start, end): (u32, u32)) -> impl Iterator<Item = u64> {
    let below = |number: u32, first: u32| match number.saturating_sub(first) {
        0 => 0,
        bits @ 1..64 => (1 << bits) - 1,
        64.. => u64::MAX,
    };
    let firsts = (0..).step_by(64);
    words
        .into_iter()
        .zip(firsts)
        .map(move |(word, first)| word & below(end, first) & !below(start, first))
}

/// The numbers of a word whose first number is this one.
fn numbers_of(first: u32, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(first + bit)
    })
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
