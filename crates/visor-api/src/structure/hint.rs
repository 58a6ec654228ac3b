//! What to write where a value stands instead of an object: `{fixed: 5s}` for `interval: 5s`.

use serde_json::Value as Json;

use super::{schema::Schema, text, wording};
use crate::{
    message::shown,
    tree::{Document, Node, Value},
};

/// The object that was probably meant by a value.
pub(super) fn object(
    all: &Schema,
    schema: &Json,
    node: &Node,
    document: &Document<'_>,
) -> Option<String> {
    let without = serde_json::Map::new();
    let fields = schema.get("properties").and_then(Json::as_object).unwrap_or(&without);
    if fields.is_empty() {
        let is_map = schema.get("additionalProperties").is_some();
        return (!is_map && matches!(node.value, Value::Bool(true))).then(|| "{}".to_owned());
    }
    if let Value::Text(name) = &node.value
        && let Some(field) = fields.get(name)
        && field.get("type").and_then(Json::as_str) == Some("object")
    {
        return Some(format!("{{{name}: {}}}", wording::example(name)));
    }
    let written = shown(document.as_written(node)?);
    let candidates = || fields.iter().filter(|(name, _)| is_needed(schema, name));
    // A value of a list of allowed ones is certain, a text that may be anything is not.
    let accepted = |field: &Json| accepts(all, field, node);
    let is_specific = |field: &Json| field.get("enum").is_some() || field.get("pattern").is_some();
    let direct = candidates().filter(|(_, field)| accepted(field));
    let specific = direct.clone().find(|(_, field)| is_specific(field));
    if let Some((name, _)) = specific.or_else(|| direct.clone().next()) {
        return Some(format!("{{{name}: {written}}}"));
    }
    candidates().find_map(|(name, field)| {
        let [inner] = super::strings(field.get("required")).collect::<Vec<_>>()[..] else {
            return None;
        };
        let accepts_it = accepted(field.pointer(&format!("/properties/{inner}"))?);
        accepts_it.then(|| format!("{{{name}: {{{inner}: {written}}}}}"))
    })
}

/// Whether a field must be set, or none must be.
fn is_needed(schema: &Json, name: &str) -> bool {
    let mut required = super::strings(schema.get("required")).peekable();
    required.peek().is_none() || required.eq([name])
}

/// Whether a value is one of a field.
fn accepts(all: &Schema, field: &Json, node: &Node) -> bool {
    if let Some(allowed) = field.get("enum").and_then(Json::as_array) {
        return node.as_text().is_some_and(|text| allowed.iter().any(|one| one == text));
    }
    match (field.get("type").and_then(Json::as_str), &node.value) {
        (Some("string"), Value::Text(value)) => text::check(all, field, value).is_none(),
        (Some("integer"), Value::Integer(number)) => super::out_of_range(*number, field).is_none(),
        _ => false,
    }
}
