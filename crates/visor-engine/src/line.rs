//! Lines of any log: a format selects fields, and compiles them to columns.
//!
//! | module | idea |
//! |---|---|
//! | `field` | a field: its possible values, and the draw that selects one |
//! | `columns` | the columns of a line, and how they are written |
//! | `long` | lines that may reach a limit |
//! | `builder` | builds columns from left to right |
//! | `cells` | the texts of a column, quick to copy |
//!
//! What a line is about, its record, is a request or a message. Only its log knows that: it
//! implements [`Record`] and [`PerRecordField`].

mod builder;
mod cells;
mod columns;
mod field;
mod long;
#[cfg(test)]
mod tests;

pub(crate) use builder::{Builder, Moment};
pub use columns::{Columns, LineFormat, NeededDraws, PerRecordField, Record};
pub use field::{Draw, Draws, Field};
pub use long::MESSAGE_TOKEN;
