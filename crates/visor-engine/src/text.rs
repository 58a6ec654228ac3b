//! Buffers for texts and lines.
//!
//! A [`Text`] is created once and written often, to a [`Line`] at the end of [`Lines`]. The first
//! 32 bytes of a text are stored inline and always copied completely: what is copied beyond the end
//! of the text is overwritten by the next one. So copying a short text is one load and one store,
//! and most of a log line is short texts.

use std::ops::{Deref, Range};

const BLOCK: usize = 32;

/// Bytes that are written frequently.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The first bytes, padded with zeros.
    first: [u8; BLOCK],
    length: usize,
    /// All bytes, if there are more.
    all: Vec<u8>,
}

impl Text {
    /// These bytes, as they are.
    pub fn new(bytes: &[u8]) -> Self {
        let mut text = Self::default();
        text.set(bytes);
        text
    }

    /// Replaces the bytes, without an allocation if they fit.
    pub fn set(&mut self, bytes: &[u8]) {
        self.all.clear();
        if bytes.len() > BLOCK {
            self.all.extend_from_slice(bytes);
        }
        self.first = [0; BLOCK];
        let beginning = bytes.len().min(BLOCK);
        self.first[..beginning].copy_from_slice(&bytes[..beginning]);
        self.length = bytes.len();
    }
}

impl Deref for Text {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.first.get(..self.length).unwrap_or(&self.all)
    }
}

/// A growing buffer of lines, which knows where records end.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// Longer than its content, so that a whole block can always be copied.
    bytes: Vec<u8>,
    length: usize,
    ends: Vec<usize>,
}

impl Lines {
    /// The content.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The number of bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there is no content.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Ends a record: usually a line, but it may have several.
    #[inline]
    pub fn end_record(&mut self) {
        self.ends.push(self.length);
    }

    /// The end of each record, as a number of bytes from the start. The first one may have lost its
    /// own start ([`remove_first`](Self::remove_first)).
    #[inline]
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// Has `change` change each of these records. Their lengths stay.
    #[inline]
    pub fn change_records(&mut self, which: Range<usize>, mut change: impl FnMut(&mut [u8])) {
        let before = which.start.checked_sub(1).and_then(|before| self.ends.get(before));
        let mut start = before.copied().unwrap_or_default();
        for end in self.ends.get(which).unwrap_or_default() {
            change(&mut self.bytes[start..*end]);
            start = *end;
        }
    }

    /// Starts a line at the end.
    #[inline]
    pub const fn line(&mut self) -> Line<'_> {
        Line { end: self.length, lines: self }
    }

    /// Removes the first `length` bytes.
    pub fn remove_first(&mut self, length: usize) {
        let length = length.min(self.length);
        self.bytes.copy_within(length..self.length, 0);
        self.length -= length;
        let ended = self.ends.partition_point(|end| *end <= length);
        self.ends.drain(..ended);
        self.ends.iter_mut().for_each(|end| *end -= length);
    }

    /// Empties the buffer; its memory is kept for the next lines.
    pub fn clear(&mut self) {
        self.length = 0;
        self.ends.clear();
    }

    /// Releases memory beyond this many bytes.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.bytes.truncate(capacity.max(self.length));
        self.bytes.shrink_to(capacity);
        self.ends.shrink_to(capacity / BLOCK);
    }

    #[cold]
    fn put_into_new_room(&mut self, at: usize, block: &[u8]) {
        let end = at + block.len();
        self.grow(end);
        self.bytes[at..end].copy_from_slice(block);
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.bytes.resize(needed.next_power_of_two().max(64), 0);
    }
}

/// A line, or a piece of text, that is being written at the end of [`Lines`]. It is added to them
/// by [`keep`](Self::keep); until then its length is only stored here, so that the compiler can
/// keep it in a register.
#[derive(Debug)]
#[must_use = "a line that isn't kept is lost"]
pub struct Line<'a> {
    lines: &'a mut Lines,
    end: usize,
}

impl Line<'_> {
    /// Adds the line to the lines.
    #[inline]
    pub const fn keep(self) {
        self.lines.length = self.end;
    }

    /// How many bytes it has so far.
    #[inline]
    pub const fn len(&self) -> usize {
        self.end - self.lines.length
    }

    /// Whether it has no bytes yet.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the first `length` bytes of a block, which is copied completely.
    #[inline]
    pub fn put_block<const WIDTH: usize>(&mut self, block: &[u8; WIDTH], length: usize) {
        match self.lines.bytes.get_mut(self.end..).and_then(|room| room.first_chunk_mut()) {
            Some(room) => *room = *block,
            None => self.lines.put_into_new_room(self.end, block),
        }
        self.end += length;
    }

    /// Appends a text.
    #[inline]
    pub fn put(&mut self, text: &Text) {
        self.put_block(&text.first, text.length.min(BLOCK));
        if text.length > BLOCK {
            self.extend(&text[BLOCK..]);
        }
    }

    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        if end > self.lines.bytes.len() {
            self.lines.grow(end);
        }
        self.lines.bytes[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    /// Appends a byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.put_block(&[byte], 1);
    }

    /// Appends an integer in decimal. Most have at most eight digits: those are written as one
    /// block, without a branch on the number of digits.
    #[inline]
    pub fn number(&mut self, number: impl Into<u64>) {
        let number = number.into();
        match u32::try_from(number) {
            Ok(number @ 0..100_000_000) => {
                let digits = eight_digits(number);
                let zeros = (digits.trailing_zeros() / 8).min(7);
                let text = (digits >> (8 * zeros)) | u64::from_ne_bytes([b'0'; 8]);
                self.put_block(&text.to_le_bytes(), 8 - zeros as usize);
            }
            _ => self.extend(itoa::Buffer::new().format(number).as_bytes()),
        }
    }

    /// Appends a signed integer in decimal.
    pub fn signed_number(&mut self, number: impl Into<i64>) {
        let number = number.into();
        if number < 0 {
            self.push(b'-');
        }
        self.number(number.unsigned_abs());
    }

    /// Appends the last `digits` digits (at most 8) of a number that is not negative.
    #[inline]
    pub fn digits(&mut self, number: i64, digits: usize) {
        self.put_block(&last_digits(number, digits), digits);
    }

    /// Appends a text, and overwrites it from byte `at` on with the last `digits` digits (at most 8)
    /// of a number that is not negative.
    #[inline]
    pub fn put_with_digits(&mut self, text: &Text, at: usize, number: i64, digits: usize) {
        let start = self.end + at;
        self.put(text);
        if let Some(place) = self.lines.bytes.get_mut(start..start + digits) {
            place.copy_from_slice(&last_digits(number, digits)[..digits]);
        }
    }

    /// Appends the last `digits` hexadecimal digits of a number, in lower case.
    pub fn hexadecimal(&mut self, number: u128, digits: u32) {
        for place in (0..digits).rev() {
            let digit = number >> (4 * place) & 15;
            self.push(b"0123456789abcdef"[usize::try_from(digit).unwrap_or(0)]);
        }
    }

    /// Keeps only the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.end.min(self.lines.length + length);
    }
}

/// The digits of a number below 10^8, one per byte, the first one lowest. By halving: one number in
/// 64 bits becomes two, four, and then eight, each step by one multiplication.
const fn eight_digits(number: u32) -> u64 {
    let by_four = (number / 10_000) as u64 | ((number % 10_000) as u64) << 32;
    let hundreds = (by_four * 5_243) >> 19 & 0x0000_007f_0000_007f;
    let by_two = hundreds | (by_four - hundreds * 100) << 16;
    let tens = (by_two * 103) >> 10 & 0x000f_000f_000f_000f;
    tens | (by_two - tens * 10) << 8
}

/// The last digits (at most 8) of a number that is not negative, and zeros behind them.
#[expect(clippy::cast_sign_loss, reason = "it is not negative")]
#[inline]
fn last_digits(number: i64, digits: usize) -> [u8; 8] {
    let text = eight_digits((number % 100_000_000) as u32) | u64::from_ne_bytes([b'0'; 8]);
    (text >> (8 * (8 - digits.clamp(1, 8)))).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is appended, in whatever way, the buffer holds it and nothing else, and knows
        /// its ends.
        #[test]
        fn lines_hold_what_was_appended(
            parts in prop::collection::vec((0..4, prop::collection::vec(any::<u8>(), 0..100)), 0..60)
        ) {
            let (mut lines, mut wanted, mut ends) = (Lines::default(), Vec::new(), Vec::new());
            for (way, bytes) in &parts {
                let mut line = lines.line();
                match way {
                    0 => line.put(&Text::new(bytes)),
                    1 => line.extend(bytes),
                    2 => bytes.iter().for_each(|byte| line.push(*byte)),
                    _ => {
                        lines.remove_first(bytes.len());
                        let length = bytes.len().min(wanted.len());
                        wanted.drain(..length);
                        ends.retain(|end| *end > length);
                        for end in &mut ends {
                            *end -= length;
                        }
                        continue;
                    }
                }
                line.keep();
                lines.end_record();
                wanted.extend_from_slice(bytes);
                ends.push(wanted.len());
            }
            prop_assert_eq!(lines.as_bytes(), wanted);
            prop_assert_eq!(lines.ends(), ends);
        }
    }

    #[test]
    fn hexadecimal_digits_are_the_last_ones() {
        let mut lines = Lines::default();
        let mut line = lines.line();
        line.hexadecimal(0x01ab, 3);
        line.hexadecimal(u128::MAX, 32);
        line.hexadecimal(0, 1);
        line.keep();
        assert_eq!(lines.as_bytes(), format!("1ab{}0", "f".repeat(32)).as_bytes());
    }

    #[test]
    fn digits_are_the_last_ones_and_may_overwrite_a_text() {
        let mut lines = Lines::default();
        let mut line = lines.line();
        line.digits(1_234_567_890_123, 3);
        line.digits(7, 8);
        line.put_with_digits(&Text::new(b"[......]"), 1, 98_765, 6);
        line.put_with_digits(&Text::new(&[b'.'; 40]), 0, 1, 1);
        line.keep();
        let wanted = format!("12300000007[098765]1{}", ".".repeat(39));
        assert_eq!(lines.as_bytes(), wanted.as_bytes());
    }

    #[test]
    fn a_number_is_its_digits() {
        let powers = (0..20).map(|exponent| 10u64.pow(exponent));
        let around = powers.flat_map(|power| power.saturating_sub(1_111)..power + 1_111);
        for number in around.chain([u64::MAX, u32::MAX.into()]) {
            let mut lines = Lines::default();
            let mut line = lines.line();
            line.number(number);
            line.push(b' ');
            line.signed_number(number.cast_signed());
            line.keep();
            let wanted = format!("{number} {}", number.cast_signed());
            assert_eq!(lines.as_bytes(), wanted.as_bytes());
        }
    }

    #[test]
    fn a_text_is_its_bytes() {
        for length in [0, 1, 31, 32, 33, 200] {
            let bytes = vec![b'x'; length];
            assert_eq!(*Text::new(&bytes), *bytes);
        }
    }
}
