//! Records in JSON. Nearly always each token is in a string that is an intact line: then only this
//! string is read. Other records are parsed.

use std::borrow::Cow;

use memchr::{memchr, memrchr};
use serde_json::Value;

use super::container;
use crate::{
    delivery::{Field, Input},
    token::{Found, LENGTH, Token},
};

/// How deep JSON within strings of JSON is decoded.
const MAX_DEPTH: usize = 4;

/// Reads records whose lines are intact.
#[derive(Debug, Default)]
pub(super) struct IntactLines {
    /// The lines of a record, each with its field.
    lines: Vec<(usize, Token)>,
    /// The tokens that are strings of their own.
    identifiers: Vec<Token>,
    /// Strings without their escapes, by their depth.
    strings: [Vec<u8>; MAX_DEPTH],
}

impl IntactLines {
    /// Adds the lines of a record, if each of its tokens is in a string that is an intact line.
    /// Returns whether that is so; if not, nothing is done. `first` is the first token.
    pub(super) fn add(&mut self, text: &[u8], first: Found, input: &mut Input<'_>) -> bool {
        let Self { lines, identifiers, strings } = self;
        lines.clear();
        identifiers.clear();
        let are_intact = collect(text, first, strings, input, lines, identifiers);
        let is_known = |token: &Token| lines.iter().any(|(_, line)| line == token);
        if !are_intact || lines.is_empty() || !identifiers.iter().all(is_known) {
            return false;
        }
        input.lines(lines);
        true
    }
}

/// Collects the lines of a record. Returns whether each of its tokens is in one.
fn collect(
    text: &[u8],
    first: Found,
    strings: &mut [Vec<u8>],
    input: &mut Input<'_>,
    lines: &mut Vec<(usize, Token)>,
    identifiers: &mut Vec<Token>,
) -> bool {
    let Some((unescaped, deeper)) = strings.split_first_mut() else { return false };
    let mut next = Some(first);
    while let Some(found) = next {
        let Some(around) = Around::of(text, found.at) else { return false };
        let inner = &text[around.start + 1..around.end];
        let at = found.at - around.start - 1;
        let (string, at) = if memchr(b'\\', inner).is_none() {
            (inner, at)
        } else {
            unescaped.clear();
            if unescape(&inner[..at], unescaped).is_none() {
                return false;
            }
            let at = unescaped.len();
            if unescape(&inner[found.at - around.start - 1..], unescaped).is_none() {
                return false;
            }
            (&unescaped[..], at)
        };
        let string = string.trim_ascii_end();
        let found = Found { at, token: found.token };
        if string.trim_ascii().len() == LENGTH {
            identifiers.push(found.token);
        } else if let Some(token) = input.token_of(string, found) {
            lines.push((input.field(around.name), token));
        } else if !string.trim_ascii_start().starts_with(b"{")
            || !collect(string, found, deeper, input, lines, identifiers)
        {
            return false;
        }
        next = Token::find(text, around.end);
    }
    true
}

/// The string around a place in JSON, and the key before it.
struct Around<'a> {
    name: &'a str,
    /// Where its quotation marks are.
    start: usize,
    end: usize,
}

impl<'a> Around<'a> {
    fn of(json: &'a [u8], at: usize) -> Option<Self> {
        let start = quote_before(json, at)?;
        let end = quote_behind(json, at)?;
        let before = json[..start].trim_ascii_end().strip_suffix(b":")?;
        let key = before.trim_ascii_end().strip_suffix(b"\"")?;
        let key = &key[memrchr(b'"', key)? + 1..];
        let name = std::str::from_utf8(key).ok().filter(|name| !name.contains('\\'))?;
        Some(Self { name, start, end })
    }
}

/// Appends the bytes of a string, or of a part of one, without its escapes. `serde_json` does the same
/// with more care for what is wrong, and takes longer than everything else.
fn unescape(string: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = string;
    while let Some(at) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (escape, behind) = rest[at + 1..].split_first()?;
        rest = behind;
        out.push(match escape {
            b'"' | b'\\' | b'/' => *escape,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'f' => 0x0c,
            b'u' => {
                let (character, behind) = escaped_character(rest)?;
                rest = behind;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return None,
        });
    }
    out.extend_from_slice(rest);
    Some(())
}

/// The character of an escape such as `\u00e4`, of which `\u` is read, and what follows it.
fn escaped_character(rest: &[u8]) -> Option<(char, &[u8])> {
    let unit = |bytes: &[u8]| {
        let digits = std::str::from_utf8(bytes.get(..4)?).ok()?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_number.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    let first = unit(rest)?;
    let behind = &rest[4..];
    if let Some(Ok(character)) = char::decode_utf16([first]).next() {
        return Some((character, behind));
    }
    let second = unit(behind.strip_prefix(b"\\u")?)?;
    let character = char::decode_utf16([first, second]).next()?.ok()?;
    Some((character, &behind[6..]))
}

/// The quotation mark that begins the string around a place.
fn quote_before(json: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let quote = memrchr(b'"', &json[..end])?;
        if !is_escaped(json, quote) {
            return Some(quote);
        }
        end = quote;
    }
}

/// The quotation mark that ends the string around a place.
fn quote_behind(json: &[u8], at: usize) -> Option<usize> {
    let mut from = at;
    loop {
        let quote = from + memchr(b'"', &json[from..])?;
        if !is_escaped(json, quote) {
            return Some(quote);
        }
        from = quote + 1;
    }
}

fn is_escaped(json: &[u8], at: usize) -> bool {
    json[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Whether a text begins like a list of records, rather than like a line of an error log.
pub(super) fn is_list(text: &[u8]) -> bool {
    let first = text.get(1..).unwrap_or_default().trim_ascii_start().first();
    matches!(first, None | Some(b'{' | b'[' | b'"' | b']'))
}

/// The items of a list, each in JSON, strings as they are; `None` if it isn't a whole list.
pub(super) fn items(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = text.strip_suffix(b",").unwrap_or(text);
    let items: Vec<Value> = serde_json::from_slice(text).ok()?;
    let text = |item| match item {
        Value::String(text) => text.into_bytes(),
        item => item.to_string().into_bytes(),
    };
    Some(items.into_iter().map(text).collect())
}

/// The value that a text is.
pub(super) fn parse(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

/// The stream and the text of a record of docker's `json-file`.
pub(super) fn container_line(value: &Value) -> Option<(usize, &[u8])> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let (log, stream, _) = (text("log")?, text("stream")?, text("time")?);
    let has_no_other = value.as_object().is_some_and(|object| {
        object.keys().all(|key| matches!(&**key, "log" | "stream" | "time" | "attrs"))
    });
    has_no_other.then_some((container::stream_of(stream.as_bytes())?, log.as_bytes()))
}

/// The strings of a value, and of JSON within them.
pub(super) fn fields(value: &Value) -> Vec<Field<'static>> {
    let mut fields = Vec::new();
    add_fields("", value, MAX_DEPTH, &mut fields);
    fields
}

fn add_fields(name: &str, value: &Value, depth: usize, fields: &mut Vec<Field<'static>>) {
    match value {
        Value::String(text) => {
            if depth > 0
                && text.starts_with(['{', '['])
                && let Ok(inner) = serde_json::from_str(text)
            {
                add_fields(name, &inner, depth - 1, fields);
            }
            let (name, text) = (name.to_owned(), text.clone().into_bytes());
            fields.push(Field { name: Cow::Owned(name), text: Cow::Owned(text) });
        }
        Value::Array(items) => items.iter().for_each(|item| add_fields(name, item, depth, fields)),
        Value::Object(object) => {
            object.iter().for_each(|(name, value)| add_fields(name, value, depth, fields));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
