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

use std::sync::LazyLock;

use memchr::{memchr, memmem::Finder};
use rapidhash::v3::rapidhash_v3;

use crate::{
    digits::{decoded, encode},
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
/// Where the check begins.
const CHECK_AT: usize = 24;
const NO_CHECK: &[u8] = b"AAA";

static MARKERS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARKER));

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The token of the last line.
    token: [u8; LENGTH],
    milliseconds: u64,
}

impl Writer {
    /// A writer for this lane.
    pub fn new(lane: Lane) -> Self {
        let mut token = [b'A'; LENGTH];
        token[MARKER_AT..10].copy_from_slice(MARKER);
        encode(lane.bits(), &mut token[10..17]);
        Self { lane, token, milliseconds: 0 }
    }

    /// The lane.
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Puts the token of a line in place of its placeholders; `milliseconds` are those since the epoch.
    /// Returns whether it has any.
    #[inline]
    pub fn complete(&mut self, line: &mut [u8], milliseconds: u64, number: u32) -> bool {
        let Some(first) = placeholder(line, 0) else { return false };
        let start = line.len() - line.trim_ascii_start().len();
        let end = start + line.trim_ascii().len();
        let token = &mut self.token;
        if self.milliseconds != milliseconds {
            self.milliseconds = milliseconds;
            let (seconds, fraction) = (milliseconds / 1000, milliseconds % 1000);
            encode(seconds << 10 | fraction, &mut token[..MARKER_AT]);
        }
        encode(number.into(), &mut token[17..22]);
        encode(((end - start) % LENGTHS) as u64, &mut token[22..CHECK_AT]);
        token[CHECK_AT..].copy_from_slice(NO_CHECK);
        let mut places = [first; MAX_PLACES];
        let mut count = 0;
        let mut at = Some(first);
        while let Some(place) = at
            && count < MAX_PLACES
        {
            line[place..place + LENGTH].copy_from_slice(token);
            places[count] = place;
            count += 1;
            at = placeholder(line, place + LENGTH);
        }
        let mut check = [0; 3];
        encode(u64::from(check_of(&line[start..end])) << 2, &mut check);
        for place in &places[..count] {
            line[place + CHECK_AT..place + LENGTH].copy_from_slice(&check);
        }
        true
    }
}

/// Whether a line has a placeholder.
pub fn has_placeholder(line: &[u8]) -> bool {
    placeholder(line, 0).is_some()
}

/// The first placeholder from this byte on.
#[inline]
fn placeholder(line: &[u8], from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let at = from + memchr(BLANK, line.get(from..)?)?;
        if line.get(at..at + LENGTH)? == PLACEHOLDER {
            return Some(at);
        }
        from = at + 1;
    }
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
        let lane = Lane::from_bits(decoded(&characters[10..17])?);
        let number = decoded(&characters[17..22])?;
        let length = decoded(&characters[22..CHECK_AT])?;
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

    /// Whether these bytes are its line, without white space at its ends. `scratch` is for work.
    pub fn is_of(&self, line: &[u8], scratch: &mut Vec<u8>) -> bool {
        if line.len() % LENGTHS != self.length {
            return false;
        }
        scratch.clear();
        scratch.extend_from_slice(line);
        let mut from = 0;
        while let Some(found) = Self::find(scratch, from) {
            if found.token == *self {
                scratch[found.at + CHECK_AT..found.at + LENGTH].copy_from_slice(NO_CHECK);
            }
            from = found.at + LENGTH;
        }
        check_of(scratch) == self.check
    }
}

#[expect(clippy::cast_possible_truncation, reason = "16 bits of it")]
fn check_of(line: &[u8]) -> u16 {
    rapidhash_v3(line) as u16
}

#[cfg(test)]
mod tests;
