//! A changed document reaches running pods through their volume, which a kubelet writes anew within
//! a minute or two; or at once, if the pod itself changes. So each pod that may have an older document
//! gets an annotation that says which one it should have.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    build::labels::{DOCUMENT, MANAGER},
    metrics::{Metrics, Write},
    observed,
};

/// Touches the pods that may have an older document than that of this hash, which the `ConfigMap` has
/// had since `changed`.
///
/// # Errors
///
/// What the server says of the first that it refuses: the others are touched all the same. When there
/// is no answer, none are touched any more. Pods that are gone are no error.
pub(crate) async fn touch_pods(
    client: &Client,
    metrics: &Metrics,
    pods: &[impl AsRef<Pod>],
    document_hash: &str,
    changed: Option<Timestamp>,
) -> Result<(), kube::Error> {
    let mut outcome = Ok(());
    for pod in pods.iter().map(AsRef::as_ref) {
        let Some(namespace) = &pod.metadata.namespace else { continue };
        if !may_be_behind(pod, document_hash, changed) {
            continue;
        }
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let patch = json!({"metadata": {
            // Should the pod have been replaced by one of the same name, the server refuses.
            "uid": pod.metadata.uid,
            "annotations": {DOCUMENT: document_hash},
        }});
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_metadata(&pod.name_any(), &parameters, &Patch::Merge(patch)).await {
            Ok(_) => metrics.wrote("Pod", Write::Touch),
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {}
            Err(refused @ kube::Error::Api(_)) => outcome = outcome.and(Err(refused)),
            Err(error) => return Err(error),
        }
    }
    outcome
}

/// A pod without the annotation began with the document that there was at the time.
fn may_be_behind(pod: &Pod, document_hash: &str, changed: Option<Timestamp>) -> bool {
    if observed::is_over(pod) || pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    if let Some(told) = pod.annotations().get(DOCUMENT) {
        return told != document_hash;
    }
    let born = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    born.zip(changed).is_some_and(|(born, changed)| born < changed)
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
    fn a_pod_is_behind_if_it_was_told_of_another_document_or_is_older_than_this_one() {
        let later = Some(at("2026-01-01T00:00:11Z"));
        let earlier = Some(at("2026-01-01T00:00:10Z"));
        assert!(may_be_behind(&pod(&json!({}), "Running"), "b", later));
        assert!(!may_be_behind(&pod(&json!({}), "Running"), "b", earlier));
        assert!(!may_be_behind(&pod(&json!({}), "Running"), "b", None));
        assert!(may_be_behind(&pod(&json!({DOCUMENT: "a"}), "Running"), "b", earlier));
        assert!(!may_be_behind(&pod(&json!({DOCUMENT: "b"}), "Running"), "b", later));
        assert!(!may_be_behind(&pod(&json!({DOCUMENT: "a"}), "Succeeded"), "b", later));
    }
}
