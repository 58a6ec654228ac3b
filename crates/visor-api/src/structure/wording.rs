//! Messages about structure: what is expected, what was found, what to do.

use serde_json::Value as Json;

use crate::{
    message::{nearest, shown},
    tree::{Document, Node, Value},
};

/// The maximum number of known fields in a message.
const MAX_NAMES: usize = 16;

/// An unknown field; and the known one that was probably meant.
pub(super) fn unknown<'a>(name: &str, known: &[&'a String]) -> (String, Option<&'a str>) {
    let meant = nearest(name, known.iter().map(|known| known.as_str()));
    let name = shown(name);
    let advice = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "no fields are expected here; remove it".to_owned(),
        None if known.len() > MAX_NAMES => "remove it".to_owned(),
        None => format!("expected one of {}", names(known.iter().map(|name| name.as_str()))),
    };
    (format!("unknown field `{name}`; {advice}"), meant)
}

/// A value of the wrong type.
pub(super) fn mismatch(wanted: &str, node: &Node, document: &Document<'_>) -> String {
    let found = found(node, document);
    let scalar = matches!(node.value, Value::Bool(_) | Value::Integer(_) | Value::Float(_));
    let advice = match (wanted, &node.value) {
        ("string", Value::Bool(value)) => {
            let written = document.as_written(node).map_or_else(|| value.to_string(), shown);
            return format!(
                "must be a string, but YAML reads `{written}` as {value}; \
                 quote it: \"{written}\""
            );
        }
        ("string", _) if scalar => {
            let written = document.as_written(node).map(shown).unwrap_or_default();
            format!("; quote it: \"{written}\"")
        }
        ("integer", Value::Text(text)) if text.parse::<i64>().is_ok() => {
            "; remove the quotes".to_owned()
        }
        ("boolean", Value::Text(text)) if matches!(text.as_str(), "true" | "false") => {
            "; remove the quotes".to_owned()
        }
        ("array", _) => "; write `- ` before each item".to_owned(),
        ("object", Value::Null) => "; write `{}` for an empty object".to_owned(),
        _ => String::new(),
    };
    let wanted = match wanted {
        "object" => "an object",
        "array" => "a list",
        "string" => "a string",
        "integer" => "a whole number",
        "boolean" => "true or false",
        _ => "a number",
    };
    format!("must be {wanted}; found {found}{advice}")
}

/// A value that is not among the allowed ones.
pub(super) fn not_allowed(allowed: &[Json], node: &Node, document: &Document<'_>) -> String {
    let found = match node.as_text() {
        Some(text) => format!("`{}`", shown(text)),
        None => found(node, document),
    };
    let some = if allowed.len() == 1 { "" } else { "one of " };
    // An empty value is the same as none.
    let allowed = allowed.iter().filter_map(Json::as_str).filter(|value| !value.is_empty());
    let allowed: Vec<_> = allowed.collect();
    format!("must be {some}{}; found {found}", allowed.join(", "))
}

/// Fields of which exactly one must be set. `blank` is one without a value.
pub(super) fn not_exactly_one(
    options: &[&str],
    chosen: &[&str],
    blank: Option<&str>,
) -> Option<String> {
    let options = names(options.iter().copied());
    match (chosen, blank) {
        ([_], _) => None,
        ([], Some(blank)) => Some(format!(
            "exactly one of {options} must be set; `{blank}` has no value, write `{blank}: {}`",
            example(blank)
        )),
        ([], None) => Some(format!("exactly one of {options} must be set; found none")),
        _ => Some(format!(
            "exactly one of {options} must be set; found {}; remove all but one",
            names(chosen.iter().copied())
        )),
    }
}

/// An example value of a field.
pub(super) fn example(field: &str) -> &'static str {
    match field {
        "fixed" => "3s",
        "uniform" => "{min: 5ms, max: 50ms}",
        "exponential" => "{mean: 20ms}",
        "normal" => "{mean: 5ms, standardDeviation: 2ms}",
        "rate" => "{linesPerSecond: 10}",
        "file" => "{path: access.log}",
        "hostPath" => "{path: /var/log/visor}",
        _ => "{}",
    }
}

fn found(node: &Node, document: &Document<'_>) -> String {
    let written = document.as_written(node).map(shown).unwrap_or_default();
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(_) | Value::Float(_) => format!("the number {written}"),
        Value::Text(text) => format!("the string \"{}\"", shown(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "an object".to_owned(),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
