//! Access logs: the model of a line ([`model`]) is a request ([`requests`]) or a heartbeat
//! ([`heartbeat`]); a format ([`mod@format`]) selects its [`fields`], which are written as
//! columns ([`line`](crate::line)).

mod defaults;
mod exchange;
pub mod fields;
pub mod format;
pub mod heartbeat;
mod malformed;
pub mod model;
mod models;
pub mod request;
pub mod requests;
mod target;
mod writer;

pub use fields::RequestFields;
pub use heartbeat::Heartbeat;
pub use model::AccessModel;
pub use models::Models;
pub use request::Request;
pub use requests::RequestModel;
pub use writer::LineWriter;
