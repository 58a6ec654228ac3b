//! Records in JSON. Nearly always each token is in a string that is an intact line: then only this
//! string is read. Other records are parsed.

use std::{borrow::Cow, collections::HashSet, fmt};

use memchr::{memchr, memrchr};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Deserializer;

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
        if !are_intact || lines.is_empty() {
            return false;
        }
        if !identifiers.is_empty() {
            let known: HashSet<&Token> = lines.iter().map(|(_, token)| token).collect();
            if !identifiers.iter().all(|token| known.contains(token)) {
                return false;
            }
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

/// Whether a text is a whole object.
pub(super) fn is_object(text: &[u8]) -> bool {
    text.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// The first item of what is left of a list, and what is behind it; `None` if it isn't a whole value.
pub(super) fn first_item(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut values = Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let (item, behind) = rest.split_at_checked(values.byte_offset())?;
    Some((item.trim_ascii(), behind.trim_ascii_start()))
}

/// The text of a string.
pub(super) fn string(text: &[u8]) -> Option<String> {
    serde_json::from_slice(text).ok()
}

/// A record of docker's `json-file`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContainerLine {
    log: String,
    stream: String,
    #[expect(dead_code, reason = "it is there")]
    time: IgnoredAny,
    #[expect(dead_code, reason = "it may be there")]
    attrs: Option<IgnoredAny>,
}

/// The stream and the text of a record of docker's `json-file`.
pub(super) fn container_line(text: &[u8]) -> Option<(usize, String)> {
    let line: ContainerLine = serde_json::from_slice(text).ok()?;
    Some((container::stream_of(line.stream.as_bytes())?, line.log))
}

/// The strings with a token in a record, and in JSON within its strings; also the first one of the
/// field with this name. `None` if the record isn't JSON.
pub(super) fn fields(record: &[u8], also: Option<&str>) -> Option<Vec<Field<'static>>> {
    let mut fields = Vec::new();
    let strings = Strings { name: "", depth: MAX_DEPTH, also, fields: &mut fields };
    let mut parser = Deserializer::from_slice(record);
    strings.deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    Some(fields)
}

/// The same for a text that has a name already, and may be JSON.
pub(super) fn fields_of(field: &Field<'_>, also: Option<&str>) -> Vec<Field<'static>> {
    let mut fields = Vec::new();
    match std::str::from_utf8(&field.text) {
        Ok(text) => {
            Strings { name: &field.name, depth: MAX_DEPTH, also, fields: &mut fields }.add(text);
        }
        Err(_) => fields
            .push(Field { name: field.name.to_string().into(), text: field.text.to_vec().into() }),
    }
    fields
}

/// Collects strings, and nothing else of a record, which may have much.
struct Strings<'a> {
    /// The key before the value.
    name: &'a str,
    depth: usize,
    also: Option<&'a str>,
    fields: &'a mut Vec<Field<'static>>,
}

impl Strings<'_> {
    /// The same for a value within this one.
    fn within<'a>(&'a mut self, name: &'a str) -> Strings<'a> {
        Strings { name, depth: self.depth, also: self.also, fields: self.fields }
    }

    fn add(&mut self, text: &str) {
        if self.depth > 0 && text.starts_with(['{', '[']) {
            let so_far = self.fields.len();
            let mut parser = Deserializer::from_str(text);
            let mut inner = self.within(self.name);
            inner.depth -= 1;
            if inner.deserialize(&mut parser).and_then(|()| parser.end()).is_err() {
                self.fields.truncate(so_far);
            }
        }
        let is_wanted =
            Some(self.name) == self.also && self.fields.iter().all(|field| field.name != self.name);
        if is_wanted || Token::find(text.as_bytes(), 0).is_some() {
            let text = Cow::Owned(text.as_bytes().to_vec());
            self.fields.push(Field { name: Cow::Owned(self.name.to_owned()), text });
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strings<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strings<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.add(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let name = self.name;
        while items.next_element_seed(self.within(name))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        while let Some(name) = object.next_key::<String>()? {
            object.next_value_seed(self.within(&name))?;
        }
        Ok(())
    }
}
