//! The names by which objects are recognized: the labels and annotations of a source's children, the
//! selector of its pods, and the generator's container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use visor_api::source::Workload;

use crate::source::ValidSource;

pub(crate) use visor_api::source::METRICS_PORT;

/// The generator's container.
pub(crate) const GENERATOR: &str = "visor";

/// The `managed-by` label of the children, and the field manager of every write.
pub(crate) const FIELD_MANAGER: &str = "visor-operator";

pub(crate) const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
pub(crate) const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The pods' label with the name of their source. In pods of other workloads it is the only one,
/// because `app.kubernetes.io/instance` is theirs.
pub(crate) const SOURCE_LABEL: &str = "visor.dev/source";
/// The pods' label with the uid of their source: a name can be reused, a uid can't.
pub(crate) const SOURCE_UID_LABEL: &str = "visor.dev/source-uid";
/// The annotation of an injected pod: the version of the operator that injected it.
pub(crate) const INJECTED_ANNOTATION: &str = "visor.dev/injected";
/// The annotation of a child with the operator that manages it, by its Lease (`NAMESPACE/NAME`).
/// Other operators leave the child alone.
pub(crate) const OPERATOR_ANNOTATION: &str = "visor.dev/operator";
/// The annotation of a source by which it adopts the orphans of a deleted source of the same name.
pub(crate) const ADOPT_ANNOTATION: &str = "visor.dev/adopt";
/// The annotation of a child with a hash of its desired state when it was last applied.
pub(crate) const APPLIED_HASH: &str = "visor.dev/applied-hash";
/// The annotation of a workload with a hash of its immutable fields.
pub(crate) const IMMUTABLE_HASH: &str = "visor.dev/immutable-hash";
/// The annotation of a `ConfigMap`, a Job and the pods with a hash of the document. When it changes
/// on a pod, the kubelet updates the pod's volumes at once instead of within a minute or two.
pub(crate) const DOCUMENT_HASH: &str = "visor.dev/document-hash";

/// Domains of labels and annotations with which tools track how an object was deployed. Copied to
/// another object they would be wrong, and a tool that finds its objects by them might delete that
/// object.
const TOOL_DOMAINS: [&str; 7] =
    ["kubernetes.io", "k8s.io", "helm.sh", "argoproj.io", "fluxcd.io", "cattle.io", "k14s.io"];

/// The labels or annotations of a source that its children inherit.
pub(crate) fn inherited(
    for_source: Option<&BTreeMap<String, String>>,
) -> impl Iterator<Item = (String, String)> {
    let pairs = for_source.into_iter().flatten().filter(|(key, _)| is_inherited(key));
    pairs.map(|(key, value)| (key.clone(), value.clone()))
}

/// Whether children inherit a label or an annotation: neither a tool's nor ours.
pub(crate) fn is_inherited(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_of = |tool: &str| {
        domain.strip_suffix(tool).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !is_of("visor.dev") && !TOOL_DOMAINS.into_iter().any(is_of)
}

/// The annotation of a pod with the names of its local volumes that don't prevent the cluster
/// autoscaler from removing the node.
pub(crate) const SAFE_TO_EVICT: &str =
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// Adds a volume to that annotation.
pub(crate) fn mark_safe_to_evict(annotations: &mut BTreeMap<String, String>, volume: &str) {
    let volumes = annotations.entry(SAFE_TO_EVICT.to_owned()).or_default();
    if !volumes.split(',').any(|known| known.trim() == volume) {
        let between = if volumes.is_empty() { "" } else { "," };
        volumes.push_str(between);
        volumes.push_str(volume);
    }
}

/// The labels of every child: the source's and ours.
pub(crate) fn for_children(source: ValidSource<'_>) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> = inherited(source.metadata().labels.as_ref()).collect();
    labels.extend(selector(source));
    labels.extend(pairs(&[
        ("app.kubernetes.io/part-of", "visor"),
        (MANAGED_BY_LABEL, FIELD_MANAGER),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
    ]));
    labels
}

/// The labels of a source's pods: the source's, the template's, ours and the source's uid.
pub(crate) fn for_pods(source: ValidSource<'_>) -> BTreeMap<String, String> {
    let template = source.spec().pod_template.as_ref();
    let mut labels = for_children(source);
    // The rules make sure that none of these is ours.
    labels.extend(template.iter().flat_map(|template| template.labels.clone()));
    labels.extend(for_source(source.name(), source.uid()));
    labels
}

/// The uid of the source that a pod belongs to, by its label.
pub(crate) fn source_uid(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(SOURCE_UID_LABEL).map(String::as_str)
}

/// The labels of every pod with the generator of a source, in whatever workload.
pub(crate) fn for_source(name: &str, uid: &str) -> BTreeMap<String, String> {
    pairs(&[(SOURCE_LABEL, name), (SOURCE_UID_LABEL, uid)])
}

/// The selector of a source's pods.
pub(crate) fn selector(source: ValidSource<'_>) -> BTreeMap<String, String> {
    pairs(&[
        ("app.kubernetes.io/name", "visor"),
        (INSTANCE_LABEL, source.name()),
        ("app.kubernetes.io/component", "generator"),
    ])
}

/// The label selector of all pods with the source's generator, as text for the scale subresource.
pub(crate) fn selector_text(source: ValidSource<'_>) -> String {
    let selector = if source.workload() == Workload::Sidecar {
        pairs(&[(SOURCE_LABEL, source.name())])
    } else {
        selector(source)
    };
    let terms: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    terms.join(",")
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_inherit_what_people_say_and_not_what_tools_note() {
        let keys = [
            ("team", true),
            ("example.com/cost-centre", true),
            ("notkubernetes.io/team", true),
            ("app.kubernetes.io/instance", false),
            ("kubectl.kubernetes.io/last-applied-configuration", false),
            ("config.k8s.io/owning-inventory", false),
            ("meta.helm.sh/release-name", false),
            ("helm.sh/chart", false),
            ("argocd.argoproj.io/tracking-id", false),
            ("kustomize.toolkit.fluxcd.io/name", false),
            ("kapp.k14s.io/app", false),
            ("visor.dev/source", false),
        ];
        let all = keys.map(|(key, _)| (key.to_owned(), "x".to_owned())).into();
        let found: BTreeMap<_, _> = inherited(Some(&all)).collect();
        for (key, is_inherited) in keys {
            assert_eq!(found.contains_key(key), is_inherited, "{key}");
        }
        assert_eq!(inherited(None).count(), 0);
    }

    #[test]
    fn volumes_that_may_be_lost_are_added_to_those_that_are() {
        let mut annotations = BTreeMap::new();
        mark_safe_to_evict(&mut annotations, "logs");
        mark_safe_to_evict(&mut annotations, "logs");
        assert_eq!(annotations[SAFE_TO_EVICT], "logs");
        annotations.insert(SAFE_TO_EVICT.to_owned(), "cache, tmp".to_owned());
        mark_safe_to_evict(&mut annotations, "logs");
        mark_safe_to_evict(&mut annotations, "tmp");
        assert_eq!(annotations[SAFE_TO_EVICT], "cache, tmp,logs");
    }
}
