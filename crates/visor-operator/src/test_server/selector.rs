//! The selectors of lists and watches, as their queries have them.

use serde_json::Value;

/// Whether an object has the labels that a selector asks for: `a=b`, `a!=b`, `a` or `!a`, each after a
/// comma.
pub(super) fn selects_labels(selector: &str, object: &Value) -> bool {
    let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
    selector.split(',').filter(|part| !part.is_empty()).all(|part| {
        if let Some((key, value)) = part.split_once("!=") {
            label(key) != Some(value)
        } else if let Some((key, value)) = part.split_once('=') {
            label(key) == Some(value)
        } else if let Some(key) = part.strip_prefix('!') {
            label(key).is_none()
        } else {
            label(part).is_some()
        }
    })
}

/// Whether an object has the fields that a selector asks for: `metadata.name=a`, each after a comma.
pub(super) fn selects_fields(selector: &str, object: &Value) -> bool {
    selector.split(',').filter(|part| !part.is_empty()).all(|part| {
        let Some((path, value)) = part.split_once('=') else { return false };
        let pointer = format!("/{}", path.replace('.', "/"));
        object.pointer(&pointer).and_then(Value::as_str) == Some(value)
    })
}
