//! Tokens: 27 characters in the shape of httpd's `mod_unique_id`, so they are legal wherever Apache has
//! a request id, and every parser takes them.
//!
//! | characters | field |
//! |---|---|
//! | 0 to 6 | 32 bits of seconds and 10 of milliseconds: when the output took the line |
//! | 7 to 9 | a marker, by which tokens are found between any characters |
//! | 10 to 16 | the lane |
//! | 17 to 21 | the number of the line in the lane |
//! | 22, 23 | the length of the line modulo 4,096, without white space at its ends |
//! | 24 to 26 | 16 bits of a check of the line, and two zero bits |
//!
//! The check is made over the line without white space at its ends, in which every occurrence of its
//! token has `AAA` in place of the check, for a line may show its token more than once. It finds
//! accidents, not forgeries.

use std::{ops::Range, sync::LazyLock};

use memchr::memmem::Finder;
use rapidhash::v3::rapidhash_v3;

use crate::{
    digits::{decoded, encode, encoded},
    lane::Lane,
};

/// The number of characters of a token.
pub const LENGTH: usize = 27;

/// What an engine writes where a token is to be. No escaping changes it, and its character is rare.
pub const PLACEHOLDER: &[u8; LENGTH] = &[BLANK; LENGTH];

/// A line shows its token at most so often; further placeholders stay as they are.
const MAX_PLACES: usize = 16;

/// The lengths of lines are told modulo this number.
pub const LENGTHS: usize = 1 << 12;

const BLANK: u8 = b'~';
const MARKER: &[u8] = b"_V-";
const MARKER_AT: usize = 7;
const LANE_AT: usize = 10;
const NUMBER_AT: usize = 17;
const LENGTH_AT: usize = 22;
const CHECK_AT: usize = 24;
/// A token is written as two halves, the second of which begins here.
const HALF: usize = 16;
const TAIL_AT: usize = LENGTH - HALF;
const NO_CHECK: &[u8] = b"AAA";

static MARKERS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARKER));

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// When the output took the line, in milliseconds since the epoch.
    pub milliseconds: u64,
    /// The lane of the line.
    pub lane: Lane,
    /// Its number in the lane, from 0.
    pub number: u32,
    /// Its length in bytes modulo [`LENGTHS`].
    pub length: usize,
    check: u16,
}

/// A token, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The index of its first byte.
    pub at: usize,
    /// What it says.
    pub token: Token,
}

/// Puts tokens into the lines of a lane.
#[derive(Debug, Clone)]
pub struct Writer {
    lane: Lane,
    milliseconds: u64,
    /// The first characters of a token at this time.
    head: [u8; HALF],
    /// Of the last characters, those of the lane; the others are zero.
    tail: u128,
}

impl Writer {
    /// A writer for this lane.
    pub fn new(lane: Lane) -> Self {
        let mut token = [0; LENGTH];
        encode(0, &mut token[..MARKER_AT]);
        token[MARKER_AT..LANE_AT].copy_from_slice(MARKER);
        encode(lane.bits(), &mut token[LANE_AT..NUMBER_AT]);
        let (mut head, mut tail) = ([0; HALF], [0; HALF]);
        head.copy_from_slice(&token[..HALF]);
        tail.copy_from_slice(&token[TAIL_AT..]);
        Self { lane, milliseconds: 0, head, tail: u128::from_le_bytes(tail) }
    }

    /// The lane.
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Puts the token of a line in place of its placeholders; `milliseconds` are those since the epoch.
    /// Returns whether it has any.
    #[inline]
    pub fn complete(&mut self, line: &mut [u8], milliseconds: u64, number: u32) -> bool {
        let places = Places::of(line);
        if places.count == 0 {
            return false;
        }
        let start = line.len() - line.trim_ascii_start().len();
        let end = start + line.trim_ascii_end()[start..].len();
        if self.milliseconds != milliseconds {
            self.milliseconds = milliseconds;
            let (seconds, fraction) = (milliseconds / 1000, milliseconds % 1000);
            encode(seconds << 10 | fraction, &mut self.head[..MARKER_AT]);
        }
        // Two halves that overlap are made in registers: the check, which reads them at once, would
        // wait for smaller writes.
        let number_and_length = u64::from(number) << 12 | ((end - start) % LENGTHS) as u64;
        let characters = u128::from(encoded::<{ CHECK_AT - NUMBER_AT }>(number_and_length));
        let no_check = u128::from(encoded::<{ LENGTH - CHECK_AT }>(0));
        let tail = self.tail
            | characters << (8 * (NUMBER_AT - TAIL_AT))
            | no_check << (8 * (CHECK_AT - TAIL_AT));
        for place in places.iter() {
            line[place..place + HALF].copy_from_slice(&self.head);
            line[place + TAIL_AT..place + LENGTH].copy_from_slice(&tail.to_le_bytes());
        }
        let mut check = [0; LENGTH - CHECK_AT];
        encode(u64::from(check_of(&line[start..end])) << 2, &mut check);
        for place in places.iter() {
            line[place + CHECK_AT..place + LENGTH].copy_from_slice(&check);
        }
        true
    }
}

/// Where the placeholders of a line begin.
struct Places {
    starts: [usize; MAX_PLACES],
    count: usize,
}

impl Places {
    /// Looks at every 27th byte only: a placeholder has so many equal characters that one of them is
    /// there. Nothing depends on where they are but the last steps, so the processor needn't guess.
    #[inline]
    fn of(line: &[u8]) -> Self {
        const AT_ONCE: usize = 16;
        let mut places = Self { starts: [0; MAX_PLACES], count: 0 };
        let mut free = 0;
        for first in (LENGTH - 1..line.len()).step_by(AT_ONCE * LENGTH) {
            let mut blanks = 0_u32;
            for probe in 0..AT_ONCE {
                let is_blank = line.get(first + probe * LENGTH) == Some(&BLANK);
                blanks |= u32::from(is_blank) << probe;
            }
            while blanks != 0 {
                let probe = first + blanks.trailing_zeros() as usize * LENGTH;
                blanks &= blanks - 1;
                let start = probe - blanks_before(line, probe).min(probe.saturating_sub(free));
                if places.count < MAX_PLACES && line[start..].starts_with(PLACEHOLDER) {
                    places.starts[places.count] = start;
                    places.count += 1;
                    free = start + LENGTH;
                }
            }
        }
        places
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = usize> {
        self.starts.iter().take(self.count).copied()
    }
}

/// How many blanks are before this place, at most 32 of them.
#[inline]
fn blanks_before(line: &[u8], place: usize) -> usize {
    const BLANKS: u128 = u128::from_le_bytes([BLANK; 16]);
    let before = &line[..place];
    let Some((rest, last)) = before.split_last_chunk() else { return few_blanks_before(before) };
    let Some((_, further)) = rest.split_last_chunk() else { return few_blanks_before(before) };
    let count = |chunk: &[u8; 16]| (u128::from_le_bytes(*chunk) ^ BLANKS).leading_zeros() / 8;
    let (last, further) = (count(last), count(further));
    (last + further * u32::from(last == 16)) as usize
}

/// How many blanks are at the end of few bytes.
#[cold]
fn few_blanks_before(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == BLANK).count()
}

/// Whether a line has a placeholder.
pub fn has_placeholder(line: &[u8]) -> bool {
    Places::of(line).count > 0
}

impl Token {
    /// The first token in these bytes from `from` on.
    pub fn find(bytes: &[u8], from: usize) -> Option<Found> {
        let mut from = from;
        loop {
            // Where a marker may be at the earliest.
            let first = from + MARKER_AT;
            let marker = first + MARKERS.find(bytes.get(first..)?)?;
            let at = marker - MARKER_AT;
            let characters = bytes.get(at..)?.first_chunk()?;
            if let Some(token) = Self::read(characters) {
                return Some(Found { at, token });
            }
            from = at + 1;
        }
    }

    /// The token that these characters are.
    fn read(characters: &[u8; LENGTH]) -> Option<Self> {
        let time = decoded(&characters[..MARKER_AT])?;
        let lane = Lane::from_bits(decoded(&characters[LANE_AT..NUMBER_AT])?);
        let number = decoded(&characters[NUMBER_AT..LENGTH_AT])?;
        let length = decoded(&characters[LENGTH_AT..CHECK_AT])?;
        let check = decoded(&characters[CHECK_AT..])?;
        let is_token = time & 0x3ff < 1000 && check.is_multiple_of(4);
        is_token.then_some(Self {
            milliseconds: (time >> 10) * 1000 + (time & 0x3ff),
            lane,
            number: u32::try_from(number).ok()?,
            length: usize::try_from(length).ok()?,
            check: u16::try_from(check >> 2).ok()?,
        })
    }
}

impl Found {
    /// Whether these bytes, of those in which it was found, are its line, without white space at its
    /// ends. `scratch` is for work.
    pub fn is_of(&self, bytes: &[u8], line: Range<usize>, scratch: &mut Vec<u8>) -> bool {
        let (start, length) = (line.start, line.len());
        if length % LENGTHS != self.token.length || self.at < start {
            return false;
        }
        scratch.clear();
        scratch.extend_from_slice(bytes.get(line).unwrap_or_default());
        if !remove_check(scratch, self.at - start) {
            return false;
        }
        // Nearly all lines show their token once.
        if check_of(scratch) == self.token.check {
            return true;
        }
        let mut is_repeated = false;
        let mut from = 0;
        while let Some(found) = Token::find(scratch, from) {
            if found.token == self.token {
                is_repeated |= remove_check(scratch, found.at);
            }
            from = found.at + LENGTH;
        }
        is_repeated && check_of(scratch) == self.token.check
    }
}

/// Removes the check of the token at this place. Returns whether there is room for one.
fn remove_check(line: &mut [u8], at: usize) -> bool {
    let check = line.get_mut(at + CHECK_AT..at + LENGTH);
    check.map(|check| check.copy_from_slice(NO_CHECK)).is_some()
}

#[expect(clippy::cast_possible_truncation, reason = "16 bits of it")]
fn check_of(line: &[u8]) -> u16 {
    rapidhash_v3(line) as u16
}

#[cfg(test)]
mod tests;
