//! What log collectors speak with their destinations: bytes in; records, and the answer that a client
//! expects, out.
//!
//! | module | idea |
//! |---|---|
//! | [`protocol`] | the protocols over HTTP, a file each |
//! | [`framing`] | the protocols on connections of their own, a file each |
//! | [`records`] | where the records of a request go |
//! | [`encoding`] | compressed bodies, with a limit |
//! | `protobuf` | fields of messages, where they are |
//! | [`malformed`] | bytes that aren't what their protocol says |
//!
//! No I/O, no clock.

pub mod encoding;
pub mod framing;
pub mod malformed;
mod protobuf;
pub mod protocol;
pub mod records;
