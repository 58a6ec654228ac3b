//! Lists of weighted choices.

use visor_logs::resolved::Choices;

use crate::source::{self, Weight};

/// The weighted values of a list of the document; `None` if it is empty, or has no weight above 0.
pub(super) fn choices<C: Weighted, T>(
    list: &[C],
    value: impl Fn(&C) -> Option<T>,
) -> Option<Choices<T>> {
    let choices: Vec<_> =
        list.iter().filter_map(|choice| Some((value(choice)?, choice.weight().get()))).collect();
    Choices::new(choices)
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
