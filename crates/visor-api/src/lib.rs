//! `FakeLogSource`: the custom resource of the operator, and the file format of `visor run -f`.
//!
//! | module | idea |
//! |---|---|
//! | [`source`] | the types: a source, its generators, their streams, intervals, choices, outputs |
//! | [`bounded`], [`parsed`] | integers with bounds; texts that are parsed when they are read |
//! | [`amount`] | the value of a Kubernetes quantity |
//! | [`quantity`] | durations and sizes (`1h30m`, `64Mi`) |
//! | [`time_zone`] | time zones by their names |
//! | [`release`] | the releases of httpd |
//! | [`network`] | networks of clients, and the addresses in them |
//! | [`log_format`] | the grammar of Apache's `LogFormat` strings |
//! | [`error_log_format`] | the grammar of Apache's `ErrorLogFormat` strings |
//! | [`nginx_log_format`] | the grammar of nginx's `log_format` strings |
//! | [`document`] | text in, sources out, or every problem with its file, line and path |
//! | [`rules`] | what a schema can't express: the rules between fields |
//! | [`resolved`] | a source that has passed every rule, with its defaults |
//! | [`defaults`] | the defaults that depend on other fields |
//! | [`definition`] | the custom resource definition |
//!
//! No I/O, no clock, no Kubernetes client: files and the API server are read elsewhere.

pub mod amount;
pub mod bounded;
pub mod defaults;
pub mod definition;
pub mod document;
pub mod error_log_format;
pub mod log_format;
mod message;
pub mod network;
pub mod nginx_log_format;
pub mod parsed;
pub mod problem;
pub mod quantity;
pub mod release;
pub mod resolved;
pub mod rules;
pub mod source;
mod structure;
pub mod time_zone;
mod tree;

pub use problem::{Path, Problem};
pub use resolved::ResolvedSource;
pub use source::FakeLogSource;
