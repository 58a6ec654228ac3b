//! Valid and invalid reviews: the response is always clear, and lets
//! the pod in.

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use kube::{Client, client::Body as ClientBody};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::documented::row_contains;

/// An API server that has one source, `shop`, which rides along, and one, `stays`, which doesn't. No
/// watch of it ever responds: unknown names are requested.
fn client() -> Client {
    let answer = |request: Request<ClientBody>| async move {
        let path = request.uri().path().to_owned();
        let source = |workload: &str| {
            json!({
                "apiVersion": "visor.dev/v1alpha1", "kind": "FakeLogSource",
                "metadata": {"name": "shop", "namespace": "web", "uid": "b2a7c0de"},
                "spec": {"workload": workload, "generators": [{"name": "web", "access": {}}]},
            })
        };
        let (code, body) = match path.rsplit('/').next() {
            Some("shop") if request.method() == "GET" => (200, source("Sidecar")),
            Some("stays") if request.method() == "GET" => (200, source("Deployment")),
            // A namespace that requests injection into all pods, with a missing source.
            Some("asking") if request.method() == "GET" => (
                200,
                json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                    "metadata": {
                        "name": "asking", "labels": {"visor.dev/inject": "true"},
                        "annotations": {"visor.dev/source": "nowhere"},
                    },
                }),
            ),
            _ => (
                404,
                json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not found",
                    "reason": "NotFound", "code": 404,
                }),
            ),
        };
        let body = ClientBody::from(serde_json::to_vec(&body).unwrap());
        Ok::<_, tower::BoxError>(http::Response::builder().status(code).body(body).unwrap())
    };
    Client::new(service_fn(answer), "default")
}

fn injector() -> Arc<Injector> {
    let client = client();
    let metrics = Arc::new(Metrics::new().unwrap());
    let (cache, _) = InjectorCache::watch(&client, client.clone(), &metrics);
    let settings = Settings {
        image: "visor:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        user: Some(65532),
        native_sidecars: true,
        pod_monitors: false,
        policy: crate::policy::Policy::default(),
        operator: "a/b".to_owned(),
    };
    let own = "visor-system".to_owned();
    Arc::new(Injector::new(cache, metrics, settings, Form::Native, own))
}

/// A review of a pod that requests `shop`, as Kubernetes 1.36 sends it.
fn review() -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "web", "operation": "CREATE", "dryRun": false, "oldObject": null,
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller",
                         "uid": "1", "groups": ["system:authenticated"]},
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
            "object": {
                "kind": "Pod", "apiVersion": "v1",
                "metadata": {
                    "generateName": "web-5d8f-", "creationTimestamp": null,
                    "labels": {"app": "web", "visor.dev/inject": "true"},
                    "annotations": {"visor.dev/source": "shop"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                        "name": "web-5d8f", "uid": "7", "controller": true}],
                },
                "spec": {
                    "volumes": [{"name": "kube-api-access-x", "projected": {"sources": []}}],
                    "containers": [{"name": "web", "image": "web:1", "resources": {},
                        "volumeMounts": [{"name": "kube-api-access-x", "readOnly": true,
                            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}],
                    "restartPolicy": "Always", "serviceAccountName": "default",
                    "resizePolicyOfTheFuture": [{"restartPolicy": "NotRequired"}],
                },
                "status": {},
            },
        },
    })
}

async fn post(body: impl Into<Body>) -> (StatusCode, String) {
    post_to(&injector(), body).await
}

async fn post_to(injector: &Arc<Injector>, body: impl Into<Body>) -> (StatusCode, String) {
    let mut request = Request::post("/inject").body(body.into()).unwrap();
    request.extensions_mut().insert(Progress::default());
    let response = router(Arc::clone(injector)).oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The response, and the resulting pod.
async fn answer(review: &Value) -> (Value, Value) {
    let (status, body) = post(review.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    assert_eq!(answer["response"]["allowed"], true);
    let mut pod = review["request"]["object"].clone();
    if !answer["response"]["patch"].is_null() {
        assert_eq!(answer["response"]["patchType"], "JSONPatch");
        json_patch::patch(&mut pod, &patch_of(&answer["response"]["patch"])).unwrap();
    }
    (answer["response"].clone(), pod)
}

/// The patch of a response: kube writes its bytes as numbers, which an API server reads like base64.
fn patch_of(bytes: &Value) -> json_patch::Patch {
    let bytes: Vec<u8> = serde_json::from_value(bytes.clone()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn a_pod_that_asks_is_given_its_generator() {
    let (response, pod) = answer(&review()).await;
    assert!(response.get("warnings").is_none(), "{response}");
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!((&sidecar["name"], &sidecar["restartPolicy"]), (&json!("visor"), &json!("Always")));
    assert_eq!(pod["metadata"]["labels"]["visor.dev/source"], "shop");
    assert_eq!(pod["metadata"]["labels"]["visor.dev/source-uid"], "b2a7c0de");
    assert_eq!(
        pod["metadata"]["annotations"][super::super::INJECTED_ANNOTATION],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(pod["spec"]["resizePolicyOfTheFuture"][0]["restartPolicy"], "NotRequired");
    // A review of the resulting pod, as for a reinvocation.
    let mut again = review();
    again["request"]["object"] = pod.clone();
    let (response, same) = answer(&again).await;
    assert!(response.get("patch").is_none());
    assert_eq!(same, pod);
}

#[tokio::test]
async fn a_pod_whose_request_fails_is_admitted_with_a_warning() {
    for (annotations, warning) in [
        (json!({"visor.dev/source": "nowhere"}), "FakeLogSource `nowhere` not found"),
        (json!({"visor.dev/source": "stays"}), "is not of `workload: Sidecar`"),
        (json!({}), "annotation visor.dev/source is missing"),
        (json!({"visor.dev/source": "shop", "visor.dev/volume": "x"}), "has no volume `x`"),
    ] {
        let mut review = review();
        review["request"]["object"]["metadata"]["annotations"] = annotations;
        let (response, pod) = answer(&review).await;
        assert!(response["warnings"][0].as_str().unwrap().contains(warning), "{response}");
        assert_eq!(pod, review["request"]["object"]);
    }
}

/// So the operator, which watches pods with the label, sees it and records an event.
#[tokio::test]
async fn a_pod_whose_namespace_requests_injection_is_labeled() {
    for metadata in [json!({"name": "web"}), json!({"name": "web", "labels": {"app": "web"}})] {
        let mut review = review();
        review["request"]["namespace"] = json!("asking");
        review["request"]["object"]["metadata"] = metadata;
        let (response, pod) = answer(&review).await;
        let warning = response["warnings"][0].as_str().unwrap();
        assert!(warning.contains("FakeLogSource `nowhere` not found"), "{warning}");
        assert_eq!(pod["metadata"]["labels"]["visor.dev/inject"], "true");
        let app = review["request"]["object"]["metadata"].pointer("/labels/app");
        assert_eq!(pod.pointer("/metadata/labels/app"), app);
        assert_eq!(pod["spec"], review["request"]["object"]["spec"]);
    }
}

/// It is given its generator all the same.
#[tokio::test]
async fn a_pod_whose_class_changes_is_admitted_with_a_warning() {
    let mut review = review();
    review["request"]["object"]["metadata"]["annotations"]["visor.dev/container-resources"] =
        json!(r#"{"limits": {"memory": "64Mi"}}"#);
    let (response, pod) = answer(&review).await;
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("Burstable") && warning.contains("BestEffort"), "{warning}");
    assert_eq!(pod["spec"]["initContainers"][0]["resources"]["limits"]["memory"], "64Mi");
}

#[tokio::test]
async fn a_pod_that_asks_for_nothing_goes_in_without_a_word() {
    let mut cases = Vec::new();
    for change in [
        json!({"metadata": {"labels": {"visor.dev/inject": "false"}}}),
        json!({"metadata": {"labels": {"visor.dev/inject": null}}}),
    ] {
        let mut review = review();
        json_patch_merge(&mut review["request"]["object"], &change);
        cases.push(review);
    }
    for (field, value) in [
        ("namespace", json!("kube-system")),
        ("namespace", json!("visor-system")),
        ("namespace", json!("web/../kube-system")),
        ("namespace", json!("")),
        ("operation", json!("UPDATE")),
        ("subResource", json!("ephemeralcontainers")),
        ("kind", json!({"group": "apps", "version": "v1", "kind": "Deployment"})),
        ("object", Value::Null),
    ] {
        let mut review = review();
        review["request"][field] = value;
        cases.push(review);
    }
    for review in cases {
        let (response, pod) = answer(&review).await;
        assert!(response.get("warnings").is_none(), "{response}");
        assert!(response.get("patch").is_none(), "{response}");
        assert_eq!(pod, review["request"]["object"]);
    }
}

/// RFC 7396, as far as it is needed here.
fn json_patch_merge(target: &mut Value, patch: &Value) {
    let (Value::Object(target), Value::Object(patch)) = (&mut *target, patch) else {
        *target = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            json_patch_merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[tokio::test]
async fn an_invalid_review_has_a_clear_error() {
    let whole = review().to_string();
    let bodies = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{\"kind\": \"AdmissionReview\"".to_owned(),
        "{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v1\"}".to_owned(),
        whole[..whole.len() / 2].to_owned(),
        "[".repeat(100_000),
    ];
    for body in bodies {
        let (status, said) = post(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(said.contains("not an AdmissionReview"), "{said}");
    }
    let (status, _) = post(vec![b' '; MAX_BYTES + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// A value that is put somewhere into a review.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, {"name": 7}, "x"])),
    ]
}

/// The pointers to everything in a value.
fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(key, value)| pointers(value, &format!("{here}/{}", escaped(key)), all)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| pointers(value, &format!("{here}/{index}"), all)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a review contains, the response admits the pod, or says that the review is invalid.
    #[test]
    fn a_damaged_review_gets_a_clear_answer(
        damages in prop::collection::vec((any::<prop::sample::Index>(), values()), 1..4),
    ) {
        let mut review = review();
        for (index, value) in damages {
            let mut all = Vec::new();
            pointers(&review, "", &mut all);
            if let Some(place) = review.pointer_mut(&all[index.index(all.len())]) {
                *place = value;
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (status, body) = runtime.block_on(post(review.to_string()));
        if status == StatusCode::OK {
            let answer: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&answer["response"]["allowed"], &Value::Bool(true));
            if !answer["response"]["patch"].is_null() {
                let patch = patch_of(&answer["response"]["patch"]);
                let mut pod = review["request"]["object"].clone();
                prop_assert!(json_patch::patch(&mut pod, &patch).is_ok());
            }
        } else {
            prop_assert_eq!(status, StatusCode::BAD_REQUEST);
            prop_assert!(body.contains("not an AdmissionReview"));
        }
    }

    #[test]
    fn bytes_of_any_kind_get_a_clear_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (status, _) = runtime.block_on(post(bytes));
        prop_assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn the_bounds_of_reviews_are_documented() {
    let (one, all) = (MAX_BYTES >> 20, MAX_BYTES_OF_ALL >> 20);
    row_contains("webhook | bytes of a review; of all reviews", &format!("{one} MiB; {all} MiB"));
    let cells = "webhook | concurrent reviews";
    row_contains(cells, &format!("{MAX_CONCURRENT}; of more than {} KiB", LARGE_BYTES >> 10));
}
