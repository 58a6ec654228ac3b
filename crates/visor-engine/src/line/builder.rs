//! Builds columns from left to right.

use std::{collections::HashMap, mem, sync::Arc};

use super::{
    cells::Cells,
    columns::{Column, Columns, Conditional, LineFormat, MAX_WIDTH, NeededDraws, PerRecordField},
    field::{Draw, Field},
};
use crate::{stamp::Stamp, text::Text};

/// Builds the columns of a line, or of many lines of one log.
#[derive(Debug)]
pub(crate) struct Builder<F> {
    columns: Vec<Draft<F>>,
    stamps: Vec<Stamp>,
    needed: NeededDraws,
    merging: Merging,
    /// The texts of fields that many lines share.
    shared: HashMap<Vec<Vec<u8>>, Texts>,
}

/// What becomes one column with the text beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Merging {
    /// Everything: fastest.
    Fields,
    /// Literal text only: lines share the texts of their fields, and their stamps.
    Literals,
    /// Nothing: each column can be cut.
    Nothing,
}

/// A column to which text may still be appended.
#[derive(Debug)]
enum Draft<F> {
    Field { draw_of: Draw, texts: Vec<Vec<u8>> },
    Text(Vec<u8>),
    Stamp(Moment, usize),
    PerRecord { field: F, after: Vec<u8> },
    Done(Column<F>),
}

/// The texts of a field, in cells for the longest one.
#[derive(Debug, Clone)]
enum Texts {
    Of32(Cells<32>),
    Of64(Cells<64>),
    Of128(Cells<128>),
    Of256(Cells<MAX_WIDTH>),
    Longer(Arc<[Text]>),
}

/// The start or the end of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Begin,
    End,
}

impl<F: PerRecordField> Builder<F> {
    /// A builder of one line.
    pub(crate) fn of_one() -> Self {
        Self::new(Merging::Fields)
    }

    /// A builder of the lines of many messages, which share what they have in common.
    pub(crate) fn of_many() -> Self {
        Self::new(Merging::Literals)
    }

    fn new(merging: Merging) -> Self {
        Self {
            columns: Vec::new(),
            stamps: Vec::new(),
            needed: NeededDraws::default(),
            merging,
            shared: HashMap::new(),
        }
    }

    /// Literal text.
    pub(crate) fn text(&mut self, text: &[u8]) {
        let last = self.columns.last_mut();
        match (last, self.merging) {
            (Some(Draft::Field { texts, .. }), Merging::Fields)
                if longest(texts) + text.len() <= MAX_WIDTH =>
            {
                for value in texts {
                    value.extend_from_slice(text);
                }
            }
            (Some(Draft::Stamp(_, stamp)), Merging::Fields) => {
                self.stamps[*stamp].followed_by(text);
            }
            (
                Some(Draft::Text(before) | Draft::PerRecord { after: before, .. }),
                Merging::Fields | Merging::Literals,
            ) => before.extend_from_slice(text),
            _ => self.columns.push(Draft::Text(text.to_vec())),
        }
    }

    /// A field; `write` formats each of its values.
    pub(crate) fn field(&mut self, field: &Field<'_>, write: impl Fn(&[u8]) -> Vec<u8>) {
        self.needed.note(field.draw_of);
        let mut texts: Vec<Vec<u8>> = field.values.iter().map(|value| write(value)).collect();
        if let [only] = &texts[..] {
            return self.text(only);
        }
        match self.columns.last_mut() {
            Some(Draft::Field { draw_of, texts: before })
                if self.merging == Merging::Fields
                    && *draw_of == field.draw_of
                    && longest(before) + longest(&texts) <= MAX_WIDTH =>
            {
                for (before, value) in before.iter_mut().zip(&mut texts) {
                    before.append(value);
                }
            }
            _ => self.columns.push(Draft::Field { draw_of: field.draw_of, texts }),
        }
    }

    /// The time of the start or the end of the record.
    pub(crate) fn time(&mut self, moment: Moment, stamp: Stamp) {
        let number = self.add_stamp(stamp);
        self.stamp(moment, number);
    }

    /// The time by a stamp that the lines share.
    pub(crate) fn stamp(&mut self, moment: Moment, number: usize) {
        self.needed.duration |= moment == Moment::Begin;
        self.columns.push(Draft::Stamp(moment, number));
    }

    /// Adds a stamp that lines share, and returns its number.
    pub(crate) fn add_stamp(&mut self, stamp: Stamp) -> usize {
        self.stamps.push(stamp);
        self.stamps.len() - 1
    }

    /// A per-record field.
    pub(crate) fn per_record(&mut self, field: F) {
        field.note(&mut self.needed);
        self.columns.push(Draft::PerRecord { field, after: Vec::new() });
    }

    /// What `add` adds for the admitted values of a draw, and what `otherwise` adds for the others.
    pub(crate) fn if_admitted(
        &mut self,
        draw_of: Draw,
        admitted: Box<[bool]>,
        add: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        self.needed.note(draw_of);
        let columns = self.apart(add);
        let otherwise = self.apart(otherwise);
        let conditional = Conditional { draw_of, admitted, columns, otherwise };
        self.columns.push(Draft::Done(Column::Conditional(Box::new(conditional))));
    }

    /// Whether each column can be cut, so that what is cut must be a column of its own.
    pub(crate) fn is_cut(&self) -> bool {
        self.merging == Merging::Nothing
    }

    /// The start of a part that a long line may drop.
    pub(crate) fn part_start(&mut self) {
        if self.is_cut() {
            self.columns.push(Draft::Done(Column::PartStart));
        }
    }

    /// What `add` adds as one text, which a long line may cut, but not drop.
    pub(crate) fn whole(&mut self, add: impl FnOnce(&mut Self)) {
        if self.is_cut() {
            let columns = self.apart(add);
            self.columns.push(Draft::Done(Column::Whole(columns)));
        } else {
            add(self);
        }
    }

    /// The columns that `add` adds.
    fn apart(&mut self, add: impl FnOnce(&mut Self)) -> Box<[Column<F>]> {
        let before = mem::take(&mut self.columns);
        add(self);
        let columns = mem::replace(&mut self.columns, before);
        columns.into_iter().map(|draft| self.finish_column(draft)).collect()
    }

    /// The columns of one line of many: what `add` adds, and a newline. Each can be cut if the line
    /// may have more than `limit` bytes.
    pub(crate) fn line(&mut self, limit: usize, add: impl Fn(&mut Self)) -> Columns<F> {
        let all = self.apart(|columns| {
            add(columns);
            columns.text(b"\n");
        });
        if longest_of(&all, &self.stamps) <= limit {
            return Columns { all, is_long: false };
        }
        let merging = mem::replace(&mut self.merging, Merging::Nothing);
        let all = self.apart(&add);
        self.merging = merging;
        Columns { all, is_long: true }
    }

    /// The format of the one line.
    pub(crate) fn finish(mut self) -> LineFormat<F> {
        let columns = mem::take(&mut self.columns);
        let all = columns.into_iter().map(|draft| self.finish_column(draft)).collect();
        let columns = Columns { all, is_long: false };
        LineFormat { columns, stamps: self.stamps.into(), needed: self.needed }
    }

    /// What the lines share.
    pub(crate) fn finish_many(self) -> (Box<[Stamp]>, NeededDraws) {
        (self.stamps.into(), self.needed)
    }

    fn finish_column(&mut self, draft: Draft<F>) -> Column<F> {
        match draft {
            Draft::Field { draw_of, texts } => {
                let texts = match self.merging {
                    Merging::Fields => Texts::new(&texts),
                    Merging::Literals | Merging::Nothing => {
                        let new = |texts: &Vec<Vec<u8>>| Texts::new(texts);
                        self.shared.entry(texts).or_insert_with_key(new).clone()
                    }
                };
                match texts {
                    Texts::Of32(cells) => Column::Of32(draw_of, cells),
                    Texts::Of64(cells) => Column::Of64(draw_of, cells),
                    Texts::Of128(cells) => Column::Of128(draw_of, cells),
                    Texts::Of256(cells) => Column::Of256(draw_of, cells),
                    Texts::Longer(texts) => Column::Longer(draw_of, texts),
                }
            }
            Draft::Text(text) => Column::Text(Text::new(&text)),
            Draft::Stamp(Moment::Begin, stamp) => Column::Begin(stamp),
            Draft::Stamp(Moment::End, stamp) => Column::End(stamp),
            Draft::PerRecord { field, after } => {
                Column::PerRecord { field, after: Text::new(&after) }
            }
            Draft::Done(column) => column,
        }
    }
}

impl Texts {
    fn new(texts: &[Vec<u8>]) -> Self {
        match longest(texts) {
            0..=32 => Self::Of32(Cells::new(texts)),
            33..=64 => Self::Of64(Cells::new(texts)),
            65..=128 => Self::Of128(Cells::new(texts)),
            129..=MAX_WIDTH => Self::Of256(Cells::new(texts)),
            _ => Self::Longer(texts.iter().map(|text| Text::new(text)).collect()),
        }
    }
}

/// The most bytes that columns write.
fn longest_of<F>(columns: &[Column<F>], stamps: &[Stamp]) -> usize {
    /// No number has more.
    const NUMBER: usize = 64;
    let of = |column: &Column<F>| match column {
        Column::Of32(..) => 32,
        Column::Of64(..) => 64,
        Column::Of128(..) => 128,
        Column::Of256(..) => MAX_WIDTH,
        Column::Longer(_, texts) => texts.iter().map(|text| text.len()).max().unwrap_or(0),
        Column::Text(text) => text.len(),
        Column::Begin(stamp) | Column::End(stamp) => stamps[*stamp].longest(),
        Column::PerRecord { after, .. } => NUMBER + after.len(),
        Column::Conditional(conditional) => {
            let Conditional { columns, otherwise, .. } = &**conditional;
            longest_of(columns, stamps).max(longest_of(otherwise, stamps))
        }
        Column::PartStart => 0,
        Column::Whole(columns) => longest_of(columns, stamps),
    };
    columns.iter().map(of).sum()
}

fn longest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).max().unwrap_or(0)
}
