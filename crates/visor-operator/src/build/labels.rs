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
/// The annotation of a child: a hash of it as it was wished when it was last written.
pub(crate) const APPLIED: &str = "visor.dev/applied-hash";
/// The annotation of a workload: a hash of what can't be changed in one that exists.
pub(crate) const IMMUTABLE: &str = "visor.dev/immutable-hash";
/// The annotation of a `ConfigMap`, a Job and the pods: a hash of the document. A changed one on a
/// pod makes the kubelet write the pod's volumes at once instead of within a minute or two.
pub(crate) const DOCUMENT: &str = "visor.dev/document-hash";

/// The labels of every child.
pub(crate) fn of_children(source: ValidSource<'_>) -> BTreeMap<String, String> {
    let mut labels = selector(source);
    labels.extend(pairs(&[
        ("app.kubernetes.io/part-of", "visor"),
        (MANAGED_BY, MANAGER),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
    ]));
    labels
}

/// The labels of a source's pods: the person's, ours and the source's uid.
pub(crate) fn of_pods(source: ValidSource<'_>) -> BTreeMap<String, String> {
    let template = source.spec().pod_template.as_ref();
    let mut labels = template.map(|template| template.labels.clone()).unwrap_or_default();
    labels.extend(of_children(source));
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
