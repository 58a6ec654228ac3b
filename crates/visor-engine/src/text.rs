//! Text on its way into lines, and lines on their way out.
//!
//! A [`Text`] is made once and written often; [`Lines`] is where it is written to. Texts are kept
//! with their first 32 bytes at hand, and those are always copied whole: what is copied beyond a
//! text's end is overwritten by what follows. So the copy of a short text is a load and a store at
//! a known place, and most of a log line is short texts.

use std::ops::Deref;

const BLOCK: usize = 32;

/// Bytes that are written as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The first bytes, or all of them and then zeros.
    first: [u8; BLOCK],
    length: usize,
    all: Vec<u8>,
}

impl Text {
    /// These bytes, as they are.
    pub fn new(bytes: &[u8]) -> Self {
        let mut text = Self::default();
        text.set(bytes);
        text
    }

    /// Becomes these bytes, in the memory it has if they fit.
    pub fn set(&mut self, bytes: &[u8]) {
        self.all.clear();
        self.all.extend_from_slice(bytes);
        self.first = [0; BLOCK];
        let beginning = bytes.len().min(BLOCK);
        self.first[..beginning].copy_from_slice(&bytes[..beginning]);
        self.length = bytes.len();
    }

    /// What stands where there is nothing to say: `-`.
    pub fn absent() -> Self {
        Self::new(b"-")
    }

    /// Whether it's what stands where there is nothing to say.
    pub fn is_absent(&self) -> bool {
        **self == *b"-"
    }
}

impl Deref for Text {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.all
    }
}

/// A buffer of lines that grows at its end.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// Longer than what is written, so that the first bytes of a text have room.
    bytes: Vec<u8>,
    length: usize,
}

impl Lines {
    /// What has been written.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// How many bytes have been written.
    #[inline]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing has been written.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends a text.
    #[inline]
    pub fn put(&mut self, text: &Text) {
        match self.bytes.get_mut(self.length..).and_then(|room| room.first_chunk_mut()) {
            Some(room) => *room = text.first,
            None => return self.put_into_new_room(text),
        }
        if text.length > BLOCK {
            self.put_rest(text);
        }
        self.length += text.length;
    }

    /// Appends what a text has beyond its first block, whose place is at the end.
    fn put_rest(&mut self, text: &Text) {
        let (from, end) = (self.length + BLOCK, self.length + text.length);
        if end > self.bytes.len() {
            self.grow(end);
        }
        self.bytes[from..end].copy_from_slice(&text[BLOCK..]);
    }

    #[cold]
    fn put_into_new_room(&mut self, text: &Text) {
        self.grow(self.length + BLOCK);
        self.put(text);
    }

    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if end > self.bytes.len() {
            self.grow(end);
        }
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    /// Appends a byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        if self.length == self.bytes.len() {
            self.grow(self.length + 1);
        }
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    /// Appends a whole number in decimal.
    #[inline]
    pub fn number(&mut self, number: impl itoa::Integer) {
        self.extend(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Appends the last `digits` digits (at most 9) of a number that is not negative.
    #[expect(clippy::cast_sign_loss, reason = "a digit")]
    #[inline]
    pub fn digits(&mut self, mut number: i64, digits: usize) {
        let mut text = [b'0'; 9];
        for place in text[..digits].iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.extend(&text[..digits]);
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
        self.length = self.length.min(length);
    }

    /// Takes the first `length` bytes away.
    pub fn remove_first(&mut self, length: usize) {
        let length = length.min(self.length);
        self.bytes.copy_within(length..self.length, 0);
        self.length -= length;
    }

    /// Empties the buffer; its memory is kept for the next lines.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Gives memory back beyond this many bytes.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.bytes.truncate(capacity.max(self.length));
        self.bytes.shrink_to(capacity);
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.bytes.resize(needed.next_power_of_two().max(64), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is appended, in whatever way, the buffer holds it and nothing else.
        #[test]
        fn lines_hold_what_was_appended(
            parts in prop::collection::vec((0..4, prop::collection::vec(any::<u8>(), 0..100)), 0..60)
        ) {
            let (mut lines, mut wanted) = (Lines::default(), Vec::new());
            for (way, bytes) in &parts {
                match way {
                    0 => lines.put(&Text::new(bytes)),
                    1 => lines.extend(bytes),
                    2 => bytes.iter().for_each(|byte| lines.push(*byte)),
                    _ => {
                        lines.remove_first(bytes.len());
                        wanted.drain(..bytes.len().min(wanted.len()));
                        continue;
                    }
                }
                wanted.extend_from_slice(bytes);
            }
            prop_assert_eq!(lines.as_bytes(), wanted);
        }
    }

    #[test]
    fn hexadecimal_digits_are_the_last_ones() {
        let mut lines = Lines::default();
        lines.hexadecimal(0x01ab, 3);
        lines.hexadecimal(u128::MAX, 32);
        lines.hexadecimal(0, 1);
        assert_eq!(lines.as_bytes(), format!("1ab{}0", "f".repeat(32)).as_bytes());
    }

    #[test]
    fn a_text_is_its_bytes() {
        for length in [0, 1, 31, 32, 33, 200] {
            let bytes = vec![b'x'; length];
            assert_eq!(*Text::new(&bytes), *bytes);
        }
    }
}
