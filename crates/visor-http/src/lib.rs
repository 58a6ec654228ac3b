//! The HTTP servers of Visor's programs: HTTP/1.1 for whoever connects, within bounds that hold for
//! all connections together. A port that a cluster's every pod can reach is reached by hostile ones.
//!
//! | module | idea |
//! |---|---|
//! | `address` | where a server listens, of one family or of both |
//! | `limits` | how much a server holds, and for how long |
//! | `connections` | the connections that there are, and which one makes room for the next |
//! | `phase` | what a connection waits for, and for how long it may |
//! | `budget` | the bytes of bodies that are being read, all together |
//! | `server` | the loop that accepts, and a task for each connection |
//! | `pages` | `/metrics`, `/livez` and `/readyz`, the same in every program |
//!
//! It touches sockets, and knows nothing of what is asked and answered.

mod address;
mod budget;
mod connections;
mod limits;
mod pages;
mod phase;
mod server;
#[cfg(test)]
mod tests;

pub use address::{ListenAddress, ParseListenAddressError, bind};
pub use budget::{BodyError, Budget, HeldBody};
pub use limits::Limits;
pub use pages::{Readiness, pages};
pub use phase::Progress;
pub use server::{Handshake, Plain, ServerHandle, serve};
