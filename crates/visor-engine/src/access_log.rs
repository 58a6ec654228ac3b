//! Access lines: what they tell of ([`subject`]), what is known of that ([`facts`]), how one is drawn
//! ([`content`], [`heartbeat`]), which facts a format writes ([`mod@format`]), and how a line of them is written
//! ([`columns`]).

mod cells;
pub mod columns;
pub mod content;
mod defaults;
mod exchange;
pub mod facts;
pub mod format;
pub mod heartbeat;
mod id;
pub mod request;
mod resource;
pub mod subject;

pub use columns::{Columns, Writer};
pub use content::Content;
pub use facts::{Facts, Picks};
pub use heartbeat::Heartbeat;
pub use request::Request;
pub use subject::Subject;
