//! Strings: their length and notation.

use serde_json::Value as Json;

use super::schema::{Notation, Schema};
use crate::{
    message::shown,
    quantity::{Duration, Size},
    source::NAME_PATTERN,
    tree::{Document, Node, Value},
};

/// The problem of a string, if it has one.
pub(super) fn check(all: &Schema, schema: &Json, text: &str) -> Option<String> {
    let notation = all.notation(schema);
    if let Some(message) = notation.and_then(|(notation, _)| quantity_error(notation, text)) {
        return Some(message);
    }
    let least = schema.get("minLength").and_then(Json::as_u64).unwrap_or(0);
    let most = schema.get("maxLength").and_then(Json::as_u64).unwrap_or(u64::MAX);
    let length = text.chars().count() as u64;
    if length < least && least == 1 {
        return Some("must not be empty".to_owned());
    }
    if length < least {
        return Some(format!("must have at least {least} characters; it has {length}"));
    }
    if length > most {
        return Some(format!("must have at most {most} characters; it has {length}"));
    }
    match notation {
        Some((Notation::Pattern(regex), pattern)) if !regex.is_match(text) => {
            Some(format!("must be {}; found `{}`", meaning(pattern), shown(text)))
        }
        _ => None,
    }
}

/// A number instead of a quantity, such as `3` for `3s`: better than "must be a string".
pub(super) fn not_a_quantity(
    all: &Schema,
    schema: &Json,
    node: &Node,
    document: &Document<'_>,
) -> Option<String> {
    if !matches!(node.value, Value::Integer(_) | Value::Float(_)) {
        return None;
    }
    quantity_error(all.notation(schema)?.0, document.as_written(node)?)
}

fn quantity_error(notation: &Notation, text: &str) -> Option<String> {
    let error = |text: &str| match notation {
        Notation::Duration => text.parse::<Duration>().err(),
        Notation::Size => text.parse::<Size>().err(),
        Notation::Pattern(_) => None,
    };
    // The errors quote the text, so it is parsed again in its shortened form.
    error(text).and_then(|_| error(&shown(text))).map(|error| error.to_string())
}

/// The meaning of a pattern in words.
fn meaning(pattern: &str) -> String {
    match pattern {
        NAME_PATTERN => "lower-case letters, digits and `-`, with no `-` at its ends",
        "^/" => "an absolute path, which starts with `/`",
        "^[a-z0-9_]+$" => "lower-case letters, digits and `_`",
        _ if pattern.starts_with(r"^%\{") => {
            "a directive with a name, such as `%{X-Request-Id}i` or `%{JSESSIONID}C`"
        }
        _ => return format!("of the pattern `{pattern}`"),
    }
    .to_owned()
}
