//! Lists of weighted choices.

use crate::source::{self, Weight};

/// Weighted values. At least one weight is above 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Choices<T>(Vec<(T, u32)>);

impl<T> Choices<T> {
    /// The values with their weights, in the order of the document.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&T, u32)> {
        self.0.iter().map(|(value, weight)| (value, *weight))
    }
}

/// The weighted values of a list of the document; `None` if it is empty, or has no weight above 0.
pub(super) fn choices<C: Weighted, T>(
    list: &[C],
    value: impl Fn(&C) -> Option<T>,
) -> Option<Choices<T>> {
    let choices: Vec<_> =
        list.iter().filter_map(|choice| Some((value(choice)?, choice.weight().get()))).collect();
    choices.iter().any(|(_, weight)| *weight > 0).then_some(Choices(choices))
}

/// A list of strings.
pub(super) fn texts(list: &[source::Choice]) -> Option<Choices<String>> {
    choices(list, |choice| Some(choice.value.clone()))
}

/// A choice of the document.
pub(super) trait Weighted {
    fn weight(&self) -> Weight;
}

macro_rules! weighted {
    ($($choice:ident),+) => {$(
        impl Weighted for source::$choice {
            fn weight(&self) -> Weight {
                self.weight
            }
        }
    )+};
}

weighted!(Choice, StatusChoice, RequestTarget, SizeRange, DurationRange, NetworkChoice, Message);
