//! Limits and timeouts of a server.

use std::time::Duration;

/// The limits of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Concurrent connections. One more closes a connection that waits for its client.
    pub connections: usize,
    /// Timeout of the handshake and the headers of the first request together.
    pub head: Duration,
    /// Timeout for receiving a request's body.
    pub body: Duration,
    /// Timeout for answering a request that has been received.
    pub work: Duration,
    /// Timeout for the client to read a response.
    pub answer: Duration,
    /// Timeout of an idle connection.
    pub idle: Duration,
    /// Bytes of a request's headers, and of each buffer of a connection.
    pub buffer: usize,
    /// Bytes of a socket's send and receive buffers, where the operating system honors that.
    pub socket_buffer: u32,
}

impl Limits {
    /// The limits for metrics and health endpoints.
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
