//! Error logs: the model of a message ([`model`]), its [`fields`], and how a format and the fields
//! become columns ([`mod@format`]).

mod catalog;
pub mod fields;
pub mod format;
pub mod message;
pub mod model;

pub use fields::MessageFields;
pub use format::{Formatter, LineWriter};
pub use message::Message;
pub use model::MessageModel;
