//! `FakeLogSource`: the custom resource of the operator, and the file format of `visor run -f`.
//!
//! | module | idea |
//! |---|---|
//! | [`source`] | the types: a source, its generators, their streams, intervals, choices, outputs |
//! | [`amount`] | the value of a Kubernetes quantity |
//! | [`document`] | text in, sources out, or every problem with its file, line and path |
//! | [`rules`] | what a schema can't express: the rules between fields |
//! | [`resolved`] | a source that has passed every rule, with its defaults |
//! | [`defaults`] | the defaults that depend on other fields |
//! | [`definition`] | the custom resource definition |
//!
//! What its values are, without Kubernetes, is in [`visor_logs`], whose modules are modules of this
//! crate as well. No I/O, no clock, no Kubernetes client: files and the API server are read elsewhere.

pub mod amount;
pub mod defaults;
pub mod definition;
pub mod document;
mod messages;
pub mod problem;
pub mod resolved;
pub mod rules;
pub mod source;
mod structure;
mod tree;

use visor_logs::message;
pub use visor_logs::{
    bounded, error_log_format, log_format, network, nginx_log_format, parsed, quantity, release,
    time_zone,
};

pub use problem::{Path, Problem};
pub use resolved::ResolvedSource;
pub use source::FakeLogSource;
