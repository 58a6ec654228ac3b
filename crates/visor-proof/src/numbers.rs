//! A set of the numbers of a lane. Numbers arrive almost in order and almost without holes, so full
//! blocks take no memory of their own, and blocks with few holes take little.

/// The numbers of a block.
const BLOCK: u32 = 4096;
const WORDS: usize = (BLOCK / 64) as usize;
/// A block with at most this many holes is a list of them, once it is old.
const MAX_HOLES: u32 = 128;
/// The number of blocks at the end that are kept as bits, because numbers arrive there.
const RECENT: usize = if cfg!(test) { 2 } else { 64 };

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    blocks: Vec<Block>,
    count: u64,
    /// The blocks before this one have been made small.
    compacted: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Empty,
    Full,
    /// The numbers that are missing, in order.
    Holes(Box<[u16]>),
    Bits(Box<[u64; WORDS]>),
}

impl Numbers {
    /// Inserts a number. Returns whether it is new.
    #[inline]
    pub fn insert(&mut self, number: u32) -> bool {
        let (index, within) = place(number);
        if index >= self.blocks.len() {
            self.grow(index);
        }
        let block = &mut self.blocks[index];
        let is_new = match block {
            Block::Bits(words) => {
                let (word, bit) = (&mut words[within / 64], 1 << (within % 64));
                let is_new = *word & bit == 0;
                *word |= bit;
                is_new
            }
            Block::Full => false,
            _ => block.insert(within),
        };
        self.count += u64::from(is_new);
        is_new
    }

    /// Whether a number is in the set.
    pub fn contains(&self, number: u32) -> bool {
        let (index, within) = place(number);
        self.blocks.get(index).is_some_and(|block| block.contains(within))
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
        let (index, block) =
            self.blocks.iter().enumerate().rev().find(|(_, block)| **block != Block::Empty)?;
        (0..BLOCK as usize)
            .rev()
            .find(|within| block.contains(*within))
            .map(|within| number(index, within))
    }

    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.select(0..u32::MAX, true)
    }

    /// The numbers of a range that aren't in the set, in order.
    pub fn missing(&self, range: std::ops::Range<u32>) -> impl Iterator<Item = u32> {
        self.select(range, false)
    }

    /// How many numbers of a range aren't in the set.
    pub fn count_missing(&self, range: std::ops::Range<u32>) -> u64 {
        self.missing(range).count() as u64
    }

    fn select(&self, range: std::ops::Range<u32>, wanted: bool) -> impl Iterator<Item = u32> {
        let end = if wanted {
            range
                .end
                .min(u32::try_from(self.blocks.len()).unwrap_or(u32::MAX).saturating_mul(BLOCK))
        } else {
            range.end
        };
        let first = range.start / BLOCK;
        let last = end.div_ceil(BLOCK).max(first);
        (first..last)
            .filter(move |index| match self.blocks.get(*index as usize) {
                Some(Block::Full) => wanted,
                Some(Block::Empty) | None => !wanted,
                Some(_) => true,
            })
            .flat_map(move |index| {
                let start = (index * BLOCK).max(range.start);
                let end = index.saturating_add(1).saturating_mul(BLOCK).min(end);
                (start..end).filter(move |number| self.contains(*number) == wanted)
            })
    }

    #[cold]
    fn grow(&mut self, index: usize) {
        self.blocks.resize(index + 1, Block::Empty);
        let recent = self.blocks.len().saturating_sub(RECENT);
        for block in self.blocks.get_mut(self.compacted..recent).unwrap_or_default() {
            block.compact();
        }
        self.compacted = self.compacted.max(recent);
    }
}

impl Block {
    fn contains(&self, within: usize) -> bool {
        match self {
            Self::Empty => false,
            Self::Full => true,
            Self::Holes(holes) => {
                u16::try_from(within).is_ok_and(|within| holes.binary_search(&within).is_err())
            }
            Self::Bits(words) => words[within / 64] & 1 << (within % 64) != 0,
        }
    }

    /// Inserts into a block that has no bits.
    #[cold]
    fn insert(&mut self, within: usize) -> bool {
        match self {
            Self::Empty => {
                let mut words = Box::new([0; WORDS]);
                words[within / 64] |= 1 << (within % 64);
                *self = Self::Bits(words);
                true
            }
            Self::Holes(holes) => {
                let Ok(hole) = u16::try_from(within) else { return false };
                let Ok(at) = holes.binary_search(&hole) else { return false };
                let mut rest = std::mem::take(holes).into_vec();
                rest.remove(at);
                *self = if rest.is_empty() { Self::Full } else { Self::Holes(rest.into()) };
                true
            }
            Self::Full | Self::Bits(_) => false,
        }
    }

    /// Makes a block small, if few of its numbers are missing.
    fn compact(&mut self) {
        let Self::Bits(words) = self else { return };
        let missing: u32 = words.iter().map(|word| word.count_zeros()).sum();
        if missing == 0 {
            *self = Self::Full;
        } else if missing <= MAX_HOLES {
            let holes = (0..BLOCK).filter(|within| !self.contains(*within as usize));
            let holes = holes.filter_map(|within| u16::try_from(within).ok()).collect();
            *self = Self::Holes(holes);
        }
    }
}

fn place(number: u32) -> (usize, usize) {
    ((number / BLOCK) as usize, (number % BLOCK) as usize)
}

#[expect(clippy::cast_possible_truncation, reason = "an index of a block, and one within it")]
fn number(index: usize, within: usize) -> u32 {
    index as u32 * BLOCK + within as u32
}

#[cfg(test)]
mod tests;
