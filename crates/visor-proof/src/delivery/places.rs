//! What the fields of records have: lines as they were written, or what a collector has made of them.
//! Only of a field in which other lines are intact, something can be said about those that aren't.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::At;
use crate::record::Content;

/// Among the records of a field with lines, at least one of so many is an intact one.
const SHARE: u64 = 100;
/// The maximum number of fields; further ones count as one.
const MAX_FIELDS: usize = 1_000;
/// The maximum number of records that wait until more is known about their fields.
const MAX_UNDECIDED: usize = if cfg!(test) { 1_000 } else { 100_000 };

/// What a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Lines as they were written.
    Lines,
    /// Something that a collector has made of lines: only the token can be known.
    Unchecked,
}

/// The fields of all records.
#[derive(Debug, Default)]
pub(super) struct Places {
    names: HashMap<String, usize>,
    fields: Vec<FieldCounts>,
    undecided: Vec<Undecided>,
}

/// What is known of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FieldCounts {
    pub(super) name: String,
    /// What it has, if someone said.
    #[serde(skip)]
    contents: Option<Contents>,
    /// How many intact lines it had.
    lines: u64,
    /// How many of its texts had a token and weren't intact lines.
    others: u64,
}

/// A record without an intact line.
#[derive(Debug)]
pub(super) struct Undecided {
    /// The field with the longest text that has the token.
    pub(super) field: usize,
    /// What this text says.
    pub(super) part: Content,
    /// What the record itself says.
    pub(super) whole: Content,
    /// The text, where more than one token is in it.
    pub(super) bytes: Vec<u8>,
    pub(super) at: At,
}

impl Places {
    /// The index of the field with this name.
    pub(super) fn index(&mut self, name: &str) -> usize {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        if self.fields.len() < MAX_FIELDS {
            self.names.insert(name.to_owned(), self.fields.len());
            self.fields.push(FieldCounts { name: name.to_owned(), ..FieldCounts::default() });
        }
        self.fields.len() - 1
    }

    pub(super) fn set(&mut self, name: &str, contents: Contents) {
        let index = self.index(name);
        self.fields[index].contents = Some(contents);
    }

    /// Counts intact lines of a field.
    pub(super) fn add_line(&mut self, field: usize) {
        self.fields[field].lines += 1;
    }

    /// Adds a record without an intact line. Returns whether there are many of them.
    #[must_use]
    pub(super) fn add(&mut self, undecided: Undecided) -> bool {
        self.fields[undecided.field].others += 1;
        self.undecided.push(undecided);
        self.undecided.len() >= MAX_UNDECIDED
    }

    /// The fields, and what is known of them.
    pub(super) fn fields(&self) -> &[FieldCounts] {
        &self.fields
    }

    /// The records that wait.
    pub(super) fn undecided(&self) -> &[Undecided] {
        &self.undecided
    }

    /// Takes over what was known of a field.
    pub(super) fn restore(&mut self, field: &FieldCounts) {
        let index = self.index(&field.name);
        (self.fields[index].lines, self.fields[index].others) = (field.lines, field.others);
    }

    /// Takes over a record that waited.
    pub(super) fn restore_undecided(&mut self, undecided: Undecided) {
        self.undecided.push(undecided);
    }

    pub(super) fn take_undecided(&mut self) -> Vec<Undecided> {
        std::mem::take(&mut self.undecided)
    }

    /// Whether a field has lines as they were written.
    pub(super) fn are_lines(&self, field: usize) -> bool {
        let FieldCounts { contents, lines, others, .. } = &self.fields[field];
        match contents {
            Some(contents) => *contents == Contents::Lines,
            None => *lines > 0 && lines * SHARE >= *others,
        }
    }
}
