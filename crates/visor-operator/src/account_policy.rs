//! For tests: the admission policy that restricts the operator's service account
//! (manifests/admission-policy.yaml), checked against everything that the operator does, and
//! against what a stolen account could be used for.

use kube::core::cel::{AdmissionRequest, VapEvaluator, VapExpression};
use serde_json::{Value, json};

/// An admission request as the policy sees it.
fn request(operation: &str, resource: &str, username: &str) -> AdmissionRequest {
    let mut request = AdmissionRequest {
        operation: operation.to_owned(),
        username: username.to_owned(),
        namespace: "visor-system".to_owned(),
        ..AdmissionRequest::default()
    };
    request.resource.resource = resource.to_owned();
    request
}

fn policy() -> Value {
    // Only tests read files outside of the crates.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/admission-policy.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let (policy, _) = text.rsplit_once("\n---\n").unwrap();
    serde_saphyr::from_str(policy).unwrap()
}

const ACCOUNT: &str = "system:serviceaccount:visor-system:visor";

/// Why the policy denies a request of the operator; empty if it allows it.
fn denied(operation: &str, resource: &str, object: &Value, old: &Value) -> Vec<String> {
    let policy = policy();
    let rules = policy["spec"]["matchConstraints"]["resourceRules"].as_array().unwrap();
    let lists = |field: &'static str, word: &str, rule: &Value| {
        rule[field].as_array().unwrap().iter().any(|known| known == word)
    };
    let is_matched = rules
        .iter()
        .any(|rule| lists("operations", operation, rule) && lists("resources", resource, rule));
    assert!(is_matched, "{operation} of {resource} is not matched");
    let validations = policy["spec"]["validations"].as_array().unwrap();
    let expressions: Vec<_> = validations.iter().map(expression).collect();
    let results = VapEvaluator::builder()
        .object(object.clone())
        .old_object(old.clone())
        .request(request(operation, resource, ACCOUNT))
        .build()
        .evaluate(&expressions);
    let failed = results.into_iter().filter(|result| !result.passed);
    failed.map(|result| result.message.unwrap_or_default()).collect()
}

/// An expression of the policy. This evaluator knows no schema: it escapes the keys of maps as well
/// as the names of fields, and an API server escapes only the latter.
fn expression(validation: &Value) -> VapExpression {
    let mut text = validation["expression"].as_str().unwrap().to_owned();
    for key in ["app.kubernetes.io/managed-by", "visor.dev/document-hash"] {
        let escaped =
            key.replace('.', "__dot__").replace('/', "__slash__").replace('-', "__dash__");
        text = text.replace(key, &escaped);
    }
    VapExpression {
        expression: text,
        message: validation["message"].as_str().map(str::to_owned),
        message_expression: None,
    }
}

fn allows(operation: &str, resource: &str, object: &Value, old: &Value) {
    let why = denied(operation, resource, object, old);
    assert!(why.is_empty(), "{operation} of {resource} is denied: {why:?}");
}

fn denies(operation: &str, resource: &str, object: &Value, old: &Value, part: &str) {
    let why = denied(operation, resource, object, old);
    // An expression that fails to evaluate denies as well, with a message of its own.
    assert_eq!(why.len(), 1, "{operation} of {resource} {object}: {why:?}");
    assert!(why[0].starts_with("Visor's operator") && why[0].contains(part), "{why:?}");
}

fn changed(object: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = object.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    changed.pointer_mut(parent).unwrap()[field.replace("~1", "/")] = value;
    changed
}

fn without(object: &Value, pointer: &str) -> Value {
    let mut changed = object.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    changed.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
    changed
}

#[test]
fn it_binds_the_operator_s_account_and_no_other() {
    let policy = policy();
    let conditions = policy["spec"]["matchConditions"].as_array().unwrap();
    for (username, bound) in [(ACCOUNT, true), ("system:serviceaccount:visor-system:other", false)]
    {
        let one = VapExpression {
            expression: conditions[0]["expression"].as_str().unwrap().to_owned(),
            message: None,
            message_expression: None,
        };
        let evaluator = VapEvaluator::builder()
            .object(json!({}))
            .request(request("CREATE", "pods", username))
            .build();
        assert_eq!(evaluator.evaluate(&[one])[0].passed, bound, "{username}");
    }
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
}

#[test]
fn only_children_may_be_created_changed_and_deleted() {
    for spec in [
        "generators: [{name: web, access: {}}]\nvolume: {persistentVolumeClaim: {}}",
        "generators: [{name: web, access: {}}]\nworkload: StatefulSet",
        "generators: [{name: web, access: {}}]\nworkload: DaemonSet",
        "generators: [{name: web, access: {}}]\nstopAfter: {lines: 1}",
    ] {
        for child in crate::controller::build::tests::build(spec).objects {
            let resource = child.kind.resource().plural;
            let mut object = serde_json::to_value(&child.object).unwrap();
            object["metadata"]["uid"] = json!("1");
            allows("CREATE", &resource, &object, &Value::Null);
            allows("UPDATE", &resource, &object, &object);
            allows("DELETE", &resource, &Value::Null, &object);
            let part = "only objects that a FakeLogSource owns";
            // An orphan of a deleted source is adopted, or deleted and recreated.
            let orphan = without(&object, "/metadata/ownerReferences");
            allows("UPDATE", &resource, &object, &orphan);
            allows("DELETE", &resource, &Value::Null, &orphan);
            denies("CREATE", &resource, &orphan, &Value::Null, part);
            denies("UPDATE", &resource, &orphan, &object, part);
            // A changed label on a child of a source is corrected as well.
            let label = "/metadata/labels/app.kubernetes.io~1managed-by";
            for mislabeled in
                [without(&object, "/metadata/labels"), changed(&object, label, json!("Helm"))]
            {
                allows("UPDATE", &resource, &object, &mislabeled);
                allows("DELETE", &resource, &Value::Null, &mislabeled);
                denies("CREATE", &resource, &mislabeled, &Value::Null, part);
                denies("UPDATE", &resource, &mislabeled, &object, part);
                let without_owner = without(&mislabeled, "/metadata/ownerReferences");
                denies("UPDATE", &resource, &object, &without_owner, part);
                denies("DELETE", &resource, &Value::Null, &without_owner, part);
            }
            for theirs in [
                changed(&object, "/metadata/ownerReferences/0/kind", json!("ReplicaSet")),
                changed(&object, "/metadata/ownerReferences/0/apiVersion", json!("v1")),
            ] {
                denies("CREATE", &resource, &theirs, &Value::Null, part);
                denies("DELETE", &resource, &Value::Null, &theirs, part);
                denies("UPDATE", &resource, &object, &theirs, part);
                denies("UPDATE", &resource, &theirs, &object, part);
            }
        }
    }
}

#[test]
fn of_a_pod_one_annotation_is_changed() {
    let bare = json!({"metadata": {"name": "web", "namespace": "web"}, "spec": {"containers": []}});
    let hash = json!({"visor.dev/document-hash": "a"});
    let whole = json!({
        "metadata": {"name": "web", "labels": {"a": "b"}, "annotations": {"c": "d"},
                     "ownerReferences": [{"uid": "1"}], "finalizers": ["f"]},
        "spec": {"containers": []},
    });
    allows("UPDATE", "pods", &changed(&bare, "/metadata/annotations", hash.clone()), &bare);
    let both = json!({"c": "d", "visor.dev/document-hash": "a"});
    let touched = changed(&whole, "/metadata/annotations", both);
    allows("UPDATE", "pods", &touched, &whole);
    allows(
        "UPDATE",
        "pods",
        &changed(&touched, "/metadata/annotations/visor.dev~1document-hash", json!("b")),
        &touched,
    );
    let part = "only its own annotation of pods";
    for (old, field, value) in [
        (&bare, "/spec/containers", json!([{"name": "x"}])),
        (&bare, "/metadata/labels", json!({"a": "b"})),
        (&bare, "/metadata/annotations", json!({"a": "b"})),
        (&bare, "/metadata/ownerReferences", json!([{"uid": "2"}])),
        (&bare, "/metadata/finalizers", json!(["f"])),
        (&whole, "/metadata/labels/a", json!("c")),
        (&whole, "/metadata/annotations", json!({})),
        (&whole, "/metadata/annotations/c", json!("e")),
        (&whole, "/metadata/annotations/x", json!("e")),
        (&whole, "/metadata/ownerReferences/0/uid", json!("2")),
        (&whole, "/metadata/finalizers", json!(["f", "g"])),
    ] {
        denies("UPDATE", "pods", &changed(old, field, value), old, part);
    }
    for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
        denies("UPDATE", "pods", &without(&whole, &format!("/metadata/{field}")), &whole, part);
    }
    denies("CREATE", "pods", &bare, &Value::Null, part);
    denies("DELETE", "pods", &Value::Null, &bare, part);
}

#[test]
fn one_secret_and_one_lease_are_kept() {
    let named = |name: &str| json!({"metadata": {"name": name, "namespace": "visor-system"}});
    for (resource, name) in [("secrets", "visor-webhook"), ("leases", "visor-operator")] {
        allows("CREATE", resource, &named(name), &Value::Null);
        allows("UPDATE", resource, &named(name), &named(name));
        let part = "only its own Secret and Lease";
        denies("CREATE", resource, &named("other"), &Value::Null, part);
        denies("UPDATE", resource, &named("other"), &named("other"), part);
        denies("DELETE", resource, &Value::Null, &named(name), part);
    }
}

#[test]
fn of_the_webhooks_the_authority_is_changed() {
    let webhook = |name: &str| {
        json!({
            "name": name, "rules": [{"operations": ["CREATE"], "resources": ["pods"]}],
            "failurePolicy": "Ignore", "matchPolicy": "Equivalent", "sideEffects": "NoneOnDryRun",
            "namespaceSelector": {}, "objectSelector": {"matchLabels": {"a": "b"}},
            "timeoutSeconds": 5, "reinvocationPolicy": "IfNeeded", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "visor-webhook", "namespace": "visor-system"}},
        })
    };
    let old =
        json!({"metadata": {"name": "visor-webhook"}, "webhooks": [webhook("a"), webhook("b")]});
    let resource = "mutatingwebhookconfigurations";
    let trusted = changed(&old, "/webhooks/0/clientConfig/caBundle", json!("AAAA"));
    allows("UPDATE", resource, &trusted, &old);
    allows(
        "UPDATE",
        resource,
        &changed(&trusted, "/webhooks/0/clientConfig/caBundle", json!("B")),
        &trusted,
    );
    let part = "only the caBundle";
    for (field, value) in [
        ("/webhooks/0/rules", json!([{"operations": ["*"], "resources": ["*"]}])),
        ("/webhooks/1/failurePolicy", json!("Fail")),
        ("/webhooks/0/matchPolicy", json!("Exact")),
        ("/webhooks/0/namespaceSelector", json!({"matchLabels": {}})),
        ("/webhooks/0/objectSelector", json!({})),
        ("/webhooks/0/sideEffects", json!("None")),
        ("/webhooks/0/timeoutSeconds", json!(30)),
        ("/webhooks/0/reinvocationPolicy", json!("Never")),
        ("/webhooks/0/admissionReviewVersions", json!(["v1beta1"])),
        ("/webhooks/0/matchConditions", json!([])),
        ("/webhooks/0/name", json!("c")),
        ("/webhooks/0/clientConfig/service/name", json!("theirs")),
        ("/webhooks/0/clientConfig", json!({"url": "https://theirs"})),
        ("/webhooks", json!([webhook("a")])),
        ("/metadata/name", json!("theirs")),
    ] {
        denies("UPDATE", resource, &changed(&old, field, value), &old, part);
    }
    denies("CREATE", resource, &old, &Value::Null, part);
    denies("DELETE", resource, &Value::Null, &old, part);
}
