//! The labels and annotations of a source's children, and the selector of its pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use visor_api::source::Workload;

use crate::source::ValidSource;

/// Who writes the children: their `managed-by` label and the field manager of every write.
pub(crate) const MANAGER: &str = "visor-operator";

pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The pods' label that names the source whose generator they have. In pods of others it is ours
/// alone, where `app.kubernetes.io/instance` is theirs.
pub(crate) const SOURCE: &str = "visor.dev/source";
/// The pods' label that says which source that is: a name can be used again, a uid can't.
pub(crate) const SOURCE_UID: &str = "visor.dev/source-uid";
/// The annotation that a pod of others gets with its generator: the version of the operator that put
/// it there.
pub(crate) const INJECTED: &str = "visor.dev/injected";
/// The annotation of a child that says which operator keeps it, by its Lease (`NAMESPACE/NAME`). Another
/// one leaves it alone.
pub(crate) const OPERATOR: &str = "visor.dev/operator";
/// The annotation of a source by which it takes over children that a former source of its name has left
/// behind.
pub(crate) const ADOPT: &str = "visor.dev/adopt";
/// The annotation of a child: a hash of it as it was wished when it was last written.
pub(crate) const APPLIED: &str = "visor.dev/applied-hash";
/// The annotation of a workload: a hash of what can't be changed in one that exists.
pub(crate) const IMMUTABLE: &str = "visor.dev/immutable-hash";
/// The annotation of a `ConfigMap`, a Job and the pods: a hash of the document. A changed one on a
/// pod makes the kubelet write the pod's volumes at once instead of within a minute or two.
pub(crate) const DOCUMENT: &str = "visor.dev/document-hash";

/// Domains of labels and annotations that say how an object came into the cluster, or what a tool has
/// noted about it. On another object they would be wrong; a tool that finds its objects by them might
/// even remove it.
const OF_TOOLS: [&str; 7] =
    ["kubernetes.io", "k8s.io", "helm.sh", "argoproj.io", "fluxcd.io", "cattle.io", "k14s.io"];

/// What a source's author, and the policies of the cluster, say of a source by its labels or
/// annotations, and so of its children.
pub(crate) fn inherited(
    of_source: Option<&BTreeMap<String, String>>,
) -> impl Iterator<Item = (String, String)> {
    let pairs = of_source.into_iter().flatten().filter(|(key, _)| is_inherited(key));
    pairs.map(|(key, value)| (key.clone(), value.clone()))
}

/// Whether a label or an annotation is one that children have of their source: neither a tool's nor ours.
pub(crate) fn is_inherited(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_of = |tool: &str| {
        domain.strip_suffix(tool).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !is_of("visor.dev") && !OF_TOOLS.into_iter().any(is_of)
}

/// The annotation of a pod with volumes of its node that a cluster's autoscaler may lose: for a pod with
/// others it keeps the node.
pub(crate) const SAFE_TO_EVICT: &str =
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// Says of one more volume of a pod that it may be lost.
pub(crate) fn may_be_lost(annotations: &mut BTreeMap<String, String>, volume: &str) {
    let volumes = annotations.entry(SAFE_TO_EVICT.to_owned()).or_default();
    if !volumes.split(',').any(|known| known.trim() == volume) {
        let between = if volumes.is_empty() { "" } else { "," };
        volumes.push_str(between);
        volumes.push_str(volume);
    }
}

/// The labels of every child: the source's and ours.
pub(crate) fn of_children(source: ValidSource<'_>) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> = inherited(source.metadata().labels.as_ref()).collect();
    labels.extend(selector(source));
    labels.extend(pairs(&[
        ("app.kubernetes.io/part-of", "visor"),
        (MANAGED_BY, MANAGER),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
    ]));
    labels
}

/// The labels of a source's pods: the source's, the template's, ours and the source's uid.
pub(crate) fn of_pods(source: ValidSource<'_>) -> BTreeMap<String, String> {
    let template = source.spec().pod_template.as_ref();
    let mut labels = of_children(source);
    // The rules see to it that it says nothing of ours.
    labels.extend(template.iter().flat_map(|template| template.labels.clone()));
    labels.extend(of_source(source.name(), source.uid()));
    labels
}

/// The uid of the source that a pod is of.
pub(crate) fn source_uid(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(SOURCE_UID).map(String::as_str)
}

/// The labels of every pod that has the generator of a source, whosever pod it is.
pub(crate) fn of_source(name: &str, uid: &str) -> BTreeMap<String, String> {
    pairs(&[(SOURCE, name), (SOURCE_UID, uid)])
}

/// What selects a source's pods.
pub(crate) fn selector(source: ValidSource<'_>) -> BTreeMap<String, String> {
    pairs(&[
        ("app.kubernetes.io/name", "visor"),
        (INSTANCE, source.name()),
        ("app.kubernetes.io/component", "generator"),
    ])
}

/// The selector of the pods that have the source's generator, as text: what the scale subresource
/// tells.
pub(crate) fn selector_text(source: ValidSource<'_>) -> String {
    let selector = if source.workload() == Workload::Sidecar {
        pairs(&[(SOURCE, source.name())])
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
        may_be_lost(&mut annotations, "logs");
        may_be_lost(&mut annotations, "logs");
        assert_eq!(annotations[SAFE_TO_EVICT], "logs");
        annotations.insert(SAFE_TO_EVICT.to_owned(), "cache, tmp".to_owned());
        may_be_lost(&mut annotations, "logs");
        may_be_lost(&mut annotations, "tmp");
        assert_eq!(annotations[SAFE_TO_EVICT], "cache, tmp,logs");
    }
}
