//! Claims of a volume: one that all pods of a source share, or a `StatefulSet`'s template of one
//! for each pod.

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use visor_api::source::{PersistentVolumeClaim as Wish, VolumeAccessMode};

use super::{labels, metadata};
use crate::source::ValidSource;

/// The size of a claim that names none (documented in the CRD).
const DEFAULT_SIZE: &str = "1Gi";

/// The claim of a source whose pods share it.
pub(super) fn shared(source: ValidSource<'_>, wish: &Wish) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: metadata(source),
        spec: Some(spec(wish)),
        ..PersistentVolumeClaim::default()
    }
}

/// The template from which a `StatefulSet` makes a claim for each pod. The claims belong to the
/// source, not to the `StatefulSet`: they live through a change of the pods and are deleted with
/// the source. No version among the labels: a template can't be changed.
pub(super) fn template(source: ValidSource<'_>, name: &str, wish: &Wish) -> PersistentVolumeClaim {
    let mut claim_labels = labels::selector(source);
    // As that of every child, so that the claims are seen.
    claim_labels.insert(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(claim_labels),
            owner_references: source.owner_reference().map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        spec: Some(spec(wish)),
        ..PersistentVolumeClaim::default()
    }
}

/// What is asked of a claim.
pub(crate) fn spec(wish: &Wish) -> PersistentVolumeClaimSpec {
    let size = wish.size.clone().unwrap_or_else(|| Quantity(DEFAULT_SIZE.to_owned()));
    PersistentVolumeClaimSpec {
        access_modes: Some(vec![access_mode(wish.access_mode).to_owned()]),
        storage_class_name: wish.storage_class_name.clone(),
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
