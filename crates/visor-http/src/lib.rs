//! The HTTP servers of Visor's programs, and a client for their pages: HTTP/1.1, with limits that
//! apply to all connections together, since hostile pods can reach the same port.
//!
//! | module | idea |
//! |---|---|
//! | `address` | the address on which a server listens: IPv4, IPv6 or both |
//! | `limits` | limits and timeouts of a server |
//! | `connections` | open connections, and which one is closed to make room for the next |
//! | `phase` | what a connection is doing, and its timeout |
//! | `budget` | a memory limit for all request bodies together |
//! | `accept` | the loop that accepts, and a task for each connection |
//! | `server` | HTTP on a connection |
//! | `client` | one request for such a page |
//! | `pages` | `/metrics`, `/livez` and `/readyz`, the same in every program |
//!
//! It touches sockets, and knows nothing about the requests and responses.

mod accept;
mod address;
mod budget;
mod client;
mod connections;
mod limits;
mod pages;
mod phase;
mod server;
#[cfg(test)]
mod tests;

pub use accept::{Connection, accept};
pub use address::{ListenAddress, ParseListenAddressError, bind, bind_datagrams};
pub use budget::{BodyError, Budget, CompleteBody};
pub use client::get;
pub use limits::Limits;
pub use pages::{Page, Readiness, pages};
pub use phase::Progress;
pub use server::{Handshake, Plain, ServerHandle, serve, serve_with};
