//! Access logs: the model of a line ([`model`]) is a request ([`requests`]) or a heartbeat
//! ([`heartbeat`]); a format ([`mod@format`]) selects its [`fields`], which are written as
//! [`columns`].

mod cells;
pub mod columns;
mod defaults;
mod exchange;
pub mod fields;
pub mod format;
pub mod heartbeat;
mod id;
mod malformed;
pub mod model;
pub mod request;
pub mod requests;
mod target;

pub use columns::{Columns, LineWriter};
pub use fields::{Draws, RequestFields};
pub use heartbeat::Heartbeat;
pub use model::AccessModel;
pub use request::Request;
pub use requests::RequestModel;
