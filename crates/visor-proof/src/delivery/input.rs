//! An input: records in the order in which they were sent. A record is a line, or has fields that may
//! be lines; several records may be the pieces of one line.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use super::{Arrival, At, Delivery, FaultKind, Order, places::Undecided};
use crate::{
    record::{Content, Reader},
    token::{Found, LENGTH, LENGTHS, Token},
};

/// The maximum number of records that may be the pieces of one line, and of their bytes.
const MAX_PIECES: usize = 64;
const MAX_PIECES_BYTES: usize = 1 << 20;

/// An input.
#[derive(Debug)]
pub struct Input<'a> {
    delivery: &'a mut Delivery,
    state: InputState,
}

/// What is known of an input of which more records follow later.
#[derive(Debug)]
pub struct InputState {
    pub(super) at: At,
    reader: Reader,
    order: Order,
    /// Records that aren't whole, one after the other: maybe pieces of a line.
    pub(super) pieces: Vec<Piece>,
    /// The field of the last line, and its name.
    field: Option<(String, usize)>,
}

/// A text within a record, and the name of its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name: the key in an object, or the title of a column.
    pub name: Cow<'a, str>,
    /// The text.
    pub text: Cow<'a, [u8]>,
}

/// A record that may be a piece of a line.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) content: Content,
    pub(super) record: u64,
    /// The field that it is, and what the record itself says; `None` if it isn't a field.
    pub(super) field: Option<(usize, Content)>,
}

impl InputState {
    /// An input of which nothing is read yet.
    pub fn new(name: &str) -> Self {
        let at = At { record: 0, input: Arc::from(name) };
        let (reader, order) = (Reader::default(), Order::default());
        Self { at, reader, order, pieces: Vec::new(), field: None }
    }
}

impl<'a> Input<'a> {
    pub(super) const fn new(delivery: &'a mut Delivery, state: InputState) -> Self {
        Self { delivery, state }
    }

    /// Lets other inputs be read. [`Delivery::resume`] goes on with this one.
    pub fn pause(self) -> InputState {
        self.state
    }

    /// Adds a record, and returns whether it is an intact line, with nothing before or behind it. If
    /// it isn't, nothing is done.
    #[inline]
    pub fn intact(&mut self, record: &[u8]) -> bool {
        let Some(token) = self.state.reader.intact(record) else { return false };
        self.begin_record();
        self.end_pieces();
        self.arrived(&token, Arrival::Whole, None);
        true
    }

    /// Adds a record that may be a line.
    pub fn record(&mut self, record: &[u8]) {
        if self.intact(record) {
            return;
        }
        self.begin_record();
        match self.state.reader.read(record) {
            Content::Intact(token) => {
                self.end_pieces();
                self.arrived(&token, Arrival::Whole, None);
            }
            content => self.add_piece(without_end_of_line(record), content, None),
        }
    }

    /// Adds a record that has fields. The record itself or a field may be a line; a field may also be
    /// an intact line of many.
    pub fn fields(&mut self, record: &[u8], fields: &[Field<'_>]) {
        let whole = self.state.reader.read(record);
        self.begin_record();
        if let Content::Intact(token) = whole {
            self.end_pieces();
            self.arrived(&token, Arrival::Whole, None);
            return self.has_records();
        }
        let mut intact = HashSet::new();
        let mut others: Vec<(&Field<'_>, Content)> = Vec::new();
        for field in fields {
            match self.state.reader.read(&field.text) {
                Content::NoToken => {}
                // An identifier alone is a field.
                Content::Intact(token) if field.text.trim_ascii().len() > LENGTH => {
                    self.end_pieces();
                    if intact.insert(token) {
                        let field = self.field(&field.name);
                        self.line_in(field, &token);
                    }
                }
                content => others.push((field, content)),
            }
        }
        // What another field has of a line that is here does no harm.
        others.retain(|(_, content)| !content.tokens().iter().any(|token| intact.contains(token)));
        if others.is_empty() {
            if intact.is_empty() {
                self.without_token(fields);
            }
            return;
        }
        // Of each line, what the longest text says.
        others.sort_by_key(|(field, _)| std::cmp::Reverse(field.text.len()));
        let mut known: HashSet<Token> = HashSet::new();
        others.retain(|(_, content)| {
            let tokens = content.tokens();
            let is_known = tokens.iter().any(|token| known.contains(token));
            known.extend(tokens);
            !is_known
        });
        let may_be_piece = intact.is_empty() && others.len() == 1;
        for (field, content) in others {
            let index = self.field(&field.name);
            if may_be_piece {
                let bytes = without_end_of_line(&field.text);
                self.add_piece(bytes, content, Some((index, whole.clone())));
            } else {
                self.undecided(&field.text, content, index, whole.clone(), self.state.at.clone());
            }
        }
    }

    /// Adds a record, each of whose tokens is in a field that is an intact line.
    pub(crate) fn lines(&mut self, lines: &[(usize, Token)]) {
        self.begin_record();
        self.end_pieces();
        if let [(field, token)] = lines {
            return self.line_in(*field, token);
        }
        let mut known = HashSet::new();
        for (field, token) in lines {
            if known.insert(*token) {
                self.line_in(*field, token);
            }
        }
    }

    /// Adds a record with fields that is an intact line itself, and returns whether it is one. If it
    /// isn't, nothing is done. `found` is its first token.
    pub(crate) fn intact_record(&mut self, record: &[u8], found: Found) -> bool {
        if !self.state.reader.is_line(found, record) {
            return false;
        }
        self.begin_record();
        self.end_pieces();
        self.arrived(&found.token, Arrival::Whole, None);
        self.has_records();
        true
    }

    /// The token of a text that is an intact line, with something before or behind it or not. `found`
    /// is its first token.
    pub(crate) fn token_of(&mut self, text: &[u8], found: Found) -> Option<Token> {
        if self.state.reader.is_line(found, text) {
            return Some(found.token);
        }
        match self.state.reader.read(text) {
            Content::Intact(token) => Some(token),
            _ => None,
        }
    }

    /// Whether a text is an intact line, with nothing before or behind it.
    pub(crate) fn is_line(&mut self, text: &[u8]) -> bool {
        self.state.reader.intact(text).is_some()
    }

    /// Whether a text is an intact line, with something before or behind it or not.
    pub(crate) fn has_line(&mut self, text: &[u8]) -> bool {
        matches!(self.state.reader.read(text), Content::Intact(_))
    }

    /// The name of the field of the last line.
    pub(crate) fn last_field(&self) -> Option<&str> {
        self.state.field.as_ref().map(|(name, _)| name.as_str())
    }

    /// Ends the input.
    pub fn finish(mut self) {
        self.end_pieces();
    }

    fn begin_record(&mut self) {
        self.state.at.record += 1;
        self.delivery.records += 1;
    }

    /// Notes that the last line was a whole record of those with fields.
    fn has_records(&mut self) {
        if let Some(slot) = self.state.order.last_slot()
            && let Some((lane, received)) = self.delivery.lanes.get_mut(slot)
            && !std::mem::replace(&mut received.has_records, true)
            && let Some(changes) = &mut self.delivery.changes
        {
            changes.lane(slot, *lane).has_records();
        }
    }

    /// Counts an intact line in a field.
    fn line_in(&mut self, field: usize, token: &Token) {
        self.delivery.places.add_line(field);
        self.arrived(token, Arrival::Whole, None);
    }

    /// The index of the field with this name.
    pub(crate) fn field(&mut self, name: &str) -> usize {
        match &self.state.field {
            Some((last, index)) if last == name => *index,
            _ => {
                let index = self.delivery.places.index(name);
                self.state.field = Some((name.to_owned(), index));
                index
            }
        }
    }

    /// Counts a record without a token: maybe a piece of a line.
    fn without_token(&mut self, fields: &[Field<'_>]) {
        let last = self.state.field.as_ref();
        let same = last.and_then(|(name, index)| {
            fields.iter().find(|field| field.name == *name).map(|field| (field, *index))
        });
        let Some((field, index)) = same else {
            self.end_pieces();
            self.delivery.without_token += 1;
            return;
        };
        let bytes = without_end_of_line(&field.text);
        self.add_piece(bytes, Content::NoToken, Some((index, Content::NoToken)));
    }

    fn add_piece(&mut self, bytes: &[u8], content: Content, field: Option<(usize, Content)>) {
        let record = self.state.at.record;
        self.state.pieces.push(Piece { bytes: bytes.to_vec(), content, record, field });
        self.join();
    }

    /// Joins the pieces at the end to a line, if they are one.
    fn join(&mut self) {
        let count = self.state.pieces.len();
        let field_of = |piece: &Piece| piece.field.as_ref().map(|(field, _)| *field);
        let mut token = None;
        let mut length = 0;
        for first in (0..count).rev() {
            let piece = &self.state.pieces[first];
            length += piece.bytes.len();
            if field_of(piece) != field_of(&self.state.pieces[count - 1]) {
                break;
            }
            match (&piece.content, token) {
                (Content::NoToken, _) => {}
                (Content::Truncated { token: other, .. } | Content::Altered(other), None) => {
                    token = Some(*other);
                }
                (
                    Content::Truncated { token: other, .. } | Content::Altered(other),
                    Some(token),
                ) if *other == token => {}
                _ => break,
            }
            let Some(token) = token else { continue };
            // White space at its ends doesn't count.
            if first == count - 1 || !could_be(&token, length, &self.state.pieces[first..]) {
                continue;
            }
            let bytes: Vec<&[u8]> =
                self.state.pieces[first..].iter().map(|piece| &piece.bytes[..]).collect();
            if self.state.reader.intact(&bytes.concat()) == Some(token) {
                let (record, field) = (piece.record, field_of(piece));
                self.state.pieces.truncate(first);
                self.end_pieces();
                if let Some(field) = field {
                    self.delivery.places.add_line(field);
                }
                let last = std::mem::replace(&mut self.state.at.record, record);
                self.arrived(&token, Arrival::Whole, Some(FaultKind::Split));
                self.state.at.record = last;
                return;
            }
        }
        let bytes: usize = self.state.pieces.iter().map(|piece| piece.bytes.len()).sum();
        if count > MAX_PIECES || bytes > MAX_PIECES_BYTES {
            let first = self.state.pieces.remove(0);
            self.end_piece(first);
        }
    }

    #[inline]
    fn end_pieces(&mut self) {
        if !self.state.pieces.is_empty() {
            for piece in std::mem::take(&mut self.state.pieces) {
                self.end_piece(piece);
            }
        }
    }

    /// Counts a record that isn't a piece of a line.
    fn end_piece(&mut self, piece: Piece) {
        let Piece { bytes, content, record, field } = piece;
        let at = At { record, input: Arc::clone(&self.state.at.input) };
        match field {
            Some((field, whole)) if content != Content::NoToken => {
                self.undecided(&bytes, content, field, whole, at);
            }
            _ => self.delivery.count(&content, &bytes, &at, Some(&mut self.state.order)),
        }
    }

    /// Adds a record that isn't a line; what that means is decided later.
    fn undecided(&mut self, text: &[u8], part: Content, field: usize, whole: Content, at: At) {
        let bytes = if matches!(part, Content::Merged(_)) { text.to_vec() } else { Vec::new() };
        self.delivery.undecided(Undecided { field, part, whole, bytes, at });
    }

    #[inline]
    fn arrived(&mut self, token: &Token, arrival: Arrival, fault: Option<FaultKind>) {
        self.delivery.arrived(token, &self.state.at, arrival, fault, Some(&mut self.state.order));
    }
}

/// Whether pieces may be the line of a token, by their length.
fn could_be(token: &Token, length: usize, pieces: &[Piece]) -> bool {
    let blanks_of = |bytes: &[u8]| {
        let start = bytes.len() - bytes.trim_ascii_start().len();
        (start, bytes.len() - bytes.trim_ascii_end().len())
    };
    let start = pieces.first().map_or(0, |piece| blanks_of(&piece.bytes).0);
    let end = pieces.last().map_or(0, |piece| blanks_of(&piece.bytes).1);
    length.saturating_sub(start + end) % LENGTHS == token.length
}

fn without_end_of_line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
