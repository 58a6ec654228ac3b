//! Bounds of Kubernetes' own types in a pod template. Their schemas have only types: an API server
//! checks values of enumerations and ranges of numbers by code, when a pod is created. Here they are
//! part of the schema, so a source with an invalid one is rejected itself. Source: pkg/apis/core/types.go
//! and pkg/apis/core/validation of Kubernetes 1.36.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// Where a field is: its name, and before it names of some of the fields that contain it, in order.
type Place = &'static [&'static str];

/// The values of enumerations. Of several places that fit, the first is used.
const ENUMERATIONS: &[(Place, &[&str])] = &[
    (&["tolerations", "operator"], &["Equal", "Exists", "Lt", "Gt", ""]),
    (&["tolerations", "effect"], &["NoSchedule", "PreferNoSchedule", "NoExecute", ""]),
    (&["matchFields", "operator"], &["In", "NotIn"]),
    (&["matchFields", "key"], &["metadata.name"]),
    (
        &["nodeAffinity", "matchExpressions", "operator"],
        &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
    ),
    (&["matchExpressions", "operator"], &["In", "NotIn", "Exists", "DoesNotExist"]),
    (&["whenUnsatisfiable"], &["DoNotSchedule", "ScheduleAnyway"]),
    (&["nodeAffinityPolicy"], &["Honor", "Ignore"]),
    (&["nodeTaintsPolicy"], &["Honor", "Ignore"]),
    // Values other than Always are accepted from 1.35 on.
    (&["restartPolicy"], &["Always", "Never", "OnFailure"]),
    (&["imagePullPolicy"], &["Always", "IfNotPresent", "Never"]),
    (&["terminationMessagePolicy"], &["File", "FallbackToLogsOnError"]),
    (&["ports", "protocol"], &["TCP", "UDP", "SCTP"]),
    (&["httpGet", "scheme"], &["HTTP", "HTTPS"]),
    (&["mountPropagation"], &["None", "HostToContainer", "Bidirectional"]),
    (&["recursiveReadOnly"], &["Disabled", "IfPossible", "Enabled"]),
    (&["procMount"], &["Default", "Unmasked"]),
    (&["fsGroupChangePolicy"], &["Always", "OnRootMismatch"]),
    (&["supplementalGroupsPolicy"], &["Merge", "Strict"]),
    (&["seccompProfile", "type"], &["Localhost", "RuntimeDefault", "Unconfined"]),
    (&["appArmorProfile", "type"], &["Localhost", "RuntimeDefault", "Unconfined"]),
];

const MAX_PORT: u32 = 65_535;
/// The largest number of a user or a group.
const MAX_ID: u32 = 2_147_483_647;
const MAX_MODE: u32 = 0o777;

/// The ranges of numbers; without a maximum if that is `None`.
const RANGES: &[(Place, u32, Option<u32>)] = &[
    (&["weight"], 1, Some(100)),
    (&["maxSkew"], 1, None),
    (&["minDomains"], 1, None),
    (&["containerPort"], 1, Some(MAX_PORT)),
    (&["hostPort"], 0, Some(MAX_PORT)),
    (&["grpc", "port"], 1, Some(MAX_PORT)),
    (&["initialDelaySeconds"], 0, None),
    (&["timeoutSeconds"], 0, None),
    (&["periodSeconds"], 0, None),
    (&["successThreshold"], 0, None),
    (&["failureThreshold"], 0, None),
    (&["containers", "terminationGracePeriodSeconds"], 1, None),
    (&["initContainers", "terminationGracePeriodSeconds"], 1, None),
    (&["runAsUser"], 0, Some(MAX_ID)),
    (&["runAsGroup"], 0, Some(MAX_ID)),
    (&["fsGroup"], 0, Some(MAX_ID)),
    (&["supplementalGroups"], 0, Some(MAX_ID)),
    (&["defaultMode"], 0, Some(MAX_MODE)),
    (&["items", "mode"], 0, Some(MAX_MODE)),
];

/// Adds them to the schema of a whole object.
pub(super) fn add(schema: &mut JSONSchemaProps) {
    let spec = schema.properties.as_mut().and_then(|fields| fields.get_mut("spec"));
    let template = spec.and_then(|spec| spec.properties.as_mut()?.get_mut("podTemplate"));
    if let Some(template) = template {
        walk(template, &mut Vec::new());
    }
}

fn walk(schema: &mut JSONSchemaProps, path: &mut Vec<String>) {
    match schema.type_.as_deref() {
        Some("string") => {
            let values = ENUMERATIONS.iter().find(|(place, _)| is_at(place, path));
            schema.enum_ = values
                .map(|(_, values)| values.iter().map(|value| JSON((*value).into())).collect());
        }
        Some("integer") => {
            if let Some((_, min, max)) = RANGES.iter().find(|(place, ..)| is_at(place, path)) {
                schema.minimum = Some(f64::from(*min));
                schema.maximum = max.map(f64::from);
            }
        }
        _ => {}
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        path.push(name.clone());
        walk(property, path);
        path.pop();
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        walk(items, path);
    }
}

/// Whether the last of these fields is the path's, and the others contain it in this order.
fn is_at(place: Place, path: &[String]) -> bool {
    let (Some((field, containers)), Some((last, before))) = (place.split_last(), path.split_last())
    else {
        return false;
    };
    let mut before = before.iter();
    last == field && containers.iter().all(|name| before.any(|container| container == name))
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    /// The paths of all bounds below a schema.
    fn bounds(schema: &Json, path: &str, found: &mut Vec<String>) {
        if schema.get("enum").is_some() || schema.get("minimum").is_some() {
            found.push(path.to_owned());
        }
        for (name, property) in
            schema.get("properties").and_then(Json::as_object).into_iter().flatten()
        {
            bounds(property, &format!("{path}.{name}"), found);
        }
        if let Some(items) = schema.get("items") {
            bounds(items, &format!("{path}[]"), found);
        }
    }

    /// A field that a new version of Kubernetes has renamed would be without bounds.
    #[test]
    fn every_bound_is_that_of_a_field() {
        let schema = crate::definition::document_schema();
        let mut found = Vec::new();
        let template = schema.pointer("/properties/spec/properties/podTemplate").unwrap();
        bounds(template, "", &mut found);
        let places = ENUMERATIONS.iter().map(|(place, _)| *place);
        for place in places.chain(RANGES.iter().map(|(place, ..)| *place)) {
            let is_used = found.iter().any(|path| {
                let path: Vec<String> = path
                    .split(['.', '[', ']'])
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect();
                is_at(place, &path)
            });
            assert!(is_used, "{place:?}");
        }
    }
}
