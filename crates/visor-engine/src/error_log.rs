//! Error logs: the model of a message ([`model`]), and the formats in which it is written
//! ([`mod@format`]).

mod catalog;
pub mod format;
pub mod model;

pub use format::{Format, Message};
pub use model::MessageModel;
