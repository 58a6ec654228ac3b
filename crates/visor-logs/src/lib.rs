//! The logs of a source, without Kubernetes: what the engine writes, and the values that documents
//! consist of. A value has its text form, its schema and its messages in one place.
//!
//! | module | idea |
//! |---|---|
//! | [`resolved`] | the logs of a source, with all defaults |
//! | [`access_format`], [`error_format`] | the formats of logs by their names |
//! | [`log_format`], [`error_log_format`] | the grammars of Apache's format strings |
//! | [`nginx_log_format`] | the grammar of nginx's `log_format` strings |
//! | [`stream_kind`], [`release`] | the kinds of line; the releases of httpd |
//! | [`bounded`], [`parsed`] | integers with bounds; texts that are parsed when they are read |
//! | [`quantity`] | durations and sizes (`1h30m`, `64Mi`) |
//! | [`network`], [`time_zone`] | networks of clients, and the addresses in them; time zones |
//! | [`message`] | helpers for messages |
//!
//! No I/O, no clock.

pub mod access_format;
pub mod bounded;
pub mod error_format;
pub mod error_log_format;
pub mod log_format;
pub mod message;
pub mod network;
pub mod nginx_log_format;
pub mod parsed;
pub mod quantity;
pub mod release;
pub mod resolved;
pub mod stream_kind;
pub mod time_zone;

pub use release::Release;
pub use stream_kind::StreamKind;
