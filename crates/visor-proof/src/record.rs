//! What a record says about the lines in it: a collector may have put something before or behind a
//! line, cut it, or joined it with others.

use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::token::{Found, LENGTH, LENGTHS, Token};

/// The maximum number of bytes before or behind a line, such as the head of a syslog message.
const MAX_AROUND: usize = 1 << 16;
/// How many tokens of a line are tried, for some texts only look like one.
const MAX_LOOKALIKES: usize = 4;
/// The maximum number of lengths that are tried for a line that others follow.
const MAX_LENGTHS: usize = 16;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// There is no token.
    NoToken,
    /// A line as it was written. Text before or behind it does no harm.
    Intact(Token),
    /// A line that has lost its end; `lost` is the number of bytes.
    Truncated {
        /// Its token.
        token: Token,
        /// How many bytes it has lost.
        lost: usize,
    },
    /// A line with other bytes than it was written with.
    Altered(Token),
    /// Several tokens, each with whether its line is intact: several lines, if they are tokens.
    Merged(Vec<(Token, bool)>),
}

impl Content {
    /// Its tokens.
    pub fn tokens(&self) -> Vec<Token> {
        match self {
            Self::NoToken => Vec::new(),
            Self::Intact(token) | Self::Truncated { token, .. } | Self::Altered(token) => {
                vec![*token]
            }
            Self::Merged(tokens) => tokens.iter().map(|(token, _)| *token).collect(),
        }
    }
}

/// Reads records, one after the other.
#[derive(Debug, Default)]
pub struct Reader {
    scratch: Vec<u8>,
    /// The different tokens of a record, in order.
    tokens: Vec<Found>,
}

impl Reader {
    /// The token of an intact line, if the record is one. This is the short way, for nearly all
    /// records.
    #[inline]
    pub fn intact(&mut self, record: &[u8]) -> Option<Token> {
        let record = record.trim_ascii();
        let found = Token::find(record, 0)?;
        self.is_line(found, record).then_some(found.token)
    }

    /// What a record says.
    pub fn read(&mut self, record: &[u8]) -> Content {
        let record = record.trim_ascii();
        let Some(first) = Token::find(record, 0) else { return Content::NoToken };
        if self.is_line(first, record) {
            return Content::Intact(first.token);
        }
        self.find_tokens(record, first);
        let tokens = std::mem::take(&mut self.tokens);
        let content = self.read_tokens(record, &tokens);
        self.tokens = tokens;
        content.unwrap_or_else(|| self.read_line(record, first))
    }

    /// What a record says by its tokens; `None` if only the first one counts.
    fn read_tokens(&mut self, record: &[u8], tokens: &[Found]) -> Option<Content> {
        let mut others = tokens.iter().skip(1);
        if let Some(found) = others.find(|found| self.is_line(**found, record)) {
            return Some(Content::Intact(found.token));
        }
        if tokens.len() == 1 {
            return None;
        }
        let intact = self.lines_of(record);
        let is_intact = |found: &Found| (found.token, intact.contains(&found.token));
        Some(Content::Merged(tokens.iter().map(is_intact).collect()))
    }

    /// Finds the different tokens of a record, of which this is the first.
    fn find_tokens(&mut self, record: &[u8], first: Found) {
        self.tokens.clear();
        self.tokens.push(first);
        let mut known = HashSet::from([first.token]);
        let mut from = first.at + LENGTH;
        while let Some(found) = Token::find(record, from) {
            if known.insert(found.token) {
                self.tokens.push(found);
            }
            from = found.at + LENGTH;
        }
    }

    /// What a record says that has only this token.
    fn read_line(&mut self, record: &[u8], found: Found) -> Content {
        let token = found.token;
        if self.is_at_end(found, record) || self.is_at_start(found, record) {
            return Content::Intact(token);
        }
        // Nobody knows how often 4,096 goes into the length of a line. A record that is shorter than
        // that has lost its end if it is shorter than told; a longer one, if its length is another.
        let told = token.length + if token.length < LENGTH { LENGTHS } else { 0 };
        match told.checked_sub(record.len()) {
            Some(0) => Content::Altered(token),
            Some(lost) => Content::Truncated { token, lost },
            None if record.len() >= LENGTHS && record.len() % LENGTHS != token.length => {
                let lost = (token.length + LENGTHS - record.len() % LENGTHS) % LENGTHS;
                Content::Truncated { token, lost }
            }
            None => Content::Altered(token),
        }
    }

    /// What a record says, of whose tokens only this one counts.
    pub(crate) fn read_as(&mut self, record: &[u8], token: &Token) -> Content {
        let record = record.trim_ascii();
        let mut from = 0;
        while let Some(found) = Token::find(record, from) {
            if found.token == *token {
                return self.read_line(record, found);
            }
            from = found.at + LENGTH;
        }
        Content::Altered(*token)
    }

    /// Whether a record is the line of this token.
    #[inline]
    pub(crate) fn is_line(&mut self, found: Found, record: &[u8]) -> bool {
        found.is_of(record, 0..record.len(), &mut self.scratch)
    }

    /// Whether the line is at the end of a record, behind something else.
    fn is_at_end(&mut self, found: Found, record: &[u8]) -> bool {
        let end = record.len();
        let mut starts = lengths(found, record).map(|length| end - length);
        starts.any(|start| found.is_of(record, start..end, &mut self.scratch))
    }

    /// Whether the line is at the start of a record, before something else.
    fn is_at_start(&mut self, found: Found, record: &[u8]) -> bool {
        lengths(found, record).any(|length| found.is_of(record, 0..length, &mut self.scratch))
    }

    /// The tokens of the lines that follow each other from the start of a record, and of the one at
    /// its end.
    fn lines_of(&mut self, record: &[u8]) -> HashSet<Token> {
        let (mut tokens, mut rest) = (HashSet::new(), record);
        while let Some((token, length)) = self.line_at_start(rest) {
            tokens.insert(token);
            rest = rest[length..].trim_ascii_start();
        }
        let mut last = VecDeque::new();
        let mut from = 0;
        while let Some(found) = Token::find(rest, from) {
            last.push_front(found);
            last.truncate(MAX_LOOKALIKES);
            from = found.at + LENGTH;
        }
        if let Some(found) = last.into_iter().find(|found| self.is_at_end(*found, rest)) {
            tokens.insert(found.token);
        }
        tokens
    }

    /// The token of the line at the start of these bytes, and its length.
    fn line_at_start(&mut self, bytes: &[u8]) -> Option<(Token, usize)> {
        let mut from = 0;
        for _ in 0..MAX_LOOKALIKES {
            let found = Token::find(bytes, from)?;
            if let Some(length) = self.length_at_start(found, bytes) {
                return Some((found.token, length));
            }
            from = found.at + LENGTH;
        }
        None
    }

    /// The length of the line at the start of these bytes.
    fn length_at_start(&mut self, found: Found, bytes: &[u8]) -> Option<usize> {
        let lengths = (found.token.length..=bytes.len()).step_by(LENGTHS);
        let mut lengths = lengths.filter(|length| *length >= LENGTH).take(MAX_LENGTHS);
        lengths.find(|length| found.is_of(bytes, 0..*length, &mut self.scratch))
    }
}

/// The lengths that a line may have with something before or behind it.
fn lengths(found: Found, record: &[u8]) -> impl Iterator<Item = usize> + use<> {
    let least = record.len().saturating_sub(MAX_AROUND).max(LENGTH);
    let first = found.token.length;
    let first = first + least.saturating_sub(first).div_ceil(LENGTHS) * LENGTHS;
    (first..=record.len()).step_by(LENGTHS)
}

#[cfg(test)]
mod tests;
