//! The validated forms of weighted choices.

use visor_logs::resolved::{self, Choices};

use super::{
    Choice, Clients, DurationRange, NetworkChoice, RequestTarget, SizeRange, StatusChoice, Weight,
};
use crate::source::Message;

/// The weighted values of a list of the document; `None` if it is empty, or has no weight above 0.
pub(crate) fn choices<C: Weighted, T>(
    list: &[C],
    value: impl Fn(&C) -> Option<T>,
) -> Option<Choices<T>> {
    let choices: Vec<_> =
        list.iter().filter_map(|choice| Some((value(choice)?, choice.weight().get()))).collect();
    Choices::new(choices)
}

/// A list of strings.
pub(crate) fn texts(list: &[Choice]) -> Option<Choices<String>> {
    choices(list, |choice| Some(choice.value.clone()))
}

/// A choice of the document.
pub(crate) trait Weighted {
    fn weight(&self) -> Weight;
}

macro_rules! weighted {
    ($($choice:ident),+) => {$(
        impl Weighted for $choice {
            fn weight(&self) -> Weight {
                self.weight
            }
        }
    )+};
}

weighted!(Choice, StatusChoice, RequestTarget, SizeRange, DurationRange, NetworkChoice, Message);

impl From<&Clients> for resolved::Clients {
    fn from(clients: &Clients) -> Self {
        Self {
            pool: clients.pool.get(),
            distribution: clients.distribution,
            networks: choices(&clients.networks, |network| network.value.known().copied()),
        }
    }
}
