//! What a source is made of, as it should be: complete objects, from the source and the operator's
//! settings alone. Pure: no client, no clock, the same answer for the same question, so snapshots
//! can test it without a server.

mod claim;
pub(crate) mod container;
pub(crate) mod document;
pub(crate) mod hash;
#[cfg(test)]
mod hostile;
pub(crate) mod labels;
mod monitor;
mod pod;
mod service;
#[cfg(test)]
pub(crate) mod tests;
mod workload;

pub(crate) use claim::spec as claim_spec;
pub(crate) use container::{GENERATOR, METRICS_PORT};

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::DynamicObject;
use serde::Serialize;
use visor_api::source::{PersistentVolumeClaim, Volume, Workload};

use crate::{
    children::{Child, ChildKind},
    policy::Policy,
    source::ValidSource,
};

/// What the operator's flags, and the server it has met, decide about every source.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The generator's image.
    pub(crate) image: String,
    /// `IfNotPresent`, `Always` or `Never`.
    pub(crate) image_pull_policy: String,
    /// The user and group of generators, and of their volumes; `None` where the cluster chooses them.
    pub(crate) user: Option<i64>,
    /// Whether the server knows init containers that go on running (Kubernetes 1.29 and later).
    pub(crate) native_sidecars: bool,
    /// Whether sources get a `PodMonitor`.
    pub(crate) pod_monitors: bool,
    /// What sources may have.
    pub(crate) policy: Policy,
    /// Which operator this is: the namespace and the name of its Lease.
    pub(crate) operator: String,
}

/// The children of a source.
#[derive(Debug, Clone)]
pub(crate) struct Children {
    pub(crate) objects: Vec<Child>,
    /// The hash of the document that the pods should run.
    pub(crate) document_hash: String,
}

/// A source that can't be written down as objects. It takes a mistake of ours to make one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("can't write the document of the source: {0}")]
    Document(#[from] serde_saphyr::ser::Error),
    #[error("can't write a child of the source: {0}")]
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
    if let Some(claim) = claim_to_make(source)
        && source.workload() != Workload::StatefulSet
    {
        objects.push(child(ChildKind::PersistentVolumeClaim, &claim::shared(source, claim))?);
    }
    if settings.pod_monitors {
        objects.push(child(ChildKind::PodMonitor, &monitor::pod_monitor(source))?);
    }
    objects.extend(workload::of(source, settings, &document_hash)?);
    for child in &mut objects {
        let wished = hash::of_value(&serde_json::to_value(&child.object)?);
        annotate(&mut child.object.metadata, labels::APPLIED, wished);
        annotate(&mut child.object.metadata, labels::OPERATOR, settings.operator.clone());
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

/// The claim that the source asks us to make, rather than one that exists already.
pub(crate) fn claim_to_make(source: ValidSource<'_>) -> Option<&PersistentVolumeClaim> {
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
        labels: Some(labels::of_children(source)),
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
