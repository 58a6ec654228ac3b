//! A changed document reaches running pods through their volume. A kubelet updates that within a
//! minute or two, or at once if the pod itself changes. So each pod that may have an outdated
//! document gets an annotation with the hash of the current one.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    labels::{DOCUMENT_HASH, FIELD_MANAGER},
    metrics::{Metrics, Write},
    pods,
};

/// Annotates the pods that may have an older document than the one with this hash, which the
/// `ConfigMap` has had since `changed`.
///
/// # Errors
///
/// The first error of the server; the other pods are annotated all the same. Without a response, no
/// further pod is tried. Pods that have been deleted are no error.
pub(crate) async fn notify_pods(
    client: &Client,
    metrics: &Metrics,
    pods: &[impl AsRef<Pod>],
    document_hash: &str,
    changed: Option<Timestamp>,
) -> Result<(), kube::Error> {
    let mut outcome = Ok(());
    for pod in pods.iter().map(AsRef::as_ref) {
        let Some(namespace) = &pod.metadata.namespace else { continue };
        if !may_be_outdated(pod, document_hash, changed) {
            continue;
        }
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let patch = json!({"metadata": {
            // A precondition: the server rejects the patch if the pod has been replaced.
            "uid": pod.metadata.uid,
            "annotations": {DOCUMENT_HASH: document_hash},
        }});
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_metadata(&pod.name_any(), &parameters, &Patch::Merge(patch)).await {
            Ok(_) => metrics.record_write("Pod", Write::Notify),
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {}
            Err(rejected @ kube::Error::Api(_)) => outcome = outcome.and(Err(rejected)),
            Err(error) => return Err(error),
        }
    }
    outcome
}

/// A pod without the annotation started with the document of that time.
fn may_be_outdated(pod: &Pod, document_hash: &str, changed: Option<Timestamp>) -> bool {
    if pods::is_terminated(pod) || pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    if let Some(current) = pod.annotations().get(DOCUMENT_HASH) {
        return current != document_hash;
    }
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    created.zip(changed).is_some_and(|(created, changed)| created < changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn pod(annotations: &Value, phase: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"annotations": annotations, "creationTimestamp": "2026-01-01T00:00:10Z"},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn a_pod_is_outdated_if_it_has_another_document_or_is_older() {
        let later = Some(at("2026-01-01T00:00:11Z"));
        let earlier = Some(at("2026-01-01T00:00:10Z"));
        assert!(may_be_outdated(&pod(&json!({}), "Running"), "b", later));
        assert!(!may_be_outdated(&pod(&json!({}), "Running"), "b", earlier));
        assert!(!may_be_outdated(&pod(&json!({}), "Running"), "b", None));
        assert!(may_be_outdated(&pod(&json!({DOCUMENT_HASH: "a"}), "Running"), "b", earlier));
        assert!(!may_be_outdated(&pod(&json!({DOCUMENT_HASH: "b"}), "Running"), "b", later));
        assert!(!may_be_outdated(&pod(&json!({DOCUMENT_HASH: "a"}), "Succeeded"), "b", later));
    }
}
