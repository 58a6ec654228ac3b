//! Rules for weighted choices, ranges and networks.

use super::{Choice, Clients, Weight};
use crate::{
    messages, network,
    problem::{Path, Problem},
};

/// The limit of httpd for a request line and for a header (`LimitRequestLine`,
/// `LimitRequestFieldSize`).
const MAX_FIELD_BYTES: usize = 8190;

impl Clients {
    pub(crate) fn check(&self, path: &Path, problems: &mut Vec<Problem>) {
        let networks = path.field("networks");
        weights(&networks, self.networks.iter().map(|choice| choice.weight), problems);
        for (index, choice) in self.networks.iter().enumerate() {
            if let Err(message) = choice.value.meaning() {
                problems.push(Problem::new(networks.index(index).field("value"), message));
            }
        }
        let drawn = self.networks.iter().filter(|choice| choice.weight.get() > 0);
        let Some(drawn) = drawn.map(|choice| choice.value.known()).collect::<Option<Vec<_>>>()
        else {
            return;
        };
        let available = network::count_hosts(drawn.iter().copied());
        if !drawn.is_empty() && u128::from(self.pool.get().get()) > available {
            let message = format!(
                "the networks have {available} different addresses, which is less than {}; use larger \
                 networks, or a pool of at most {available}",
                self.pool
            );
            problems.push(Problem::new(path.field("pool"), message));
        }
    }
}

pub(crate) fn choices(path: &Path, choices: &[Choice], problems: &mut Vec<Problem>) {
    for (index, choice) in choices.iter().enumerate() {
        length(&path.index(index).field("value"), &choice.value, problems);
    }
    weights(path, choices.iter().map(|choice| choice.weight), problems);
}

/// The length of a request line or a header, which httpd limits in bytes. The schema can only count
/// characters.
pub(crate) fn length(path: &Path, text: &str, problems: &mut Vec<Problem>) {
    let characters = text.chars().count();
    if text.len() > MAX_FIELD_BYTES && characters <= MAX_FIELD_BYTES {
        let message = format!(
            "must have at most {MAX_FIELD_BYTES} bytes; its {characters} characters are {} bytes",
            text.len()
        );
        problems.push(Problem::new(path.clone(), message));
    }
}

/// A list that isn't empty must have a weight above 0.
pub(crate) fn weights(
    path: &Path,
    weights: impl ExactSizeIterator<Item = Weight>,
    problems: &mut Vec<Problem>,
) {
    let is_empty = weights.len() == 0;
    if !is_empty && weights.into_iter().all(|weight| weight.get() == 0) {
        problems.push(Problem::new(path.clone(), messages::ALL_WEIGHTS_ZERO));
    }
}
