//! The custom resource definition of `FakeLogSource`: what kube's derive macro generates from the
//! types, adapted for clusters. The schema that documents are checked against is made here as well.
//! Pure.

mod choices;
mod kubernetes;
#[cfg(test)]
mod tests;
mod validations;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{CustomResourceExt, Resource};
use serde_json::{Value as Json, json};

use crate::FakeLogSource;

/// The definition could not be serialized as YAML.
#[derive(Debug, thiserror::Error)]
#[error("cannot serialize the custom resource definition: {0}")]
pub struct WriteError(String);

/// The custom resource definition.
pub fn crd() -> CustomResourceDefinition {
    let mut definition = full_definition();
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|it| it.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            choices::replace_one_of(schema);
            remove_item_defaults(schema, false);
        }
    }
    definition
}

/// Removes the defaults from everything within a list. A client that compares what it applies with
/// the stored object (`kubectl apply`, Argo CD) compares lists as a whole, so defaults that the
/// server fills in would look like a change each time. Readers of a source get the defaults from
/// the types.
fn remove_item_defaults(schema: &mut JSONSchemaProps, is_within: bool) {
    if is_within {
        schema.default = None;
    }
    for (_, property) in schema.properties.iter_mut().flatten() {
        remove_item_defaults(property, is_within);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        remove_item_defaults(items, true);
    }
}

/// The definition with the complete schema.
fn full_definition() -> CustomResourceDefinition {
    let mut definition = FakeLogSource::crd();
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|it| it.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            forbid_null(schema);
            kubernetes::add(schema);
            validations::add(schema);
        }
    }
    definition
}

/// The schema of a whole document: that of the custom resource, and what Kubernetes requires of
/// every object, without descriptions and CEL rules.
pub fn document_schema() -> Json {
    let mut custom = full_definition()
        .spec
        .versions
        .pop()
        .and_then(|version| version.schema?.open_api_v3_schema)
        .and_then(|schema| serde_json::to_value(schema).ok())
        .unwrap_or_default();
    let mut spec = custom.pointer_mut("/properties/spec").map(Json::take).unwrap_or_default();
    remove_descriptions(&mut spec);
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"enum": [FakeLogSource::api_version(&())]},
            "kind": {"enum": [FakeLogSource::kind(&())]},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    // The rules check the rest.
                    "name": {"type": "string", "minLength": 1},
                    "namespace": {"type": "string"},
                    "labels": texts,
                    "annotations": texts,
                },
                "x-kubernetes-preserve-unknown-fields": true,
            },
            "spec": spec,
            "status": {},
        },
    })
}

/// Removes the descriptions and the CEL rules from a schema. A field that is named `description`
/// has a schema as its value, not text.
fn remove_descriptions(schema: &mut Json) {
    if let Json::Object(members) = schema {
        members.retain(|name, value| {
            !(name == "description" && value.is_string() || name == "x-kubernetes-validations")
        });
        members.values_mut().for_each(remove_descriptions);
    } else if let Json::Array(items) = schema {
        items.iter_mut().for_each(remove_descriptions);
    }
}

/// The custom resource definition as YAML, for `kubectl apply -f`.
///
/// # Errors
///
/// If serialization fails, which no input can cause.
pub fn yaml() -> Result<String, WriteError> {
    // Through JSON, so that the keys are sorted.
    let definition = serde_json::to_value(crd()).map_err(|error| WriteError(error.to_string()))?;
    let mut text = String::from("# Generated from crates/visor-api by `make generate`.\n");
    serde_saphyr::to_fmt_writer(&mut text, &definition)
        .map_err(|error| WriteError(error.to_string()))?;
    Ok(text)
}

/// Makes optional fields not nullable. kube marks them nullable for clients that send null for "not
/// set"; but a stored null stays null, and only absent fields get their default.
fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        forbid_null(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        forbid_null(values);
    }
    schema.properties.iter_mut().flatten().for_each(|(_, property)| forbid_null(property));
}
