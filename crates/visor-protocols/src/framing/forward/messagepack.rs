//! `MessagePack` values, read where they are: a tree of values would take up to forty times as much
//! memory as the bytes that a client has sent.

use rmp::{Marker, encode};

use crate::malformed::Malformed;

/// A value, or how many follow that are in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A string or bytes.
    Text(&'a [u8]),
    List(usize),
    /// How many pairs.
    Map(usize),
    /// Anything else, such as a number or a time.
    Other,
}

/// What the first bytes of a value say.
struct Head {
    /// The bytes of the head itself.
    length: usize,
    /// The bytes that follow it.
    bytes: usize,
    /// The values that follow those.
    values: usize,
    kind: Kind,
}

enum Kind {
    Text,
    List,
    Map,
    Other,
}

/// The head at the start of these bytes; `None` if it isn't whole.
fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let number = |digits: usize| {
        let digits = bytes.get(1..=digits)?;
        Some(digits.iter().fold(0_usize, |number, digit| number << 8 | usize::from(*digit)))
    };
    let fixed = |bytes| Some(Head { length: 1, bytes, values: 0, kind: Kind::Other });
    let text = |digits| {
        let bytes = number(digits)?;
        Some(Head { length: 1 + digits, bytes, values: 0, kind: Kind::Text })
    };
    let extension = |digits| {
        // Its type is one byte more.
        let bytes = number(digits)? + 1;
        Some(Head { length: 1 + digits, bytes, values: 0, kind: Kind::Other })
    };
    let list = |digits| {
        let values = number(digits)?;
        Some(Head { length: 1 + digits, bytes: 0, values, kind: Kind::List })
    };
    let map = |digits| {
        let values = 2 * number(digits)?;
        Some(Head { length: 1 + digits, bytes: 0, values, kind: Kind::Map })
    };
    Ok(match Marker::from_u8(*first) {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
            fixed(0)
        }
        Marker::U8 | Marker::I8 => fixed(1),
        Marker::U16 | Marker::I16 | Marker::FixExt1 => fixed(2),
        Marker::FixExt2 => fixed(3),
        Marker::U32 | Marker::I32 | Marker::F32 => fixed(4),
        Marker::FixExt4 => fixed(5),
        Marker::U64 | Marker::I64 | Marker::F64 => fixed(8),
        Marker::FixExt8 => fixed(9),
        Marker::FixExt16 => fixed(17),
        Marker::Ext8 => extension(1),
        Marker::Ext16 => extension(2),
        Marker::Ext32 => extension(4),
        Marker::FixStr(length) => {
            Some(Head { length: 1, bytes: length.into(), values: 0, kind: Kind::Text })
        }
        Marker::Str8 | Marker::Bin8 => text(1),
        Marker::Str16 | Marker::Bin16 => text(2),
        Marker::Str32 | Marker::Bin32 => text(4),
        Marker::FixArray(values) => {
            Some(Head { length: 1, bytes: 0, values: values.into(), kind: Kind::List })
        }
        Marker::Array16 => list(2),
        Marker::Array32 => list(4),
        Marker::FixMap(pairs) => {
            Some(Head { length: 1, bytes: 0, values: 2 * usize::from(pairs), kind: Kind::Map })
        }
        Marker::Map16 => map(2),
        Marker::Map32 => map(4),
        Marker::Reserved => return Err(Malformed::new("no MessagePack")),
    })
}

/// Takes the next value, or what it says of those that are in it.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Result<Value<'a>, Malformed> {
    let incomplete = || Malformed::new("a value is not complete");
    let Head { length, bytes, values, kind } = head(rest)?.ok_or_else(incomplete)?;
    let text = rest.get(length..length + bytes).ok_or_else(incomplete)?;
    *rest = &rest[length + bytes..];
    Ok(match kind {
        Kind::Text => Value::Text(text),
        Kind::List => Value::List(values),
        Kind::Map => Value::Map(values / 2),
        Kind::Other => Value::Other,
    })
}

/// Takes the next value with everything in it, and returns its bytes.
pub(super) fn skip<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = Scan::default().value(rest)?;
    let length = length.ok_or_else(|| Malformed::new("a value is not complete"))?;
    let (value, behind) = rest.split_at(length);
    *rest = behind;
    Ok(value)
}

/// How far a value is scanned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    at: usize,
    /// How many values follow.
    left: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Self { at: 0, left: 1 }
    }
}

impl Scan {
    /// The length of the value at the start of these bytes; `None` if it isn't whole. Goes on where the
    /// last call with its start has ended.
    pub(super) fn value(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while self.left > 0 {
            let Some(head) = bytes.get(self.at..).map(head).transpose()?.flatten() else {
                return Ok(None);
            };
            let end = self.at + head.length + head.bytes;
            if end > bytes.len() {
                return Ok(None);
            }
            self.at = end;
            self.left = self.left - 1 + head.values;
        }
        Ok(Some(self.at))
    }
}

/// The acknowledgement of a chunk, which is a value as its client has sent it.
pub(super) fn acknowledgement(chunk: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    // A vector takes everything.
    let _ = encode::write_map_len(&mut answer, 1);
    let _ = encode::write_str(&mut answer, "ack");
    answer.extend_from_slice(chunk);
    answer
}
