//! The custom resource definition of `FakeLogSource`: what kube's derive makes of the types, as a
//! cluster is to be told it. The schema that documents are checked against is made here, too.
//! Pure.

mod choices;
#[cfg(test)]
mod tests;
mod validations;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{CustomResourceExt, Resource};
use serde_json::{Value as Json, json};

use crate::FakeLogSource;

/// The definition could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("writing the custom resource definition: {0}")]
pub struct WriteError(String);

/// The custom resource definition.
pub fn crd() -> CustomResourceDefinition {
    let mut definition = full();
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|it| it.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            choices::reword(schema);
            leave_out_defaults_of_items(schema, false);
        }
    }
    definition
}

/// Takes the defaults out of everything that is an item of a list. A client that compares what it
/// applies with what there is (`kubectl apply`, Argo CD) compares such a list as a whole, and would find
/// it changed each time by the defaults that the server has filled in. Whoever reads a source has them
/// as well, by its types.
fn leave_out_defaults_of_items(schema: &mut JSONSchemaProps, is_within: bool) {
    if is_within {
        schema.default = None;
    }
    for (_, property) in schema.properties.iter_mut().flatten() {
        leave_out_defaults_of_items(property, is_within);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        leave_out_defaults_of_items(items, true);
    }
}

/// The definition with all that its schema can say.
fn full() -> CustomResourceDefinition {
    let mut definition = FakeLogSource::crd();
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|it| it.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            forbid_null(schema);
            validations::add(schema);
        }
    }
    definition
}

/// The schema of a whole document: that of the custom resource, and what Kubernetes itself asks of
/// every object. Without what only people and API servers read.
pub fn document_schema() -> Json {
    let mut custom = full()
        .spec
        .versions
        .pop()
        .and_then(|version| version.schema?.open_api_v3_schema)
        .and_then(|schema| serde_json::to_value(schema).ok())
        .unwrap_or_default();
    let mut spec = custom.pointer_mut("/properties/spec").map(Json::take).unwrap_or_default();
    leave_out_words(&mut spec);
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
                    // What else it has to be is among the rules.
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

/// Takes the descriptions and the rules out of a schema. A field that is called `description` has a
/// schema, and no text.
fn leave_out_words(schema: &mut Json) {
    if let Json::Object(members) = schema {
        members.retain(|name, value| {
            !(name == "description" && value.is_string() || name == "x-kubernetes-validations")
        });
        members.values_mut().for_each(leave_out_words);
    } else if let Json::Array(items) = schema {
        items.iter_mut().for_each(leave_out_words);
    }
}

/// The custom resource definition as YAML: what `kubectl apply -f` takes.
///
/// # Errors
///
/// None that could be caused from outside; the libraries that write it have errors in their types.
pub fn yaml() -> Result<String, WriteError> {
    // Through JSON, so that the keys are in one order on every machine.
    let definition = serde_json::to_value(crd()).map_err(|error| WriteError(error.to_string()))?;
    let mut text = String::from("# Generated from crates/visor-api by `make generate`.\n");
    serde_saphyr::to_fmt_writer(&mut text, &definition)
        .map_err(|error| WriteError(error.to_string()))?;
    Ok(text)
}

/// Takes back that an optional field may be null. kube says so of each, for clients that write null
/// where they mean "not set"; but a null that is stored stays, and only what is absent gets its
/// default.
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
