//! What an API server would make of the definition: its shape, and its rules evaluated over
//! documents. Its verdicts must be those of [`rules::check`], word for word.

use std::collections::HashSet;

use kube::core::cel::{ErrorKind, Validator};
use serde_json::{Value as Json, json};

use super::*;
use crate::{FakeLogSource, rules};

/// The schema of a whole object.
fn schema() -> Json {
    let version = crd().spec.versions.pop().unwrap();
    serde_json::to_value(version.schema.unwrap().open_api_v3_schema.unwrap()).unwrap()
}

/// Every schema within this one, and itself.
fn parts(schema: &Json) -> Vec<&Json> {
    let mut parts = vec![schema];
    let properties = schema.get("properties").and_then(Json::as_object);
    let inner = properties.into_iter().flat_map(|properties| properties.values());
    let inner = inner.chain(schema.get("items")).chain(schema.get("additionalProperties"));
    inner.filter(|inner| inner.is_object()).for_each(|inner| parts.extend(self::parts(inner)));
    parts
}

/// The paths and messages of the server's rules for an object.
fn verdicts(object: &Json) -> Vec<(String, String)> {
    let errors = Validator::new().validate(&schema(), object, None).err();
    errors
        .into_iter()
        .flatten()
        .map(|error| {
            assert_eq!(error.kind, ErrorKind::ValidationFailure, "{error}");
            (error.field_path, error.message)
        })
        .collect()
}

/// The paths and messages of the rules for an object.
fn problems(object: &Json) -> Vec<(String, String)> {
    let source: FakeLogSource = serde_json::from_value(object.clone()).unwrap();
    let problems = rules::check(&source).into_iter();
    problems.map(|problem| (problem.path.to_string(), problem.message)).collect()
}

/// A valid object whose value at a path is replaced.
fn object(place: &str, value: Json) -> Json {
    let mut object = json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "shop"},
        "spec": {
            "workload": "Job",
            "stopAfter": {"lines": 3},
            "generators": [{"name": "web", "access": {}}, {
                "name": "more",
                "access": {"format": "Custom", "logFormat": "%h"},
                "output": {"file": {"path": "more.log", "rotation": {"maxAge": "1h"}}},
            }],
            "volume": {"hostPath": {"path": "/var/log/..shop/a..b"}},
            "podTemplate": {
                "containers": [{"name": "first", "image": "a"}, {"name": "second", "image": "a"}],
                "volumes": [{"name": "first", "emptyDir": {}}],
            },
        },
    });
    if !place.is_empty() {
        *object.pointer_mut(place).unwrap() = value;
    }
    object
}

#[test]
fn nothing_may_be_null_and_every_format_is_one_that_kubernetes_knows() {
    let schema = schema();
    let parts = parts(&schema);
    assert!(parts.len() > 200, "{}", parts.len());
    for part in parts {
        assert_eq!(part.get("nullable"), None, "{part}");
        assert!(!part["enum"].as_array().is_some_and(|values| values.contains(&Json::Null)));
        let format = part.get("format").and_then(Json::as_str);
        assert!(!format.is_some_and(|format| format.starts_with("uint")), "{part}");
    }
}

#[test]
fn what_is_good_is_taken_by_both() {
    for (place, value) in [
        ("", Json::Null),
        ("/metadata/name", json!("a")),
        ("/metadata/name", json!("a-1")),
        ("/metadata/name", json!("a".repeat(52))),
        ("/spec", json!({"workload": "StatefulSet", "generators": []})),
        ("/spec", json!({"stopAfter": {"lines": 3}, "generators": []})),
        ("/spec/stopAfter", json!({"duration": "3s"})),
        ("/spec/volume", json!({"emptyDir": {}})),
        ("/spec/generators/0", json!({"name": "daemon", "error": {}})),
        ("/spec/generators/1/output/file/rotation", json!({"maxSize": "64Mi"})),
        ("/spec/podTemplate", json!({})),
    ] {
        let object = object(place, value);
        assert_eq!(problems(&object), [], "{object}");
        assert_eq!(verdicts(&object), [], "{object}");
    }
}

#[test]
fn invalid_documents_are_rejected_by_both_with_the_same_message() {
    let mut hit = HashSet::new();
    for (place, value, path) in [
        ("/metadata/name", json!("1shop"), "metadata.name"),
        ("/metadata/name", json!("-"), "metadata.name"),
        ("/metadata/name", json!("shop-"), "metadata.name"),
        ("/metadata/name", json!("shop.example"), "metadata.name"),
        ("/metadata/name", json!("Shop"), "metadata.name"),
        ("/metadata/name", json!("a".repeat(53)), "metadata.name"),
        ("/spec/stopAfter", json!({}), "spec.stopAfter"),
        ("/spec/volume/hostPath/path", json!("/var/../etc"), "spec.volume.hostPath.path"),
        ("/spec/volume/hostPath/path", json!("/var/.."), "spec.volume.hostPath.path"),
        (
            "/spec/generators/1/output/file/rotation",
            json!({"keep": 3}),
            "spec.generators[1].output.file.rotation",
        ),
        (
            "/spec/generators/0/access",
            json!({"format": "Custom"}),
            "spec.generators[0].access.logFormat",
        ),
        (
            "/spec/generators/0/access",
            json!({"logFormat": "%h"}),
            "spec.generators[0].access.logFormat",
        ),
        (
            "/spec/generators/0/access",
            json!({"format": "NginxCustom"}),
            "spec.generators[0].access.nginxLogFormat",
        ),
        (
            "/spec/generators/0/access",
            json!({"nginxLogFormat": "$status"}),
            "spec.generators[0].access.nginxLogFormat",
        ),
        (
            "/spec/generators/0",
            json!({"name": "web", "error": {"format": "Custom"}}),
            "spec.generators[0].error.errorLogFormat",
        ),
        (
            "/spec/generators/0",
            json!({"name": "web", "error": {"errorLogFormat": "%M"}}),
            "spec.generators[0].error.errorLogFormat",
        ),
        (
            "/spec/podTemplate/containers/1/name",
            json!("visor"),
            "spec.podTemplate.containers[1].name",
        ),
        (
            "/spec/podTemplate/containers/0/name",
            json!("prepare"),
            "spec.podTemplate.containers[0].name",
        ),
        (
            "/spec/podTemplate",
            json!({"initContainers": [{"name": "first", "image": "a"}, {"name": "visor", "image": "a"}]}),
            "spec.podTemplate.initContainers[1].name",
        ),
        ("/spec/podTemplate/volumes/0/name", json!("logs"), "spec.podTemplate.volumes[0].name"),
        ("/spec/podTemplate/volumes/0/name", json!("document"), "spec.podTemplate.volumes[0].name"),
        ("/spec", json!({"workload": "Job", "generators": []}), "spec.workload"),
        ("/spec/workload", json!("Deployment"), "spec.workload"),
    ] {
        let object = object(place, value);
        let (said, mut verdicts) = (problems(&object), verdicts(&object));
        hit.extend(verdicts.iter().map(|(_, message)| message.clone()));
        // Kubernetes can't name the field of a rule about the object's own name.
        verdicts
            .iter_mut()
            .filter(|(path, _)| path.is_empty())
            .for_each(|(at, _)| *at = path.into());
        assert_eq!(said.len(), 1, "{object}: {said:?}");
        assert_eq!(said, verdicts, "{object}");
        assert_eq!(said[0].0, path);
    }
    let schema = schema();
    let rules: Vec<&Json> = parts(&schema)
        .into_iter()
        .flat_map(|part| part["x-kubernetes-validations"].as_array().into_iter().flatten())
        // Most of these are violations of types.
        .filter(|rule| !rule["message"].as_str().unwrap().starts_with("exactly one"))
        .collect();
    let messages: HashSet<_> = rules.iter().map(|rule| rule["message"].as_str().unwrap()).collect();
    assert_eq!(messages, hit.iter().map(String::as_str).collect());
    assert_eq!(rules.len(), validations::count(), "each rule has found its place");
}

#[test]
fn exactly_one_of_several_fields_must_be_set() {
    let emptiness = json!({});
    let both = json!({"emptyDir": {}, "hostPath": {"path": "/logs"}});
    for (place, value, path) in [
        ("/spec/generators/0", json!({"name": "web"}), "spec.generators[0]"),
        (
            "/spec/generators/0",
            json!({"name": "web", "access": {}, "error": {}}),
            "spec.generators[0]",
        ),
        ("/spec/generators/1/output", emptiness.clone(), "spec.generators[1].output"),
        ("/spec/volume", emptiness, "spec.volume"),
        ("/spec/volume", both, "spec.volume"),
        ("/spec/podTemplate/volumes/0", json!({"name": "a"}), "spec.podTemplate.volumes[0]"),
    ] {
        let [(at, message)] = &verdicts(&object(place, value))[..] else { panic!("{place}") };
        assert_eq!(at, path);
        assert!(message.starts_with("exactly one of `"), "{message}");
    }
    for (place, value) in [
        ("/spec/generators/0", json!({"name": "web"})),
        ("/spec/podTemplate/volumes/0", json!({"name": "a"})),
    ] {
        assert_eq!(problems(&object(place, value.clone())), verdicts(&object(place, value)));
    }

    let schema = schema();
    let all = parts(&schema);
    assert!(all.iter().all(|part| part.get("oneOf").is_none()));
    // What may be there a million times has no rule.
    let interval = &schema["properties"]["spec"]["properties"]["generators"]["items"]["properties"]
        ["streams"]["items"]["properties"]["interval"];
    assert_eq!((&interval["minProperties"], &interval["maxProperties"]), (&json!(1), &json!(1)));
    // For documents, the schema has its own message for each mistake.
    assert!(parts(&document_schema()).iter().any(|part| part.get("oneOf").is_some()));
}

/// What a client applies again is what the server has.
#[test]
fn no_item_of_a_list_is_changed_by_defaults() {
    fn defaults(schema: &Json, is_within: bool, found: &mut Vec<String>) {
        if is_within && schema.get("default").is_some() {
            found.push(schema.to_string());
        }
        let properties = schema.get("properties").and_then(Json::as_object);
        for property in properties.into_iter().flat_map(|properties| properties.values()) {
            defaults(property, is_within, found);
        }
        if let Some(items) = schema.get("items") {
            defaults(items, true, found);
        }
    }
    let mut found = Vec::new();
    defaults(&schema(), false, &mut found);
    assert!(found.is_empty(), "{found:?}");
    defaults(&document_schema(), false, &mut found);
    assert!(!found.is_empty(), "the schema for documents has defaults");
}
