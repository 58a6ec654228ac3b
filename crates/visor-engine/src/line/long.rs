//! Lines that may reach their limit.

use super::columns::{Column, Columns, PerRecordField};
use crate::{
    stamp::Stamp,
    text::{Line, Lines},
};

/// The token of a message, as `mod_security` writes an id behind one.
pub const MESSAGE_TOKEN: &[u8] = br#" [unique_id "~~~~~~~~~~~~~~~~~~~~~~~~~~~"]"#;

impl<F: PerRecordField> Columns<F> {
    /// Writes a line of at most this many bytes, newline included.
    #[inline]
    pub(crate) fn write_within(
        &self,
        limit: usize,
        record: &F::Record<'_>,
        stamps: &mut [Stamp],
        lines: &mut Lines,
    ) {
        if !self.is_long {
            return self.write(record, stamps, lines);
        }
        let mut long = LongLine { line: lines.line(), limit, part: 0, is_dropped: false };
        long.write_all(&self.all, record, stamps);
        // The newline takes the place of the last byte.
        long.line.truncate(limit - 1);
        long.line.push(b'\n');
        long.line.keep();
    }
}

/// A line that may reach its limit. A column that doesn't fit is cut, but not within an escape
/// sequence; one for which there is no room at all drops its part.
struct LongLine<'l> {
    line: Line<'l>,
    limit: usize,
    /// Where the current part starts.
    part: usize,
    is_dropped: bool,
}

impl LongLine<'_> {
    fn write_all<F: PerRecordField>(
        &mut self,
        columns: &[Column<F>],
        record: &F::Record<'_>,
        stamps: &mut [Stamp],
    ) {
        for column in columns {
            match column {
                Column::PartStart if self.is_dropped => self.is_dropped = false,
                Column::PartStart => self.part = self.line.len(),
                Column::Conditional(conditional) => {
                    self.write_all(conditional.chosen(record), record, stamps);
                }
                Column::Whole(_) => {
                    self.write_column(column, record, stamps);
                }
                _ if self.is_dropped => {}
                _ => {
                    if self.write_column(column, record, stamps) == 0 {
                        self.line.truncate(self.part);
                        self.is_dropped = true;
                    }
                }
            }
        }
    }

    /// Writes as much of a column as fits, and returns its length.
    fn write_column<F: PerRecordField>(
        &mut self,
        column: &Column<F>,
        record: &F::Record<'_>,
        stamps: &mut [Stamp],
    ) -> usize {
        let mut lines = Lines::default();
        column.write(record, stamps, lines.line()).keep();
        let text = lines.as_bytes();
        let room = self.limit.saturating_sub(self.line.len());
        if text.len() < room {
            self.line.extend(text);
            return text.len();
        }
        // A message has room for its token, and the newline behind it.
        let (text, token) = match text.strip_suffix(MESSAGE_TOKEN) {
            Some(message) if room > MESSAGE_TOKEN.len() => (message, MESSAGE_TOKEN),
            _ => (text, &[][..]),
        };
        let room = if token.is_empty() { room } else { room - token.len() - 1 };
        let length = if text.len() <= room { text.len() } else { fitting(text, room) };
        self.line.extend(&text[..length]);
        self.line.extend(token);
        length + token.len()
    }
}

/// How many bytes of an escaped text fit. As in `ap_escape_errorlog_item`, an escape sequence that
/// doesn't fit completely is left out.
fn fitting(text: &[u8], room: usize) -> usize {
    let mut end = 0;
    while let Some(byte) = text.get(end) {
        let unit = match (byte, text.get(end + 1)) {
            (b'\\', Some(b'x')) => 4,
            (b'\\', Some(_)) => 2,
            _ => 1,
        };
        if end + unit > room {
            break;
        }
        end += unit;
    }
    end
}
