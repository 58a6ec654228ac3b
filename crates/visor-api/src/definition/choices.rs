//! Objects of which exactly one field must be set. A schema expresses that by `oneOf`, for which an
//! API server reports one error for each field, none of which says what to do. So the definition
//! expresses it by a CEL rule with a message or, where CEL would be too expensive, by the number of
//! properties.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};

use crate::messages;

/// Replaces every `oneOf` of a schema.
pub(super) fn replace_one_of(schema: &mut JSONSchemaProps) {
    replace_within(schema, false);
}

/// `is_nested_in_streams`: there may be a million of these objects.
fn replace_within(schema: &mut JSONSchemaProps, is_nested_in_streams: bool) {
    if let Some(options) = options(schema) {
        schema.one_of = None;
        let fields = schema.properties.as_ref().map_or(0, BTreeMap::len);
        if is_nested_in_streams && fields == options.len() {
            schema.min_properties = Some(1);
            schema.max_properties = Some(1);
        } else {
            schema.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
                rule: rule(&options),
                message: Some(messages::exactly_one(&options)),
                ..ValidationRule::default()
            });
        }
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        // Streams are a list within the list of generators.
        replace_within(property, is_nested_in_streams || name == "streams");
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        replace_within(items, is_nested_in_streams);
    }
}

/// The fields of which one must be set, if this is such an object.
fn options(schema: &JSONSchemaProps) -> Option<Vec<String>> {
    let options = schema.one_of.as_ref()?.iter().map(|option| match option.required.as_deref() {
        Some([field]) => Some(field.clone()),
        _ => None,
    });
    options.collect()
}

fn rule(options: &[String]) -> String {
    let counted: Vec<_> =
        options.iter().map(|option| format!("(has(self.{option}) ? 1 : 0)")).collect();
    format!("{} == 1", counted.join(" + "))
}
