//! The desired children of a source: complete objects, from the source and the operator's settings
//! alone. Pure: no client, no clock, the same result for the same input, so snapshot tests need no
//! server.

pub(crate) mod children;
mod claim;
pub(crate) mod container;
pub(crate) mod document;
#[cfg(test)]
mod fuzz;
mod monitor;
mod pod;
mod service;
#[cfg(test)]
pub(crate) mod tests;
mod workload;

pub(crate) use claim::spec as claim_spec;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::DynamicObject;
use serde::Serialize;
use visor_api::source::{PersistentVolumeClaim, Volume, Workload};

use crate::{hash, labels, policy::Policy, source::ValidSource};
use children::{Child, ChildKind};

/// Settings from the operator's flags and from the capabilities of the API server.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The generator's image.
    pub(crate) image: String,
    /// `IfNotPresent`, `Always` or `Never`.
    pub(crate) image_pull_policy: String,
    /// The user and group of generators, and of their volumes; `None` where the cluster chooses them.
    pub(crate) user: Option<i64>,
    /// Whether the server supports native sidecars (Kubernetes 1.29 and later).
    pub(crate) native_sidecars: bool,
    /// Whether sources get a `PodMonitor`.
    pub(crate) pod_monitors: bool,
    /// Which privileges sources have.
    pub(crate) policy: Policy,
    /// The identity of this operator: the namespace and the name of its Lease.
    pub(crate) operator: String,
}

/// The children of a source.
#[derive(Debug, Clone)]
pub(crate) struct Children {
    pub(crate) objects: Vec<Child>,
    /// The hash of the document for the pods.
    pub(crate) document_hash: String,
}

/// A source that can't be serialized. Only a bug can cause it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("cannot serialize the source's document: {0}")]
    Document(#[from] serde_saphyr::ser::Error),
    #[error("cannot serialize a child of the source: {0}")]
    Child(#[from] serde_json::Error),
}

/// Builds a source's children: what the pods need first, the workload last.
///
/// # Errors
///
/// See [`BuildError`].
pub(crate) fn children(
    source: ValidSource<'_>,
    settings: &Settings,
) -> Result<Children, BuildError> {
    let document = document::yaml(source)?;
    let document_hash = hash::of_text(&document);
    let mut objects = vec![child(ChildKind::ConfigMap, &config_map(source, document))?];
    if source.workload() != Workload::Sidecar {
        objects.push(child(ChildKind::Service, &service::headless(source))?);
    }
    if let Some(claim) = claim_to_create(source)
        && source.workload() != Workload::StatefulSet
    {
        objects.push(child(ChildKind::PersistentVolumeClaim, &claim::shared(source, claim))?);
    }
    if settings.pod_monitors {
        objects.push(child(ChildKind::PodMonitor, &monitor::pod_monitor(source))?);
    }
    objects.extend(workload::of(source, settings, &document_hash)?);
    for child in &mut objects {
        let desired = hash::of_value(&serde_json::to_value(&child.object)?);
        annotate(&mut child.object.metadata, labels::APPLIED_HASH, desired);
        annotate(
            &mut child.object.metadata,
            labels::OPERATOR_ANNOTATION,
            settings.operator.clone(),
        );
    }
    Ok(Children { objects, document_hash })
}

fn config_map(source: ValidSource<'_>, document: String) -> ConfigMap {
    ConfigMap {
        metadata: metadata(source),
        data: Some([(document::FILE.to_owned(), document)].into()),
        ..ConfigMap::default()
    }
}

/// The claim to create for the source, unless it names an existing one.
pub(crate) fn claim_to_create(source: ValidSource<'_>) -> Option<&PersistentVolumeClaim> {
    match &source.spec().volume {
        Some(Volume::PersistentVolumeClaim(claim)) if claim.claim_name.is_none() => Some(claim),
        _ => None,
    }
}

/// The metadata of every child.
fn metadata(source: ValidSource<'_>) -> ObjectMeta {
    ObjectMeta {
        name: Some(source.name().to_owned()),
        namespace: Some(source.namespace().to_owned()),
        labels: Some(labels::for_children(source)),
        annotations: Some(labels::inherited(source.metadata().annotations.as_ref()).collect()),
        owner_references: source.controller_reference().map(|reference| vec![reference]),
        ..ObjectMeta::default()
    }
}

fn annotate(metadata: &mut ObjectMeta, key: &str, value: String) {
    metadata.annotations.get_or_insert_default().insert(key.to_owned(), value);
}

fn child(kind: ChildKind, object: &impl Serialize) -> Result<Child, BuildError> {
    let object: DynamicObject = serde_json::from_value(serde_json::to_value(object)?)?;
    Ok(Child { kind, object })
}
