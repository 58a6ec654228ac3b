//! Fluent Forward: messages in `MessagePack`, each with a record, a list of them, or records packed in a
//! string, maybe compressed. One with a chunk is acknowledged. With shared keys there is a handshake.

mod handshake;
mod messagepack;

use flate2::read::MultiGzDecoder;
use handshake::Handshake;
pub use handshake::NONCE;
use messagepack::{Scan, Value};
use visor_proof::delivery::Field;

use super::Framing;
use crate::{encoding, malformed::Malformed, records::Records};

/// Fluent Forward.
#[derive(Debug, Default)]
pub struct Forward {
    /// How far the message at the start is scanned.
    scan: Scan,
    handshake: Option<Handshake>,
}

impl Forward {
    /// Asks clients for one of these shared keys; without any, for none. The nonce is random.
    pub fn new(keys: Vec<String>, nonce: [u8; NONCE]) -> Self {
        let handshake = (!keys.is_empty()).then(|| Handshake::new(keys, nonce));
        Self { scan: Scan::default(), handshake }
    }
}

/// How deep values may be within each other.
const MAX_DEPTH: usize = 32;

impl Framing for Forward {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn greeting(&self) -> Vec<u8> {
        self.handshake.as_ref().map_or_else(Vec::new, Handshake::hello)
    }

    fn frames(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut length = 0;
        while let Some(end) = self.scan.value(&bytes[length..])? {
            length += end;
            self.scan = Scan::default();
        }
        Ok(length)
    }

    fn read(&mut self, frames: &[u8], records: &mut Records<'_>) -> Result<Vec<u8>, Malformed> {
        let mut answer = Vec::new();
        let mut rest = frames;
        while !rest.is_empty() {
            let Value::List(count) = messagepack::next(&mut rest)? else {
                return Err(Malformed::new("a message is no list"));
            };
            if let Some(handshake) = self.handshake.as_mut().filter(|known| !known.is_done()) {
                answer.extend(handshake.read_ping(count, &mut rest)?);
                if !handshake.is_done() {
                    // What follows is nobody's.
                    return Ok(answer);
                }
                continue;
            }
            if let Some(chunk) = message(count, &mut rest, records)?
                && records.are_acknowledged()
            {
                answer.extend(messagepack::acknowledgement(chunk));
            }
        }
        Ok(answer)
    }
}

/// Reads a message of so many items, and returns its chunk.
fn message<'a>(
    count: usize,
    rest: &mut &'a [u8],
    records: &mut Records<'_>,
) -> Result<Option<&'a [u8]>, Malformed> {
    if count < 2 {
        return Err(Malformed::new("a message has less than two items"));
    }
    let Value::Text(_) = messagepack::next(rest)? else {
        return Err(Malformed::new("a message has no tag"));
    };
    let mut packed = None;
    let mut used = 2;
    match messagepack::next(rest)? {
        Value::List(entries) => {
            // The time of a single record may be one, too, but not such a list.
            for _ in 0..entries {
                entry(rest, records)?;
            }
        }
        Value::Text(bytes) => packed = Some(bytes),
        _ if count == 2 => return Err(Malformed::new("a message has a time and no record")),
        _ => {
            used = 3;
            record(rest, records)?;
        }
    }
    let (mut chunk, mut is_compressed) = (None, false);
    if count > used {
        let Value::Map(options) = messagepack::next(rest)? else {
            return Err(Malformed::new("the option of a message is no map"));
        };
        for _ in 0..options {
            let name = messagepack::next(rest)?;
            let value = messagepack::skip(rest)?;
            match name {
                Value::Text(b"chunk") => chunk = Some(value),
                Value::Text(b"compressed") => is_compressed = !value.ends_with(b"text"),
                _ => {}
            }
        }
    }
    for _ in used + 1..count {
        messagepack::skip(rest)?;
    }
    if let Some(packed) = packed {
        let unpacked = if is_compressed {
            let read = encoding::read("gzip", MultiGzDecoder::new(packed));
            Some(read.map_err(|error| Malformed::new(&error))?)
        } else {
            None
        };
        let mut rest = unpacked.as_deref().unwrap_or(packed);
        while !rest.is_empty() {
            entry(&mut rest, records)?;
        }
    }
    Ok(chunk)
}

/// Reads an entry: a time and a record.
fn entry(rest: &mut &[u8], records: &mut Records<'_>) -> Result<(), Malformed> {
    let Value::List(items @ 2..) = messagepack::next(rest)? else {
        return Err(Malformed::new("an entry is no list of a time and a record"));
    };
    messagepack::skip(rest)?;
    record(rest, records)?;
    for _ in 2..items {
        messagepack::skip(rest)?;
    }
    Ok(())
}

/// Reads a record.
fn record(rest: &mut &[u8], records: &mut Records<'_>) -> Result<(), Malformed> {
    let mut fields = Vec::new();
    texts("", rest, MAX_DEPTH, &mut fields)?;
    records.fields(&fields);
    Ok(())
}

/// Collects the texts of a value.
fn texts<'a>(
    name: &'a str,
    rest: &mut &'a [u8],
    depth: usize,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), Malformed> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Malformed::new(&format!("values are more than {MAX_DEPTH} deep")));
    };
    match messagepack::next(rest)? {
        Value::Text(text) => fields.push(Field { name: name.into(), text: text.into() }),
        Value::List(count) => {
            for _ in 0..count {
                texts(name, rest, depth, fields)?;
            }
        }
        Value::Map(count) => {
            for _ in 0..count {
                let name = match messagepack::next(rest)? {
                    Value::Text(name) => std::str::from_utf8(name).unwrap_or_default(),
                    Value::Other => "",
                    Value::List(_) | Value::Map(_) => {
                        return Err(Malformed::new("the key of a map is no text"));
                    }
                };
                texts(name, rest, depth, fields)?;
            }
        }
        Value::Other => {}
    }
    Ok(())
}
