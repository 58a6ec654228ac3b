//! What collectors speak on connections of their own: a file for each protocol, behind one trait. Bytes
//! in; records, and maybe an answer, out. No I/O, no clock.

mod forward;
mod lines;
mod syslog;

pub use forward::{Forward, NONCE};
pub use lines::Lines;
pub use syslog::Syslog;

use crate::{malformed::Malformed, records::Records};

/// The maximum number of bytes of a frame.
pub const MAX_FRAME: usize = 32 << 20;

/// A protocol on a connection: it tells frames apart, and reads what is in them.
pub trait Framing: Send {
    /// Its name in metrics.
    fn name(&self) -> &'static str;

    /// What the server says before anything else.
    fn greeting(&self) -> Vec<u8> {
        Vec::new()
    }

    /// How many of these bytes are whole frames; 0 if not even one is. They begin behind the frames
    /// that the last call has found, and have at least as many bytes as it has left there.
    ///
    /// # Errors
    ///
    /// If no frame begins there. The connection is closed then.
    fn frames(&mut self, bytes: &[u8]) -> Result<usize, Malformed>;

    /// Reads whole frames, and returns the answer.
    ///
    /// # Errors
    ///
    /// If they aren't what the protocol says. The connection is closed then.
    fn read(&mut self, frames: &[u8], records: &mut Records<'_>) -> Result<Vec<u8>, Malformed>;

    /// Whether what is left at the end of a connection is a frame.
    fn has_open_end(&self) -> bool {
        false
    }
}
