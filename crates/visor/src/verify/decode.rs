//! What a line of an input is, by looking: a plain line, a line of a container's log (CRI or docker's
//! json-file), or JSON. Records that came in parts are put together.

use std::io::{self, BufRead, Read};

use serde_json::Value;
use visor_proof::delivery::Input;

/// The maximum length of a line; a longer one is read as several.
const MAX_LINE: u64 = 16 << 20;
/// How deep JSON within strings of JSON is decoded.
const MAX_DEPTH: usize = 4;

/// Adds the records of an input.
pub(super) fn records(mut read: Box<dyn BufRead>, input: &mut Input<'_>) -> io::Result<()> {
    let mut line = Vec::new();
    let mut partial = Vec::new();
    loop {
        line.clear();
        if (&mut read).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            if !partial.is_empty() {
                record(&partial, input);
            }
            return Ok(());
        }
        match container_line(&line) {
            Some((text, is_whole)) => {
                partial.extend_from_slice(text);
                if is_whole || partial.len() as u64 > MAX_LINE {
                    record(&partial, input);
                    partial.clear();
                }
            }
            None => record(&line, input),
        }
    }
}

/// The text of a line that a container runtime has written (`TIME stdout P TEXT`), and whether it is
/// the last part of a line.
fn container_line(line: &[u8]) -> Option<(&[u8], bool)> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_time = time.len() >= 20 && time[0].is_ascii_digit() && time[10] == b'T';
    let is_stream = stream == b"stdout" || stream == b"stderr";
    let is_whole = match tag.split(|byte| *byte == b':').next() {
        Some(b"F") => true,
        Some(b"P") => false,
        _ => return None,
    };
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    (is_time && is_stream).then_some((text, is_whole))
}

/// Adds a record: plain text, or JSON whose strings may be one.
fn record(line: &[u8], input: &mut Input<'_>) {
    let text = line.trim_ascii();
    match text.first() {
        None => {}
        Some(b'{') => input.decoded(text, || {
            let value = serde_json::from_slice(text).ok()?;
            Some(strings_in(&value))
        }),
        // A line of an error log begins like a list, too.
        Some(b'[') => match serde_json::from_slice::<Vec<Value>>(text) {
            Ok(items) => {
                for item in &items {
                    input.decoded(b"", || Some(strings_in(item)));
                }
            }
            Err(_) => input.record(text),
        },
        Some(_) => input.record(text),
    }
}

/// The strings of a value, and of JSON within them.
fn strings_in(value: &Value) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    strings_of(value, MAX_DEPTH, &mut strings);
    strings
}

fn strings_of(value: &Value, depth: usize, strings: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => {
            strings.push(text.clone().into_bytes());
            if depth > 0
                && text.starts_with(['{', '['])
                && let Ok(inner) = serde_json::from_str(text)
            {
                strings_of(&inner, depth - 1, strings);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings_of(item, depth, strings)),
        Value::Object(fields) => {
            fields.values().for_each(|field| strings_of(field, depth, strings));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_containers_are_told_apart() {
        let line = b"2026-01-02T03:04:05.678901234Z stdout F 192.0.2.1 - - a\n";
        assert_eq!(container_line(line), Some((&b"192.0.2.1 - - a"[..], true)));
        let part = b"2026-01-02T03:04:05.678901234Z stderr P 192.0.2.1\n";
        assert_eq!(container_line(part), Some((&b"192.0.2.1"[..], false)));
        assert_eq!(container_line(b"192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] a\n"), None);
        assert_eq!(container_line(b""), None);
    }
}
