//! How a format escapes: contents are plain bytes, made into text once for each format that writes
//! them, and not once a line.

use std::sync::OnceLock;

use super::defaults::Defaults;
use crate::{choice::NothingToDraw, text::Text};

/// How a format escapes what came from outside.
#[derive(Debug)]
pub struct Escaping {
    escape: fn(&[u8]) -> Text,
    /// The default server's tables, escaped so: made when the first stream asks, shared by all.
    defaults: OnceLock<Result<Defaults, NothingToDraw>>,
}

impl Escaping {
    /// As this function does.
    pub(super) const fn new(escape: fn(&[u8]) -> Text) -> Self {
        Self { escape, defaults: OnceLock::new() }
    }

    /// The text that stands in a line for these bytes.
    pub fn text(&self, plain: impl AsRef<[u8]>) -> Text {
        (self.escape)(plain.as_ref())
    }

    /// The tables of the default server.
    pub(super) fn defaults(&self) -> Result<&Defaults, NothingToDraw> {
        self.defaults.get_or_init(|| Defaults::new(self)).as_ref().map_err(|error| *error)
    }
}
