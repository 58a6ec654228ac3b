//! A sink for log collectors: it answers as the real endpoint does, and tells which lines arrived.
//!
//! ```text
//! connection -> server: request, decompressed -> protocol: records, answer -> audit: delivery
//! generators: what they have emitted -> emitted -> audit: verdict -> table, pages, exit status
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`fault`] | what a sink does wrong on purpose |
//! | `audit` | what arrived and what was emitted, together |
//! | `server` | HTTP: the way of a request |
//! | `grpc` | the way of a call of gRPC |
//! | `security` | TLS, and what clients have to show |
//! | `sockets` | the way of a frame |
//! | `emitted` | asks what was emitted |
//! | `state` | what is known again after a restart |
//! | `history` | lines over time |
//! | `page` | the page for people |
//! | `table` | the live table on a terminal |
//! | `metrics` | what Prometheus reads |
//! | `run` | a run, from its first listener to its verdict |
//! | [`cli`] | the command line |

mod audit;
pub mod cli;
mod emitted;
pub mod fault;
mod grpc;
mod history;
mod metrics;
mod page;
mod run;
mod security;
mod server;
mod sockets;
mod state;
mod table;

pub use run::run;

/// A page of the sink's metrics, each with a sample.
///
/// # Errors
///
/// If two have the same name.
pub fn example_metrics() -> prometheus::Result<String> {
    metrics::Metrics::example()
}
