//! What arrived so far, by lane. Inputs are read one after the other or in turns; each is a file or a
//! connection, in whose order its records were sent.

use std::collections::HashMap;

use crate::{
    lane::Lane,
    numbers::Numbers,
    record::{Content, Reader},
    token::{LENGTH, Token},
};

/// The maximum number of lanes; tokens of further ones are counted as foreign.
const MAX_LANES: usize = 1 << 20;
/// The maximum number of examples of a fault.
const MAX_EXAMPLES: usize = 10;
/// In a place of raw lines at least one of so many records is one.
const RAW_SHARE: u64 = 100;
/// The maximum number of records that wait for it to be known whether their place has raw lines.
const MAX_UNDECIDED: usize = 100_000;
/// The maximum number of records that may be the pieces of one line, and of their bytes.
const MAX_PIECES: usize = 16;
const MAX_PIECES_BYTES: usize = 1 << 20;

/// What arrived.
#[derive(Debug, Default)]
pub struct Delivery {
    pub(crate) lanes: HashMap<Lane, Received>,
    pub(crate) records: u64,
    pub(crate) without_token: u64,
    /// Lines of which only fields arrived.
    pub(crate) unchecked: u64,
    /// Tokens of lanes for which there is no room.
    pub(crate) of_further_lanes: u64,
}

/// What arrived of a lane.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The lines that arrived with all their bytes.
    pub(crate) seen: Numbers,
    /// The lines that arrived in another state. What tells their number may itself have changed.
    pub(crate) claimed: Numbers,
    /// How many more than once, copies counted.
    pub(crate) duplicated: Fault,
    pub(crate) out_of_order: Fault,
    pub(crate) truncated: Fault,
    pub(crate) split: Fault,
    pub(crate) merged: Fault,
    pub(crate) altered: Fault,
    /// Whether a line was intact.
    pub(crate) is_proven: bool,
}

/// How often something happened, and the first times.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) count: u64,
    pub(crate) examples: Vec<Example>,
}

/// A line to which something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its number in the lane.
    pub number: u32,
    /// The record, from 1, in its input.
    pub record: u64,
    /// The input.
    pub input: String,
}

/// An input: records in the order in which they were sent.
#[derive(Debug)]
pub struct Input<'a> {
    delivery: &'a mut Delivery,
    name: String,
    records: u64,
    reader: Reader,
    /// The greatest number so far, by lane.
    greatest: HashMap<Lane, u32>,
    /// Records that aren't whole, one after the other: maybe pieces of a line.
    pieces: Vec<Piece>,
    /// Decoded records that were lines themselves, and those of which a string was one.
    whole_lines: u64,
    parts: u64,
    /// Those without a line: what is done about them depends on how many have one.
    undecided: Vec<Undecided>,
}

/// A decoded record without a line.
#[derive(Debug)]
struct Undecided {
    /// What the record says.
    whole: Content,
    /// What the longest of its strings with a token says.
    part: Content,
    record: u64,
}

/// How a line arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Arrival {
    /// With all its bytes.
    Whole,
    /// With all that can be known of its bytes; when, is not known.
    Unordered,
    /// In another state.
    Claimed,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    content: Content,
    record: u64,
}

impl Delivery {
    /// Begins another input.
    pub fn input(&mut self, name: impl Into<String>) -> Input<'_> {
        Input {
            delivery: self,
            name: name.into(),
            records: 0,
            reader: Reader::default(),
            greatest: HashMap::new(),
            pieces: Vec::new(),
            whole_lines: 0,
            parts: 0,
            undecided: Vec::new(),
        }
    }

    /// How many records arrived.
    pub const fn records(&self) -> u64 {
        self.records
    }
}

impl Input<'_> {
    /// Adds a record.
    pub fn record(&mut self, record: &[u8]) {
        self.records += 1;
        self.delivery.records += 1;
        let content = self.reader.read(record);
        if let Content::Intact(token) = content {
            self.end_pieces();
            return self.arrived(&token, self.records, Arrival::Whole, |received| {
                received.is_proven = true;
            });
        }
        self.pieces.push(Piece {
            bytes: record.trim_ascii_end().to_vec(),
            content,
            record: self.records,
        });
        self.join();
    }

    /// Adds a record that may be decoded to several strings. The record itself or one of them may be a
    /// line; but where a collector sends only the fields of lines, nobody can check these.
    pub fn decoded(&mut self, record: &[u8], strings: impl FnOnce() -> Option<Vec<Vec<u8>>>) {
        let whole = self.reader.read(record);
        if let Content::Intact(_) = whole {
            self.whole_lines += 1;
            return self.record(record);
        }
        let Some(strings) = strings() else { return self.record(record) };
        self.records += 1;
        self.delivery.records += 1;
        self.end_pieces();
        let (mut part, mut longest) = (Content::NoToken, 0);
        for string in &strings {
            let content = self.reader.read(string);
            // An identifier alone is a field.
            if let Content::Intact(token) = content
                && string.trim_ascii().len() > LENGTH
            {
                self.parts += 1;
                let count = |received: &mut Received| received.is_proven = true;
                return self.arrived(&token, self.records, Arrival::Whole, count);
            }
            if content != Content::NoToken && string.len() > longest {
                (part, longest) = (content, string.len());
            }
        }
        if part == Content::NoToken {
            self.delivery.without_token += 1;
            return;
        }
        self.undecided.push(Undecided { whole, part, record: self.records });
        if self.undecided.len() >= MAX_UNDECIDED {
            self.decide();
        }
    }

    /// Ends the input.
    pub fn finish(mut self) {
        self.end_pieces();
        self.decide();
    }

    /// Counts the records without a line: where others have one, something happened to these;
    /// elsewhere their contents can't be checked.
    fn decide(&mut self) {
        let undecided = std::mem::take(&mut self.undecided);
        let is_enough = |lines: u64| lines > 0 && lines * RAW_SHARE >= undecided.len() as u64;
        let (are_whole, are_parts) = (is_enough(self.whole_lines), is_enough(self.parts));
        for Undecided { whole, part, record } in undecided {
            let content = if are_whole { whole } else { part };
            match content.token() {
                Some(token) if !are_whole && !are_parts => {
                    self.arrived(&token, record, Arrival::Unordered, |_| ());
                    self.delivery.unchecked += 1;
                }
                _ => self.end_piece(&Piece { bytes: Vec::new(), content, record }),
            }
        }
    }

    /// Joins the pieces at the end to a line, if they are one.
    fn join(&mut self) {
        let count = self.pieces.len();
        for first in (0..count.saturating_sub(1)).rev() {
            let mut tokens = self.pieces[first..].iter().filter_map(|piece| piece.content.token());
            let Some(token) = tokens.next() else { continue };
            if tokens.any(|other| other != token) {
                break;
            }
            let bytes: Vec<&[u8]> =
                self.pieces[first..].iter().map(|piece| &piece.bytes[..]).collect();
            if self.reader.is_line(&token, &bytes.concat()) {
                let record = self.pieces[first].record;
                self.pieces.truncate(first);
                self.end_pieces();
                return self.fault(&token, record, Arrival::Whole, |received| &mut received.split);
            }
        }
        let bytes: usize = self.pieces.iter().map(|piece| piece.bytes.len()).sum();
        if count > MAX_PIECES || bytes > MAX_PIECES_BYTES {
            let first = self.pieces.remove(0);
            self.end_piece(&first);
        }
    }

    fn end_pieces(&mut self) {
        for piece in std::mem::take(&mut self.pieces) {
            self.end_piece(&piece);
        }
    }

    /// Counts a record that isn't a piece of a line.
    fn end_piece(&mut self, piece: &Piece) {
        match &piece.content {
            Content::NoToken => self.delivery.without_token += 1,
            Content::Intact(token) => {
                self.arrived(token, piece.record, Arrival::Whole, |received| {
                    received.is_proven = true;
                });
            }
            Content::Truncated { token, .. } => {
                self.fault(token, piece.record, Arrival::Claimed, |received| {
                    &mut received.truncated
                });
            }
            Content::Altered(token) => {
                self.fault(token, piece.record, Arrival::Claimed, |received| &mut received.altered);
            }
            Content::Merged(tokens) => {
                // A text may look like a token, but nothing proves its lane.
                let lanes = &self.delivery.lanes;
                let is_proven = |(token, _): &&(Token, bool)| {
                    lanes.get(&token.lane).is_some_and(|lane| lane.is_proven)
                };
                let proven: Vec<(Token, bool)> = tokens.iter().filter(is_proven).copied().collect();
                if let [(token, _)] = proven[..] {
                    let content = self.reader.read_line(&piece.bytes, token);
                    let (bytes, record) = (piece.bytes.clone(), piece.record);
                    return self.end_piece(&Piece { bytes, content, record });
                }
                let all = if proven.is_empty() { tokens } else { &proven };
                for (index, (token, is_whole)) in all.iter().enumerate() {
                    let arrival = if *is_whole { Arrival::Whole } else { Arrival::Claimed };
                    if index == 0 {
                        self.fault(token, piece.record, arrival, |received| &mut received.merged);
                    } else {
                        self.arrived(token, piece.record, arrival, |_| ());
                    }
                }
            }
        }
    }

    /// Counts a line to which something happened.
    fn fault(
        &mut self,
        token: &Token,
        record: u64,
        arrival: Arrival,
        which: impl Fn(&mut Received) -> &mut Fault,
    ) {
        let example = Example { number: token.number, record, input: self.name.clone() };
        self.arrived(token, record, arrival, |received| which(received).add(|| example));
    }

    /// Counts a line that arrived, with all its bytes or in another state.
    fn arrived(
        &mut self,
        token: &Token,
        record: u64,
        arrival: Arrival,
        count: impl FnOnce(&mut Received),
    ) {
        let lanes = &mut self.delivery.lanes;
        if lanes.len() >= MAX_LANES && !lanes.contains_key(&token.lane) {
            self.delivery.of_further_lanes += 1;
            return;
        }
        let received = lanes.entry(token.lane).or_default();
        count(received);
        let example = || Example { number: token.number, record, input: self.name.clone() };
        if arrival == Arrival::Claimed {
            if !received.claimed.insert(token.number) {
                received.duplicated.add(example);
            }
            return;
        }
        let is_new = received.seen.insert(token.number);
        if arrival == Arrival::Unordered {
            if !is_new {
                received.duplicated.add(example);
            }
            return;
        }
        let greatest = self.greatest.entry(token.lane).or_insert(token.number);
        if !is_new {
            received.duplicated.add(example);
        } else if token.number < *greatest {
            received.out_of_order.add(example);
        }
        *greatest = (*greatest).max(token.number);
    }
}

impl Fault {
    fn add(&mut self, example: impl FnOnce() -> Example) {
        self.count += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(example());
        }
    }
}

impl Content {
    /// The token, if there is only one.
    const fn token(&self) -> Option<Token> {
        match self {
            Self::Intact(token) | Self::Truncated { token, .. } | Self::Altered(token) => {
                Some(*token)
            }
            Self::NoToken | Self::Merged(_) => None,
        }
    }
}
