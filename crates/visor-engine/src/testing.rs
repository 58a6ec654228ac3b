//! What tests make of documents.

use visor_api::{ResolvedSource, resolved::Generator};

/// The generator of this document.
pub(crate) fn generator(document: &serde_json::Value) -> Generator {
    let source = serde_json::json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "test"},
        "spec": {"generators": [document]},
    });
    let source = ResolvedSource::check(serde_json::from_value(source).unwrap()).unwrap();
    source.generators.into_iter().next().unwrap()
}
