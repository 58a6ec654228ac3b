//! What a record says about the lines in it: a collector may have put something before or behind a
//! line, cut it, or joined it with others.

use crate::token::{LENGTH, LENGTHS, Token};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Several lines, each with whether it is intact.
    Merged(Vec<(Token, bool)>),
}

/// Reads records, one after the other.
#[derive(Debug, Default)]
pub struct Reader {
    scratch: Vec<u8>,
    /// Further tokens of a record.
    tokens: Vec<Token>,
}

impl Reader {
    /// What a record says.
    pub fn read(&mut self, record: &[u8]) -> Content {
        let record = record.trim_ascii();
        let Some(found) = Token::find(record, 0) else { return Content::NoToken };
        let token = found.token;
        if token.is_of(record, &mut self.scratch) {
            return Content::Intact(token);
        }
        self.tokens.clear();
        self.tokens.push(token);
        let mut from = found.at + LENGTH;
        while let Some(other) = Token::find(record, from) {
            if !self.tokens.contains(&other.token) {
                self.tokens.push(other.token);
            }
            from = other.at + LENGTH;
        }
        let mut whole = self.tokens.iter().skip(1);
        if let Some(token) = whole.find(|token| token.is_of(record, &mut self.scratch)) {
            return Content::Intact(*token);
        }
        if self.tokens.len() > 1 {
            let intact = lines_of(record, &mut self.scratch);
            if !intact.is_empty() {
                let tokens = self.tokens.iter();
                return Content::Merged(tokens.map(|one| (*one, intact.contains(one))).collect());
            }
            // One of them is what is left of the other.
        }
        self.read_line(record, token)
    }

    /// What a record says that has only this token.
    pub(crate) fn read_line(&mut self, record: &[u8], token: Token) -> Content {
        let record = record.trim_ascii();
        if end_of(&token, record, &mut self.scratch).is_some()
            || start_of(&token, record, &mut self.scratch).is_some()
        {
            return Content::Intact(token);
        }
        // Nobody knows how often 4,096 goes into the length of a line. A record that is shorter than
        // that has lost its end if it is shorter than told; a longer one, if its length is another.
        match token.length.checked_sub(record.len()) {
            Some(0) => Content::Altered(token),
            Some(lost) => Content::Truncated { token, lost },
            None if record.len() >= LENGTHS && record.len() % LENGTHS != token.length => {
                let lost = (token.length + LENGTHS - record.len() % LENGTHS) % LENGTHS;
                Content::Truncated { token, lost }
            }
            None => Content::Altered(token),
        }
    }

    /// Whether these bytes are the line of a token, with nothing before or behind it.
    pub fn is_line(&mut self, token: &Token, bytes: &[u8]) -> bool {
        token.is_of(bytes.trim_ascii(), &mut self.scratch)
    }
}

/// The lengths that a line within a record may have.
fn lengths_within(token: &Token, record: &[u8]) -> impl Iterator<Item = usize> + use<> {
    (token.length..=record.len()).step_by(LENGTHS).filter(|length| *length >= LENGTH)
}

/// The line at the start of a record.
fn start_of<'a>(token: &Token, record: &'a [u8], scratch: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut lines = lengths_within(token, record).map(|length| &record[..length]);
    lines.find(|line| token.is_of(line, scratch))
}

/// The line at the end of a record.
fn end_of<'a>(token: &Token, record: &'a [u8], scratch: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut lines = lengths_within(token, record).map(|length| &record[record.len() - length..]);
    lines.find(|line| token.is_of(line, scratch))
}

/// The tokens of the lines that follow each other from the start of a record, and of the one at its
/// end.
fn lines_of(record: &[u8], scratch: &mut Vec<u8>) -> Vec<Token> {
    let (mut tokens, mut rest) = (Vec::new(), record);
    while let Some(found) = Token::find(rest, 0)
        && let Some(line) = start_of(&found.token, rest, scratch)
    {
        tokens.push(found.token);
        rest = rest[line.len()..].trim_ascii_start();
    }
    let mut from = 0;
    while let Some(found) = Token::find(rest, from) {
        if end_of(&found.token, rest, scratch).is_some() {
            tokens.push(found.token);
        }
        from = found.at + LENGTH;
    }
    tokens
}

#[cfg(test)]
mod tests;
