//! Syslog messages over TCP (RFC 6587): each with its length before it (octet counting), or ended by a
//! newline. What a message is, RFC 3164 or RFC 5424, matters only for its head, behind which the line is.

use memchr::memchr;

use super::{Framing, MAX_FRAME};
use crate::{malformed::Malformed, records::Records};

/// Syslog messages.
#[derive(Debug, Default)]
pub struct Syslog;

/// The maximum number of digits of a length.
const MAX_DIGITS: usize = 9;

/// A message at the start of bytes.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// It begins and ends there.
    Whole(std::ops::Range<usize>, usize),
    /// More bytes are needed.
    Incomplete,
}

impl Framing for Syslog {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn frames(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut length = 0;
        while let Start::Whole(_, end) = start(&bytes[length..])? {
            length += end;
        }
        Ok(length)
    }

    fn read(&mut self, frames: &[u8], records: &mut Records<'_>) -> Result<Vec<u8>, Malformed> {
        let mut rest = frames;
        while !rest.is_empty() {
            let (message, end) = match start(rest)? {
                Start::Whole(message, end) => (&rest[message], end),
                Start::Incomplete => (rest, rest.len()),
            };
            if !message.trim_ascii().is_empty() {
                records.message(message);
            }
            rest = &rest[end..];
        }
        Ok(Vec::new())
    }

    fn has_open_end(&self) -> bool {
        true
    }
}

/// The message at the start of these bytes, and where the next one begins.
fn start(bytes: &[u8]) -> Result<Start, Malformed> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let counts = (1..=MAX_DIGITS).contains(&digits) && bytes[0] != b'0';
    match bytes.get(digits) {
        None if counts => return Ok(Start::Incomplete),
        Some(b' ') if counts => {
            let length = bytes[..digits].iter().fold(0, |n, d| n * 10 + usize::from(d - b'0'));
            if length > MAX_FRAME {
                let why = format!("a message of {length} bytes is longer than {MAX_FRAME}");
                return Err(Malformed::new(&why));
            }
            // A line may begin with a number, too.
            if bytes.get(digits + 1).is_none_or(|first| *first == b'<') {
                let begin = digits + 1;
                let is_whole = bytes.len() >= begin + length;
                let whole = Start::Whole(begin..begin + length, begin + length);
                return Ok(if is_whole { whole } else { Start::Incomplete });
            }
        }
        _ => {}
    }
    Ok(memchr(b'\n', bytes).map_or(Start::Incomplete, |end| Start::Whole(0..end, end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_length_before_them_or_end_with_a_newline() {
        for (bytes, wanted) in [
            (&b""[..], Start::Incomplete),
            (b"<13>a", Start::Incomplete),
            (b"<13>a\n<13>b\n", Start::Whole(0..5, 6)),
            (b"6", Start::Incomplete),
            (b"6 ", Start::Incomplete),
            (b"6 <13>a", Start::Incomplete),
            (b"6 <13>ab6 <13>cd", Start::Whole(2..8, 8)),
            (b"7 <13>a\nb", Start::Whole(2..9, 9)),
            (b"127.0.0.1 - -\n", Start::Whole(0..13, 14)),
            (b"12 lines\n", Start::Whole(0..8, 9)),
            (b"0 \n", Start::Whole(0..2, 3)),
        ] {
            assert_eq!(start(bytes), Ok(wanted), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(start(b"999999999 <13>a").is_err());
        assert_eq!(Syslog.frames(b"<13>a\n6 <13>ab<13>c"), Ok(14));
    }
}
