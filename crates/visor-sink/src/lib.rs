//! A sink for log collectors: it answers as the real endpoint does, and tells which lines arrived.
//!
//! ```text
//! connection -> server: request, decompressed -> protocol: records, answer -> audit: delivery
//! generators: what they have emitted -> emitted -> audit: verdict -> table, pages, exit status
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`protocol`] | what collectors speak: bytes in, records and the answer out |
//! | [`framing`] | the same for connections of their own |
//! | [`records`] | where the records of a request go |
//! | [`fault`] | what a sink does wrong on purpose |
//! | [`encoding`] | compressed bodies, with a limit |
//! | `malformed` | bytes that aren't what their protocol says |
//! | `protobuf` | fields of messages, where they are |
//! | `audit` | what arrived and what was emitted, together |
//! | `server` | HTTP: the way of a request |
//! | `grpc` | the way of a call of gRPC |
//! | `sockets` | the way of a frame |
//! | `emitted` | asks what was emitted |
//! | `metrics` | what Prometheus reads |
//! | `run` | a run, from its first listener to its verdict |
//! | [`cli`] | the command line |

mod audit;
pub mod cli;
mod emitted;
pub mod encoding;
pub mod fault;
pub mod framing;
mod grpc;
mod malformed;
mod metrics;
mod protobuf;
pub mod protocol;
pub mod records;
mod run;
mod server;
mod sockets;

pub use run::run;

/// A page of the sink's metrics, each with a sample.
///
/// # Errors
///
/// If two have the same name.
pub fn example_metrics() -> prometheus::Result<String> {
    metrics::Metrics::example()
}
