//! Hashes for annotations that detect changes. FNV-1a, as Kubernetes uses for pod templates: small,
//! and the same in every version of Visor.

use std::hash::Hasher;

use fnv::FnvHasher;
use serde_json::Value;

/// The hash of a text, as 16 hexadecimal digits.
pub(crate) fn of_text(text: &str) -> String {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    format!("{:016x}", hasher.finish())
}

/// The hash of a JSON value: of its serialized form, with sorted keys.
pub(crate) fn of_value(value: &Value) -> String {
    of_text(&value.to_string())
}
