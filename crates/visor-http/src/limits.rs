//! How much a server holds, and for how long.

use std::time::Duration;

/// The bounds of a server. Each is for all connections together, or for each of them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once. One more takes the place of one that waits for its peer.
    pub connections: usize,
    /// How long a new connection may take for its handshake and the head of its first request.
    pub head: Duration,
    /// How long a request's body may take to arrive.
    pub body: Duration,
    /// How long a request may take to be answered once it has arrived.
    pub work: Duration,
    /// How long an answer may take to be read.
    pub answer: Duration,
    /// How long a connection is kept open on which nothing is asked.
    pub idle: Duration,
    /// Bytes of a request's head, and of what is kept to be read or written of one connection.
    pub buffer: usize,
    /// Bytes that the system keeps for a connection in each direction, as far as it heeds that.
    pub socket_buffer: u32,
}

impl Limits {
    /// For pages that a program shows of itself.
    pub const PAGES: Self = Self {
        connections: 64,
        head: Duration::from_secs(5),
        body: Duration::from_secs(5),
        work: Duration::from_secs(10),
        answer: Duration::from_secs(30),
        idle: Duration::from_secs(75),
        buffer: 16 << 10,
        socket_buffer: 64 << 10,
    };
}
