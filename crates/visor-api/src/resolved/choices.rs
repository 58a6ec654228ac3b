//! Lists of weighted choices.

use super::number::number;
use crate::{
    problem::{Path, Problem},
    rules::messages,
    source,
};

/// Weighted values. At least one weight is above 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Choices<T>(Vec<(T, u32)>);

impl<T> Choices<T> {
    /// The values with their weights, in the order of the document.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&T, u32)> {
        self.0.iter().map(|(value, weight)| (value, *weight))
    }
}

/// A list of the document at `path`, with its values resolved; `None` if it is empty.
///
/// # Errors
///
/// Those of `resolve`, and if every weight is 0.
pub(super) fn choices<C: Weighted, T>(
    list: &[C],
    path: &Path,
    resolve: impl Fn(&C, &Path) -> Result<T, Problem>,
) -> Result<Option<Choices<T>>, Problem> {
    if list.is_empty() {
        return Ok(None);
    }
    let choice = |(index, choice): (usize, &C)| {
        let path = path.index(index);
        Ok((resolve(choice, &path)?, number(choice.weight(), &path.field("weight"))?))
    };
    let choices: Vec<_> = list.iter().enumerate().map(choice).collect::<Result<_, _>>()?;
    if choices.iter().all(|(_, weight)| *weight == 0) {
        return Err(Problem::new(path.clone(), messages::ALL_WEIGHTS_ZERO));
    }
    Ok(Some(Choices(choices)))
}

/// A list of strings.
pub(super) fn texts(
    list: &[source::Choice],
    path: &Path,
) -> Result<Option<Choices<String>>, Problem> {
    choices(list, path, |choice, _| Ok(choice.value.clone()))
}

/// A choice of the document.
pub(super) trait Weighted {
    fn weight(&self) -> i32;
}

macro_rules! weighted {
    ($($choice:ident),+) => {$(
        impl Weighted for source::$choice {
            fn weight(&self) -> i32 {
                self.weight
            }
        }
    )+};
}

weighted!(Choice, StatusChoice, RequestTarget, SizeRange, DurationRange, Message);
