//! Error lines: what a message is and how it is written ([`mod@format`]), and how one is drawn
//! ([`content`]).

mod catalogue;
pub mod content;
pub mod format;

pub use content::Content;
pub use format::{Format, Message};
