//! Lists of weighted choices.

/// Weighted values. At least one weight is above 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Choices<T>(Vec<(T, u32)>);

impl<T> Choices<T> {
    /// Values with their weights; `None` if no weight is above 0.
    pub fn new(choices: Vec<(T, u32)>) -> Option<Self> {
        choices.iter().any(|(_, weight)| *weight > 0).then_some(Self(choices))
    }

    /// The values with their weights, in the order of the document.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&T, u32)> {
        self.0.iter().map(|(value, weight)| (value, *weight))
    }
}
