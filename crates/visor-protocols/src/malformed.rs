//! Bytes that aren't what their protocol says.

use std::fmt;

/// The body of a request isn't what its protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    /// Says why.
    pub fn new(why: &(impl fmt::Display + ?Sized)) -> Self {
        Self(why.to_string())
    }
}
