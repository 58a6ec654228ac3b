//! The rules that an API server checks itself, in the Common Expression Language (CEL). Each is one of
//! [`rules`](crate::rules), with the same message; the other rules would be too expensive for a
//! server.
//!
//! Kubernetes estimates the worst-case cost of a rule: ten million are allowed for one rule, a hundred
//! million for all. The estimate multiplies by `maxItems` of every enclosing list (1024 for a rule of
//! a generator), and assumes three million bytes for a string without `maxLength`. So:
//!
//! - `has` and a comparison with a literal cost a few units, whatever the length of the string: at
//!   most 10 thousand for a rule of every generator. There is no rule of every stream.
//! - A pattern costs a tenth of the string's bytes times a quarter of the pattern's: 2.2 million for
//!   the name, whose length the schema can't bound; 7 thousand for a hostPath.
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};

use crate::{
    messages,
    source::{RESERVED_CONTAINERS, RESERVED_VOLUMES},
};

/// The items of a list, in the path of a [`Validation`].
const ITEMS: &str = "[]";

/// A rule at a path of the schema.
struct Validation {
    /// The properties from the root to the object, and [`ITEMS`].
    place: &'static [&'static str],
    rule: String,
    message: &'static str,
    /// The field below the path that the message is about, if any. At the root there can be none:
    /// Kubernetes accepts only fields that the schema defines.
    field: Option<&'static str>,
}

/// Adds the rules to the schema of a whole object.
pub(super) fn add(schema: &mut JSONSchemaProps) {
    for Validation { place, rule, message, field } in validations().chain(format_strings()) {
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

/// The number of rules.
#[cfg(test)]
pub(super) fn count() -> usize {
    validations().chain(format_strings()).count()
}

fn validations() -> impl Iterator<Item = Validation> {
    let validation = |place, rule: &str, message, field| Validation {
        place,
        rule: rule.to_owned(),
        message,
        field,
    };
    let all = vec![
        validation(&[], "size(self.metadata.name) <= 52", messages::NAME_TOO_LONG, None),
        validation(
            &[],
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            messages::NAME_INVALID,
            None,
        ),
        validation(
            &["spec"],
            "!has(self.workload) || self.workload != 'Job' || has(self.stopAfter)",
            messages::JOB_WITHOUT_END,
            Some("workload"),
        ),
        validation(
            &["spec"],
            "!has(self.workload) || self.workload == 'Job' || !has(self.stopAfter)",
            messages::PODS_WITH_END,
            Some("workload"),
        ),
        validation(
            &["spec", "stopAfter"],
            "has(self.lines) || has(self.duration)",
            messages::EMPTY_STOP_AFTER,
            None,
        ),
        validation(
            &["spec", "volume", "hostPath"],
            "!self.path.matches('(^|/)[.][.](/|$)')",
            messages::PATH_WITH_PARENT,
            Some("path"),
        ),
        validation(
            &["spec", "generators", ITEMS, "output", "file", "rotation"],
            "has(self.maxSize) || has(self.maxAge)",
            messages::NEVER_ROTATES,
            None,
        ),
        Validation {
            place: &["spec", "podTemplate", "containers", ITEMS],
            rule: other_than(&RESERVED_CONTAINERS),
            message: messages::CONTAINER_RESERVED,
            field: Some("name"),
        },
        Validation {
            place: &["spec", "podTemplate", "initContainers", ITEMS],
            rule: other_than(&RESERVED_CONTAINERS),
            message: messages::CONTAINER_RESERVED,
            field: Some("name"),
        },
        Validation {
            place: &["spec", "podTemplate", "volumes", ITEMS],
            rule: other_than(&RESERVED_VOLUMES),
            message: messages::VOLUME_RESERVED,
            field: Some("name"),
        },
    ];
    all.into_iter()
}

/// The string of a custom format is there if the format is chosen, and only then.
fn format_strings() -> impl Iterator<Item = Validation> {
    const ACCESS: &[&str] = &["spec", "generators", ITEMS, "access"];
    const ERROR: &[&str] = &["spec", "generators", ITEMS, "error"];
    let strings = [
        (ACCESS, "Custom", "logFormat", messages::FORMAT_MISSING, messages::FORMAT_UNUSED),
        (
            ACCESS,
            "NginxCustom",
            "nginxLogFormat",
            messages::NGINX_FORMAT_MISSING,
            messages::NGINX_FORMAT_UNUSED,
        ),
        (
            ERROR,
            "Custom",
            "errorLogFormat",
            messages::ERROR_FORMAT_MISSING,
            messages::FORMAT_UNUSED,
        ),
    ];
    strings.into_iter().flat_map(|(place, format, field, missing, unused)| {
        let validation = |rule, message| Validation { place, rule, message, field: Some(field) };
        [
            validation(
                format!("!has(self.format) || self.format != '{format}' || has(self.{field})"),
                missing,
            ),
            validation(
                format!("(has(self.format) && self.format == '{format}') || !has(self.{field})"),
                unused,
            ),
        ]
    })
}

/// The name is none of these.
fn other_than(names: &[&str]) -> String {
    names.iter().map(|name| format!("self.name != '{name}'")).collect::<Vec<_>>().join(" && ")
}

/// The schema at a path.
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
