//! Integers of a document in types that can't hold what its schema rejects.

use std::fmt::Display;

use crate::problem::{Path, Problem};

/// An integer of the document at `path`.
///
/// # Errors
///
/// If it is out of range, which the schema should have rejected.
pub(super) fn number<T: FromDocument>(value: impl Into<i64>, path: &Path) -> Result<T, Problem> {
    let value = value.into();
    T::of(value).ok_or_else(|| out_of_bounds(value, path))
}

fn out_of_bounds(value: impl Display, path: &Path) -> Problem {
    Problem::new(path.clone(), format!("{value} is out of range; see the schema"))
}

/// An integer type that is read from documents.
pub(super) trait FromDocument: Sized {
    /// `None` if it is out of range.
    fn of(value: i64) -> Option<Self>;
}

macro_rules! from_document {
    ($($whole:ty, $above_zero:ty);+) => {$(
        impl FromDocument for $whole {
            fn of(value: i64) -> Option<Self> {
                Self::try_from(value).ok()
            }
        }

        impl FromDocument for $above_zero {
            fn of(value: i64) -> Option<Self> {
                Self::new(<$whole>::try_from(value).ok()?)
            }
        }
    )+};
}

from_document! {
    u16, std::num::NonZeroU16;
    u32, std::num::NonZeroU32;
    u64, std::num::NonZeroU64
}
