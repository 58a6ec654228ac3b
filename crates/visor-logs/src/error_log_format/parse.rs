//! The parser of format strings: text in, items out, or httpd's error.

use super::{ErrorLogFormat, ErrorLogFormatError, Item, Value};
use crate::log_format::{CtimeOptions, TimeFormat};

/// The highest level: trace8.
const MAX_LEVEL: u32 = 15;

/// Parses a format string.
///
/// # Errors
///
/// If httpd would reject it; and if it has a newline, which would break the line.
pub fn parse(text: &str) -> Result<ErrorLogFormat, ErrorLogFormatError> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (item, length) = item(text, at)?;
        items.push(item);
        at += length;
    }
    if !items.iter().any(|item| item.value == Value::Message) {
        return Err(ErrorLogFormatError::NoMessage);
    }
    Ok(ErrorLogFormat::new(items))
}

/// Parses the item at this byte, and returns its length.
fn item(text: &str, start: usize) -> Result<(Item, usize), ErrorLogFormatError> {
    let rest = &text[start..];
    if let Some(after) = rest.strip_prefix("% ") {
        // A separator without text, before another item or at the end.
        let (following, length) = if after.is_empty() {
            (Item::literal(String::new()), 0)
        } else {
            item(text, start + 2)?
        };
        return Ok((Item { starts_field: true, ..following }, length + 2));
    }
    if rest.starts_with("%%") {
        return Ok((Item::literal("%".to_owned()), 2));
    }
    if rest.starts_with('%') { directive(text, start) } else { literal(rest) }
}

/// Parses literal text. It ends at a space that isn't at its start, which begins the next field.
fn literal(text: &str) -> Result<(Item, usize), ErrorLogFormatError> {
    let mut literal = String::new();
    let mut is_at_start = true;
    let mut rest = text.char_indices();
    let length = loop {
        let Some((at, character)) = rest.next() else { break text.len() };
        match character {
            '%' => break at,
            ' ' if !is_at_start => break at,
            ' ' => literal.push(' '),
            '\\' => match rest.next() {
                // As in httpd, an escaped character doesn't end the spaces at the start.
                Some((_, 'n' | '\n')) => return Err(ErrorLogFormatError::Newline),
                Some((_, 'r')) => literal.push('\r'),
                Some((_, 't')) => literal.push('\t'),
                Some((_, escaped)) => literal.push(escaped),
                None => literal.push('\\'),
            },
            '\n' => return Err(ErrorLogFormatError::Newline),
            other => {
                is_at_start = false;
                literal.push(other);
            }
        }
    };
    let starts_field = text.starts_with(' ');
    Ok((Item { starts_field, ..Item::literal(literal) }, length))
}

/// Parses the directive whose `%` is at this byte.
fn directive(text: &str, start: usize) -> Result<(Item, usize), ErrorLogFormatError> {
    let position = text[..start].chars().count() + 1;
    let mut argument = String::new();
    let (mut is_hyphen_if_empty, mut is_required, mut level) = (false, false, 0_u32);
    let mut at = start + 1;
    loop {
        let Some(character) = text[at..].chars().next() else {
            let item = text[start..].to_owned();
            return Err(ErrorLogFormatError::Unfinished { item, position });
        };
        at += character.len_utf8();
        let written = || text[start..at].to_owned();
        match character {
            '{' => {
                // As `ap_getword`: it isn't closed, or more than once.
                let (name, after) = text[at..].split_once('}').unwrap_or((&text[at..], ""));
                name.clone_into(&mut argument);
                at = text.len() - after.trim_start_matches('}').len();
            }
            '+' => is_required = true,
            '-' => is_hyphen_if_empty = true,
            '0'..='9' => {
                let digits = text[at - 1..].find(|c: char| !c.is_ascii_digit());
                let end = digits.map_or(text.len(), |digits| at - 1 + digits);
                level = text[at - 1..end].parse().unwrap_or(u32::MAX);
                at = end;
            }
            letter => {
                let Some(value) = value(letter, &argument) else {
                    return Err(ErrorLogFormatError::UnknownItem { item: written(), position });
                };
                if is_required {
                    return Err(ErrorLogFormatError::Required { item: written(), position });
                }
                let level = u8::try_from(level).ok().filter(|level| u32::from(*level) <= MAX_LEVEL);
                let Some(level) = level else {
                    return Err(ErrorLogFormatError::UnknownLevel { item: written(), position });
                };
                let item = Item { value, starts_field: false, is_hyphen_if_empty, level };
                return Ok((item, at - start));
            }
        }
    }
}

/// What a directive stands for, by its letter.
fn value(letter: char, argument: &str) -> Option<Value> {
    let name = || argument.to_owned();
    Some(match letter {
        'M' => Value::Message,
        'a' => Value::ClientAddressAndPort,
        'A' => Value::LocalAddressAndPort,
        'e' => Value::Environment(name()),
        'E' => Value::SystemError,
        'F' => Value::Source,
        'i' => Value::RequestHeader(name()),
        'k' => Value::KeepAliveRequests,
        'l' => Value::Level,
        'L' if argument.starts_with('c') => Value::ConnectionLogId,
        'L' if argument.starts_with('C') => Value::OnlyConnectionLogId,
        'L' => Value::RequestLogId,
        'm' => Value::Module,
        'n' => Value::Note(name()),
        'P' => Value::ProcessId,
        't' if argument.contains('%') => Value::Time(TimeFormat::Strftime(name())),
        't' => Value::Time(TimeFormat::Ctime(CtimeOptions {
            microseconds: argument.contains('u'),
            milliseconds: argument.contains('m'),
            compact: argument.contains('c'),
            zone: argument.contains('z'),
        })),
        'T' if argument.starts_with('g') => Value::KernelThreadId,
        'T' => Value::ThreadId,
        'v' => Value::VirtualHost,
        'V' => Value::ServerName,
        _ => return None,
    })
}

impl Item {
    fn literal(text: String) -> Self {
        let value = Value::Literal(text);
        Self { value, starts_field: false, is_hyphen_if_empty: false, level: 0 }
    }
}
