//! Objects of which exactly one field is to be set. A schema says so by `oneOf`, and an API server
//! tells of it by as many errors as there are fields, none of which says what to do. So the
//! definition says it otherwise: by a rule with a message or, where a rule would be evaluated too
//! often, by the number of fields.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};

use crate::rules::messages;

/// Replaces every `oneOf` of a schema.
pub(super) fn reword(schema: &mut JSONSchemaProps) {
    within(schema, false);
}

/// `is_dear` says that there may be a million of these.
fn within(schema: &mut JSONSchemaProps, is_dear: bool) {
    if let Some(options) = options(schema) {
        schema.one_of = None;
        let fields = schema.properties.as_ref().map_or(0, BTreeMap::len);
        if is_dear && fields == options.len() {
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
        // Those of generators, which are a list themselves.
        within(property, is_dear || name == "streams");
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        within(items, is_dear);
    }
}

/// The fields of which one is to be set, if there are such.
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
