//! The custom resource definition of `FakeLogSource`: what kube's derive makes of the types, as a
//! cluster is to be told it. The schema that documents are checked against is taken from here, too.
//! Pure.

#[cfg(test)]
mod tests;
mod validations;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::FakeLogSource;

/// The definition could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("writing the custom resource definition: {0}")]
pub struct WriteError(String);

/// The custom resource definition.
pub fn crd() -> CustomResourceDefinition {
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
