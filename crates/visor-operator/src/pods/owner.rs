//! The source of a pod. Its labels name one, but everybody who may write a pod may set labels; so they
//! are trusted only if Kubernetes' controllers confirm them: the pod is in the source's namespace,
//! and is controlled by the source's workload (by uids, from one to the next), or was injected with
//! the generator of a sidecar source. Pure: from cached objects.

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Resource, ResourceExt, api::ObjectMeta};
use visor_api::{
    FakeLogSource,
    source::{FakeLogSourceSpec, Workload},
};

use crate::labels::{INJECTED_ANNOTATION, source_uid};

/// What identifies a source to its pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceIdentity {
    pub(crate) namespace: String,
    pub(crate) uid: String,
    /// Whether its generator is injected.
    pub(crate) is_sidecar: bool,
}

impl SourceIdentity {
    pub(crate) fn of(metadata: &ObjectMeta, spec: Option<&FakeLogSourceSpec>) -> Self {
        let part = |part: &Option<String>| part.as_deref().unwrap_or_default().to_owned();
        Self {
            namespace: part(&metadata.namespace),
            uid: part(&metadata.uid),
            is_sidecar: spec.is_some_and(|spec| spec.resolved_workload() == Workload::Sidecar),
        }
    }
}

/// The controllers that exist.
pub(crate) trait Controllers {
    /// The metadata of a controller in a namespace, if it is known.
    fn controller(&self, namespace: &str, reference: &OwnerReference) -> Option<ObjectMeta>;
}

/// Between a pod and its source there are at most a `ReplicaSet` and a Deployment.
const MAX_CHAIN: usize = 3;

/// Whether a pod belongs to this source.
pub(crate) fn belongs(pod: &Pod, source: &SourceIdentity, controllers: &impl Controllers) -> bool {
    source_uid(pod) == Some(&source.uid)
        && pod.metadata.namespace.as_deref() == Some(&source.namespace)
        && if source.is_sidecar {
            pod.annotations().contains_key(INJECTED_ANNOTATION)
        } else {
            is_controlled_by(&pod.metadata, source, controllers)
        }
}

/// Whether the chain of controllers of an object ends at the source.
fn is_controlled_by(
    object: &ObjectMeta,
    source: &SourceIdentity,
    controllers: &impl Controllers,
) -> bool {
    let mut object = object.clone();
    for _ in 0..MAX_CHAIN {
        let Some(reference) = controller(&object) else { return false };
        if reference.kind == FakeLogSource::kind(&()) {
            return reference.uid == source.uid
                && reference.api_version == FakeLogSource::api_version(&());
        }
        match controllers.controller(&source.namespace, &reference) {
            Some(found) if found.uid.as_ref() == Some(&reference.uid) => object = found,
            _ => return false,
        }
    }
    false
}

/// The controller of an object.
pub(crate) fn controller(object: &ObjectMeta) -> Option<OwnerReference> {
    let mut owners = object.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true)).cloned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::{Value, json};

    use super::*;

    /// Controllers by their kinds and names.
    struct Known(HashMap<(&'static str, &'static str), ObjectMeta>);

    impl Controllers for Known {
        fn controller(&self, namespace: &str, reference: &OwnerReference) -> Option<ObjectMeta> {
            let OwnerReference { kind, name, .. } = reference;
            let found = self.0.get(&(kind.as_str(), name.as_str()))?;
            (found.namespace.as_deref() == Some(namespace)).then(|| found.clone())
        }
    }

    fn owner(kind: &str, name: &str, uid: &str) -> Value {
        let version = if kind == "FakeLogSource" { "visor.dev/v1alpha1" } else { "apps/v1" };
        json!([{"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    fn metadata(name: &str, uid: &str, owners: &Value) -> ObjectMeta {
        serde_json::from_value(json!({
            "namespace": "web", "name": name, "uid": uid, "ownerReferences": owners,
        }))
        .unwrap()
    }

    fn known() -> Known {
        let source = |uid| owner("FakeLogSource", "shop", uid);
        Known(HashMap::from([
            (("Deployment", "shop"), metadata("shop", "d", &source("s"))),
            (("Deployment", "other"), metadata("other", "o", &Value::Null)),
            (("StatefulSet", "shop"), metadata("shop", "t", &source("s"))),
            (("DaemonSet", "others"), metadata("others", "e", &source("another"))),
            (("ReplicaSet", "shop-1"), metadata("shop-1", "r", &owner("Deployment", "shop", "d"))),
            (("ReplicaSet", "odd"), metadata("odd", "x", &owner("Deployment", "shop", "forged"))),
            (("ReplicaSet", "own"), metadata("own", "w", &owner("ReplicaSet", "own", "w"))),
        ]))
    }

    fn pod(namespace: &str, uid: &str, owners: &Value, annotations: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {
            "namespace": namespace, "labels": {"visor.dev/source-uid": uid},
            "ownerReferences": owners, "annotations": annotations,
        }}))
        .unwrap()
    }

    fn source(is_sidecar: bool) -> SourceIdentity {
        SourceIdentity { namespace: "web".to_owned(), uid: "s".to_owned(), is_sidecar }
    }

    #[test]
    fn a_pod_belongs_to_a_source_if_its_owners_lead_to_it() {
        let injected = json!({INJECTED_ANNOTATION: "1"});
        for (namespace, uid, owners, expected) in [
            ("web", "s", owner("ReplicaSet", "shop-1", "r"), true),
            ("web", "s", owner("StatefulSet", "shop", "t"), true),
            // Labels alone, those of another source, another namespace's pod.
            ("web", "s", Value::Null, false),
            ("web", "another", owner("StatefulSet", "shop", "t"), false),
            ("attacker", "s", owner("ReplicaSet", "shop-1", "r"), false),
            // A controller of that name which was there before, or never was.
            ("web", "s", owner("ReplicaSet", "shop-1", "forged"), false),
            ("web", "s", owner("ReplicaSet", "nowhere", "r"), false),
            ("web", "s", owner("ReplicaSet", "odd", "x"), false),
            ("web", "s", owner("ReplicaSet", "own", "w"), false),
            ("web", "s", owner("Deployment", "other", "o"), false),
            ("web", "s", owner("DaemonSet", "others", "e"), false),
            ("web", "s", owner("StatefulSet", "shop", "forged"), false),
        ] {
            let pod = pod(namespace, uid, &owners, &injected);
            assert_eq!(belongs(&pod, &source(false), &known()), expected, "{owners} {namespace}");
        }
    }

    #[test]
    fn an_injected_pod_belongs_to_a_source_of_its_namespace() {
        let (injected, theirs) =
            (json!({INJECTED_ANNOTATION: "1"}), owner("ReplicaSet", "theirs", "7"));
        for (namespace, annotations, is_sidecar, expected) in [
            ("web", &injected, true, true),
            ("web", &injected, false, false),
            ("web", &Value::Null, true, false),
            ("attacker", &injected, true, false),
        ] {
            let pod = pod(namespace, "s", &theirs, annotations);
            assert_eq!(belongs(&pod, &source(is_sidecar), &known()), expected, "{namespace}");
        }
    }
}
