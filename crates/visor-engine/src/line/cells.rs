//! Frequently written texts in cells of one width.
//!
//! A cell is always copied completely, and what is copied beyond the end of the text is overwritten
//! by the next one. All texts of a column have cells of the same width, so copying needs no branch.

use std::sync::Arc;

use crate::text::Line;

/// The texts of a column, by index, in cells of this width.
#[derive(Debug, Clone)]
pub(super) struct Cells<const WIDTH: usize>(Arc<[Cell<WIDTH>]>);

#[derive(Debug, Clone)]
struct Cell<const WIDTH: usize> {
    bytes: [u8; WIDTH],
    length: u16,
}

impl<const WIDTH: usize> Cells<WIDTH> {
    /// Creates cells for these texts, none of which is longer than a cell.
    #[expect(clippy::cast_possible_truncation, reason = "a cell is far narrower")]
    pub(super) fn new(texts: &[Vec<u8>]) -> Self {
        let cell = |text: &Vec<u8>| {
            let mut bytes = [0; WIDTH];
            bytes[..text.len()].copy_from_slice(text);
            Cell { bytes, length: text.len() as u16 }
        };
        Self(texts.iter().map(cell).collect())
    }

    /// Writes the text with this index.
    #[inline]
    pub(super) fn write(&self, number: usize, line: &mut Line<'_>) {
        let cell = &self.0[number];
        line.put_block(&cell.bytes, usize::from(cell.length));
    }
}
