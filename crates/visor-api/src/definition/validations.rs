//! The rules that an API server checks itself, as the Common Expression Language has them. Each is
//! one of [`rules`](crate::rules), in the same words; what is left out there is what a server
//! couldn't afford to check.
//!
//! Kubernetes estimates what a rule costs at worst: ten million are allowed for one, a hundred
//! million for all. The estimate multiplies by `maxItems` of every list around (1024 for one of a
//! generator), and takes three million bytes for a text without `maxLength`. So:
//!
//! - `has` and a comparison with a literal cost a few units, whatever the text's length: at most
//!   10 thousand for one of every generator. Nothing is asked of every stream.
//! - A pattern costs a tenth of the text's bytes times a quarter of the pattern's: 2.2 million for
//!   the name, whose length the schema can't bound; 7 thousand for a path of the node.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};

use crate::{
    rules::messages,
    source::{RESERVED_CONTAINERS, RESERVED_VOLUMES},
};

/// The elements of a list, in the path of a [`Validation`].
const ITEMS: &str = "[]";

/// A rule at a place of the schema.
struct Validation {
    /// The properties that lead there from the root, and [`ITEMS`].
    place: &'static [&'static str],
    rule: String,
    message: &'static str,
    /// The field below the place that the message is about, if it is one. At the root there can be
    /// none: Kubernetes takes only fields that the schema itself names.
    field: Option<&'static str>,
}

/// Adds the rules to the schema of a whole object.
pub(super) fn add(schema: &mut JSONSchemaProps) {
    for Validation { place, rule, message, field } in validations() {
        if let Some(schema) = at(schema, place) {
            schema.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
                rule,
                message: Some(message.to_owned()),
                field_path: field.map(|name| format!(".{name}")),
                ..ValidationRule::default()
            });
        }
    }
}

/// How many rules there are.
#[cfg(test)]
pub(super) fn count() -> usize {
    validations().len()
}

fn validations() -> Vec<Validation> {
    const ACCESS: &[&str] = &["spec", "generators", ITEMS, "access"];
    let validation = |place, rule: &str, message, field| Validation {
        place,
        rule: rule.to_owned(),
        message,
        field,
    };
    vec![
        validation(&[], "size(self.metadata.name) <= 52", messages::NAME_TOO_LONG, None),
        validation(
            &[],
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            messages::NAME_NO_LABEL,
            None,
        ),
        validation(
            &["spec"],
            "!has(self.workload) || self.workload != 'Job' || has(self.stopAfter)",
            messages::ENDLESS_JOB,
            Some("workload"),
        ),
        validation(
            &["spec"],
            "!has(self.workload) || self.workload == 'Job' || !has(self.stopAfter)",
            messages::ENDLESS_PODS,
            Some("workload"),
        ),
        validation(
            &["spec", "stopAfter"],
            "has(self.lines) || has(self.duration)",
            messages::NO_LIMIT,
            None,
        ),
        validation(
            &["spec", "volume", "hostPath"],
            "!self.path.matches('(^|/)[.][.](/|$)')",
            messages::PATH_CLIMBS,
            Some("path"),
        ),
        validation(
            &["spec", "generators", ITEMS, "output", "file", "rotation"],
            "has(self.maxSize) || has(self.maxAge)",
            messages::NEVER_ROTATES,
            None,
        ),
        validation(
            ACCESS,
            "!has(self.format) || self.format != 'Custom' || has(self.logFormat)",
            messages::FORMAT_MISSING,
            Some("logFormat"),
        ),
        validation(
            ACCESS,
            "(has(self.format) && self.format == 'Custom') || !has(self.logFormat)",
            messages::FORMAT_UNUSED,
            Some("logFormat"),
        ),
        Validation {
            place: &["spec", "podTemplate", "containers", ITEMS],
            rule: other_than(&RESERVED_CONTAINERS),
            message: messages::CONTAINER_TAKEN,
            field: Some("name"),
        },
        Validation {
            place: &["spec", "podTemplate", "initContainers", ITEMS],
            rule: other_than(&RESERVED_CONTAINERS),
            message: messages::CONTAINER_TAKEN,
            field: Some("name"),
        },
        Validation {
            place: &["spec", "podTemplate", "volumes", ITEMS],
            rule: other_than(&RESERVED_VOLUMES),
            message: messages::VOLUME_TAKEN,
            field: Some("name"),
        },
    ]
}

/// That the name is none of these.
fn other_than(names: &[&str]) -> String {
    names.iter().map(|name| format!("self.name != '{name}'")).collect::<Vec<_>>().join(" && ")
}

/// The schema at a place.
fn at<'a>(schema: &'a mut JSONSchemaProps, place: &[&str]) -> Option<&'a mut JSONSchemaProps> {
    place.iter().try_fold(schema, |schema, step| {
        if *step == ITEMS {
            match &mut schema.items {
                Some(JSONSchemaPropsOrArray::Schema(items)) => Some(&mut **items),
                _ => None,
            }
        } else {
            schema.properties.as_mut()?.get_mut(*step)
        }
    })
}
