//! Columns: a format and the fields of its lines, compiled.
//!
//! A column is a field with the literal text after it, precomputed for each value of the field. So
//! a line is little more than one copy for each column, and the draw selects what is copied. A
//! constant field is part of the text around it, and adjacent fields of one draw share a column.

use std::{fmt::Debug, sync::Arc};

use super::{
    cells::Cells,
    field::{Draw, Draws},
};
use crate::{
    stamp::Stamp,
    text::{Line, Lines, Text},
    time::Time,
};

/// What a line is about.
pub trait Record {
    /// The values of its fields.
    fn draws(&self) -> &Draws;
    /// Its start.
    fn begin(&self) -> Time;
    /// Its end.
    fn end(&self) -> Time;
}

/// A field with a value of its own in each line.
pub trait PerRecordField: Copy + Debug {
    /// What the lines are about.
    type Record<'a>: Record;

    /// Writes the value.
    fn write<'l>(self, record: &Self::Record<'_>, line: Line<'l>) -> Line<'l>;

    /// Notes which draws it needs.
    fn note(self, needed: &mut NeededDraws);
}

/// The columns of a line.
#[derive(Debug)]
pub struct Columns<F> {
    pub(super) all: Box<[Column<F>]>,
    /// Whether the line may be longer than the limit.
    pub(super) is_long: bool,
}

/// The columns of a line with all that they need.
#[derive(Debug)]
pub struct LineFormat<F> {
    /// The columns.
    pub(crate) columns: Columns<F>,
    /// Their stamps. Each writer has its own, because a stamp caches the text of its second.
    pub(crate) stamps: Box<[Stamp]>,
    /// The draws that they need.
    pub(crate) needed: NeededDraws,
}

/// One enum for all, so that a column needs a single branch.
#[derive(Debug)]
pub(super) enum Column<F> {
    /// A field, in cells for its longest text.
    Of32(Draw, Cells<32>),
    Of64(Draw, Cells<64>),
    Of128(Draw, Cells<128>),
    Of256(Draw, Cells<MAX_WIDTH>),
    /// A field with a text that is longer than any cell.
    Longer(Draw, Arc<[Text]>),
    /// Literal text without a preceding column.
    Text(Text),
    /// The start of the record, by the stamp with this index.
    Begin(usize),
    /// Its end.
    End(usize),
    /// A per-record field, and the text after it.
    PerRecord {
        field: F,
        after: Text,
    },
    /// Columns that depend on a draw.
    Conditional(Box<Conditional<F>>),
    /// In a long line, the start of a part that is dropped if a column of it has no room.
    PartStart,
    /// In a long line, columns that are one text. It may be cut, but never drops its part.
    Whole(Box<[Column<F>]>),
}

#[derive(Debug)]
pub(super) struct Conditional<F> {
    pub(super) draw_of: Draw,
    /// For each value, whether it has these columns.
    pub(super) admitted: Box<[bool]>,
    pub(super) columns: Box<[Column<F>]>,
    /// Those of other values.
    pub(super) otherwise: Box<[Column<F>]>,
}

/// The maximum length of a text in a cell.
pub(super) const MAX_WIDTH: usize = 256;

/// Which draws a format needs; the others are not made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a draw of its own")]
pub struct NeededDraws {
    /// The user.
    pub user: bool,
    /// The referer.
    pub referer: bool,
    /// The user agent.
    pub user_agent: bool,
    /// The virtual host.
    pub virtual_host: bool,
    /// The kind of TLS.
    pub tls: bool,
    /// The duration, and the start: a line is written when its request ends.
    pub duration: bool,
    /// The process, the thread, the port, and the connection status.
    pub connection: bool,
    /// The bytes received.
    pub bytes_in: bool,
    /// A unique id.
    pub id: bool,
}

impl<F: PerRecordField> Columns<F> {
    /// Writes a line. Only a line of a format with a limit may be long.
    #[inline]
    pub(crate) fn write(&self, record: &F::Record<'_>, stamps: &mut [Stamp], lines: &mut Lines) {
        let mut line = lines.line();
        for column in &self.all {
            line = column.write(record, stamps, line);
        }
        line.keep();
    }
}

/// Writes columns within a column. Most lines have none, so this isn't part of their loop.
#[inline(never)]
fn write_all<'l, F: PerRecordField>(
    columns: &[Column<F>],
    record: &F::Record<'_>,
    stamps: &mut [Stamp],
    mut line: Line<'l>,
) -> Line<'l> {
    for column in columns {
        line = column.write(record, stamps, line);
    }
    line
}

impl<F: PerRecordField> Column<F> {
    #[inline]
    pub(super) fn write<'l>(
        &self,
        record: &F::Record<'_>,
        stamps: &mut [Stamp],
        mut line: Line<'l>,
    ) -> Line<'l> {
        match self {
            Self::Of32(draw_of, cells) => cells.write(record.draws().get(*draw_of), &mut line),
            Self::Of64(draw_of, cells) => cells.write(record.draws().get(*draw_of), &mut line),
            Self::Of128(draw_of, cells) => cells.write(record.draws().get(*draw_of), &mut line),
            Self::Of256(draw_of, cells) => cells.write(record.draws().get(*draw_of), &mut line),
            Self::Longer(draw_of, texts) => line.put(&texts[record.draws().get(*draw_of)]),
            Self::Text(text) => line.put(text),
            Self::Begin(stamp) => stamps[*stamp].write(record.begin(), &mut line),
            Self::End(stamp) => stamps[*stamp].write(record.end(), &mut line),
            Self::PerRecord { field, after } => {
                line = field.write(record, line);
                line.put(after);
            }
            Self::Conditional(conditional) => return conditional.write(record, stamps, line),
            Self::PartStart => {}
            Self::Whole(columns) => return write_all(columns, record, stamps, line),
        }
        line
    }
}

impl<F: PerRecordField> Conditional<F> {
    #[inline(never)]
    fn write<'l>(&self, record: &F::Record<'_>, stamps: &mut [Stamp], line: Line<'l>) -> Line<'l> {
        write_all(self.chosen(record), record, stamps, line)
    }

    /// The columns for this record.
    pub(super) fn chosen(&self, record: &F::Record<'_>) -> &[Column<F>] {
        let number = record.draws().get(self.draw_of);
        let is_admitted = self.admitted.get(number).is_some_and(|admitted| *admitted);
        if is_admitted { &self.columns } else { &self.otherwise }
    }
}

impl NeededDraws {
    pub(super) fn note(&mut self, draw_of: Draw) {
        match draw_of {
            Draw::USER => self.user = true,
            Draw::REFERER => self.referer = true,
            Draw::USER_AGENT => self.user_agent = true,
            Draw::VIRTUAL_HOST | Draw::HOST => self.virtual_host = true,
            Draw::TLS => self.tls = true,
            _ => {}
        }
    }
}
