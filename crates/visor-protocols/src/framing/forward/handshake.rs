//! The handshake of Fluent Forward, by which both sides show that they know a shared key: the server
//! says HELO with a nonce, the client PING, the server PONG.

use std::fmt::Write;

use ring::digest::{Context, SHA512};
use rmp::encode;

use super::messagepack::{self, Value};
use crate::malformed::Malformed;

/// The bytes of a nonce.
pub const NONCE: usize = 16;
/// The name by which the sink is known to clients.
const HOST: &str = "visor-sink";

/// What is known of a client.
#[derive(Debug)]
pub(super) struct Handshake {
    keys: Vec<String>,
    nonce: [u8; NONCE],
    is_done: bool,
}

impl Handshake {
    pub(super) const fn new(keys: Vec<String>, nonce: [u8; NONCE]) -> Self {
        Self { keys, nonce, is_done: false }
    }

    /// Whether the client has shown that it knows a key.
    pub(super) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// The message with which the server begins.
    pub(super) fn hello(&self) -> Vec<u8> {
        let mut hello = Vec::new();
        // A vector takes everything.
        let _ = encode::write_array_len(&mut hello, 2);
        let _ = encode::write_str(&mut hello, "HELO");
        let _ = encode::write_map_len(&mut hello, 3);
        let _ = encode::write_str(&mut hello, "nonce");
        let _ = encode::write_bin(&mut hello, &self.nonce);
        // No user's name and password is asked for.
        let _ = encode::write_str(&mut hello, "auth");
        let _ = encode::write_str(&mut hello, "");
        let _ = encode::write_str(&mut hello, "keepalive");
        let _ = encode::write_bool(&mut hello, true);
        hello
    }

    /// Reads the client's PING, and returns the PONG.
    pub(super) fn read_ping(
        &mut self,
        count: usize,
        rest: &mut &[u8],
    ) -> Result<Vec<u8>, Malformed> {
        let mut text = || match messagepack::next(rest)? {
            Value::Text(text) => Ok(text),
            _ => Err(Malformed::new("a PING has something else than texts")),
        };
        if count != 6 || text()? != b"PING" {
            return Err(Malformed::new("a client has to begin with PING"));
        }
        let (host, salt, shown) = (text()?, text()?, text()?);
        // The user's name and password.
        let _ = (text()?, text()?);
        let key = self
            .keys
            .iter()
            .find(|key| digest([salt, host, &self.nonce, key.as_bytes()]).as_bytes() == shown);
        self.is_done = key.is_some();
        let digest = key.map_or_else(String::new, |key| {
            digest([salt, HOST.as_bytes(), &self.nonce, key.as_bytes()])
        });
        let mut pong = Vec::new();
        let _ = encode::write_array_len(&mut pong, 5);
        let _ = encode::write_str(&mut pong, "PONG");
        let _ = encode::write_bool(&mut pong, self.is_done);
        let why = if self.is_done { "" } else { "the shared key is another one" };
        let _ = encode::write_str(&mut pong, why);
        let _ = encode::write_str(&mut pong, HOST);
        let _ = encode::write_str(&mut pong, &digest);
        Ok(pong)
    }
}

/// The SHA-512 of all parts, in hexadecimal digits.
fn digest(parts: [&[u8]; 4]) -> String {
    let mut context = Context::new(&SHA512);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().iter().fold(String::new(), |mut digits, byte| {
        // A string takes everything.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
