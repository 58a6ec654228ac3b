//! Access lines: what a request is ([`request`]), how one is drawn ([`content`], [`heartbeat`]),
//! and how it is written ([`mod@format`]).

pub mod content;
mod defaults;
pub mod escaping;
mod exchange;
pub mod format;
pub mod heartbeat;
mod id;
pub mod request;
mod resource;

pub use content::{Content, Drawn};
pub use format::Format;
pub use request::{NamedTable, NamedValues, Request, Tls};
