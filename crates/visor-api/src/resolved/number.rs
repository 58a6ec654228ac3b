//! Whole numbers of a document in types that have no room for what its schema refuses.

use std::fmt::Display;

use crate::problem::{Path, Problem};

/// A number of the document at `path`.
///
/// # Errors
///
/// If it is out of the type's bounds, which its schema has found before.
pub(super) fn number<T: OfDocument>(value: impl Into<i64>, path: &Path) -> Result<T, Problem> {
    let value = value.into();
    T::of(value).ok_or_else(|| out_of_bounds(value, path))
}

fn out_of_bounds(value: impl Display, path: &Path) -> Problem {
    Problem::new(path.clone(), format!("{value} is out of bounds; see the schema for these"))
}

/// A type that numbers of documents are put into.
pub(super) trait OfDocument: Sized {
    /// `None` if there is no room for it.
    fn of(value: i64) -> Option<Self>;
}

macro_rules! of_document {
    ($($whole:ty, $above_zero:ty);+) => {$(
        impl OfDocument for $whole {
            fn of(value: i64) -> Option<Self> {
                Self::try_from(value).ok()
            }
        }

        impl OfDocument for $above_zero {
            fn of(value: i64) -> Option<Self> {
                Self::new(<$whole>::try_from(value).ok()?)
            }
        }
    )+};
}

of_document! {
    u16, std::num::NonZeroU16;
    u32, std::num::NonZeroU32;
    u64, std::num::NonZeroU64
}
