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
use serde::{Deserialize, Serialize};

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
const LAST_DIGIT_AT: usize = 21;
const LENGTH_AT: usize = 22;
const CHECK_AT: usize = 24;
/// How many digits there are.
const DIGITS: u32 = 64;
/// A token is written as two halves, the second of which begins here.
const HALF: usize = 16;
const TAIL_AT: usize = LENGTH - HALF;
const NO_CHECK: &[u8] = b"AAA";

static MARKERS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARKER));

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Of the last characters, those of the lane and of the number without its last digit; the others
    /// are zero.
    tail: u128,
    /// The number without its last digit.
    number: u32,
}

impl Writer {
    /// A writer for this lane.
    pub fn new(lane: Lane) -> Self {
        let mut token = [0; LENGTH];
        encode(0, &mut token[..MARKER_AT]);
        token[MARKER_AT..LANE_AT].copy_from_slice(MARKER);
        encode(lane.bits(), &mut token[LANE_AT..NUMBER_AT]);
        encode(0, &mut token[NUMBER_AT..LAST_DIGIT_AT]);
        let (mut head, mut tail) = ([0; HALF], [0; HALF]);
        head.copy_from_slice(&token[..HALF]);
        tail.copy_from_slice(&token[TAIL_AT..]);
        Self { lane, milliseconds: 0, head, tail: u128::from_le_bytes(tail), number: 0 }
    }

    /// The lane.
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Puts the token of a line in place of its placeholders, of which it has at most so many;
    /// `milliseconds` are those since the epoch. Returns whether it has any.
    #[inline]
    pub fn complete(
        &mut self,
        line: &mut [u8],
        milliseconds: u64,
        number: u32,
        most: usize,
    ) -> bool {
        let places = Places::of(line, most);
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
        if self.number != number / DIGITS {
            self.number = number / DIGITS;
            let mut tail = self.tail.to_le_bytes();
            encode(self.number.into(), &mut tail[NUMBER_AT - TAIL_AT..LAST_DIGIT_AT - TAIL_AT]);
            self.tail = u128::from_le_bytes(tail);
        }
        // Two halves that overlap are made in registers: the check, which reads them at once, would
        // wait for smaller writes.
        let length = (end - start) % LENGTHS;
        let digits = encoded::<3>(u64::from(number % DIGITS) << 12 | length as u64);
        let no_check = u128::from(encoded::<3>(0));
        let tail = self.tail
            | u128::from(digits) << (8 * (LAST_DIGIT_AT - TAIL_AT))
            | no_check << (8 * (CHECK_AT - TAIL_AT));
        for place in places.iter() {
            line[place..place + HALF].copy_from_slice(&self.head);
            line[place + TAIL_AT..place + LENGTH].copy_from_slice(&tail.to_le_bytes());
        }
        let check = encoded::<3>(u64::from(check_of(&line[start..end])) << 2).to_le_bytes();
        for place in places.iter() {
            line[place + CHECK_AT..place + LENGTH].copy_from_slice(&check[..LENGTH - CHECK_AT]);
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
    /// The first ones, at most so many. Looks at every 27th byte only: a placeholder has so many equal
    /// characters that one of them is there.
    #[inline]
    fn of(line: &[u8], most: usize) -> Self {
        let most = most.min(MAX_PLACES);
        let mut places = Self { starts: [0; MAX_PLACES], count: 0 };
        let mut free = 0;
        let mut at = LENGTH - 1;
        while places.count < most
            && let Some(byte) = line.get(at)
        {
            if *byte == BLANK {
                let start = (at - blanks_before(line, at)).max(free);
                if line[start..].starts_with(PLACEHOLDER) {
                    places.starts[places.count] = start;
                    places.count += 1;
                    free = start + LENGTH;
                }
            }
            at += LENGTH;
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
    Places::of(line, 1).count > 0
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
