//! Persistent volume claims: one that all pods of a source share, or the claim template of a
//! `StatefulSet`.

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use visor_api::source::{PersistentVolumeClaim as DesiredClaim, VolumeAccessMode};

use super::metadata;
use crate::{labels, source::ValidSource};

/// The size of a claim that names none (documented in the CRD).
const DEFAULT_SIZE: &str = "1Gi";

/// The claim of a source whose pods share it.
pub(super) fn shared(source: ValidSource<'_>, desired: &DesiredClaim) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: metadata(source),
        spec: Some(spec(desired)),
        ..PersistentVolumeClaim::default()
    }
}

/// The template from which a `StatefulSet` creates a claim for each pod. The claims are owned by
/// the source, not by the `StatefulSet`: they survive a change of the pods and are deleted with the
/// source. The labels have no version, because a template is immutable.
pub(super) fn template(
    source: ValidSource<'_>,
    name: &str,
    desired: &DesiredClaim,
) -> PersistentVolumeClaim {
    let mut claim_labels = labels::selector(source);
    // The label of every child, so that the caches hold the claims.
    claim_labels.insert(labels::MANAGED_BY_LABEL.to_owned(), labels::FIELD_MANAGER.to_owned());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(claim_labels),
            owner_references: source.owner_reference().map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        spec: Some(spec(desired)),
        ..PersistentVolumeClaim::default()
    }
}

/// The spec of a claim.
pub(crate) fn spec(desired: &DesiredClaim) -> PersistentVolumeClaimSpec {
    let size = desired.size.clone().unwrap_or_else(|| Quantity(DEFAULT_SIZE.to_owned()));
    PersistentVolumeClaimSpec {
        access_modes: Some(vec![access_mode(desired.access_mode).to_owned()]),
        storage_class_name: desired.storage_class_name.clone(),
        resources: Some(VolumeResourceRequirements {
            requests: Some([("storage".to_owned(), size)].into()),
            ..VolumeResourceRequirements::default()
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}

fn access_mode(mode: VolumeAccessMode) -> &'static str {
    match mode {
        VolumeAccessMode::ReadWriteOnce => "ReadWriteOnce",
        VolumeAccessMode::ReadWriteMany => "ReadWriteMany",
        VolumeAccessMode::ReadWriteOncePod => "ReadWriteOncePod",
    }
}
