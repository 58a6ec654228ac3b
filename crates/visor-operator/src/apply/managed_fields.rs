//! Whose the fields of a child are, by the server's notes (`metadata.managedFields`).
//!
//! A child is made by POST, which fails if there is one of that name; server-side apply would write
//! into it. But the server notes the fields of a POST for an entry of its own, and a later apply would
//! leave those there that are no longer wished. So before the first apply that entry is made one of
//! apply, as client-go does for objects from before server-side apply (`csaupgrade`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::json;

use crate::build::labels::MANAGER;

const CREATED: &str = "Update";
const APPLIED: &str = "Apply";

/// Whether the object is as it was made: nothing of it has been applied since.
pub(super) fn is_of_a_creation(object: &DynamicObject) -> bool {
    let ours = || object.managed_fields().iter().filter(|entry| is_ours(entry));
    ours().any(|entry| entry.operation.as_deref() == Some(CREATED))
        && !ours().any(|entry| entry.operation.as_deref() == Some(APPLIED))
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER) && entry.subresource.is_none()
}

/// Makes what was noted for its creation a note of apply, and gives an object without an owner its owners
/// at once: who may change what is owned alone (`manifests/admission-policy.yaml`) can't write it without.
///
/// # Errors
///
/// What the server answers; a conflict, if the object has changed in between.
pub(super) async fn hand_over(
    api: &Api<DynamicObject>,
    present: &DynamicObject,
    owners: &[OwnerReference],
) -> kube::Result<()> {
    let name = &present.name_any();
    // The cache is without the fields.
    let object = api.get_metadata(name).await?;
    let mut entries = object.metadata.managed_fields.unwrap_or_default();
    for entry in entries.iter_mut().filter(|entry| is_ours(entry)) {
        entry.operation = Some(APPLIED.to_owned());
    }
    let mut patch = json!({"metadata": {
        // Should it have been replaced by now, the server refuses.
        "uid": present.uid(),
        "resourceVersion": object.metadata.resource_version,
        "managedFields": entries,
    }});
    if present.owner_references().is_empty() {
        patch["metadata"]["ownerReferences"] = json!(owners);
    }
    let parameters =
        PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_metadata(name, &parameters, &Patch::Merge(patch)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(entries: &[(&str, &str, Option<&str>)]) -> DynamicObject {
        let entry = |(manager, operation, subresource): &(&str, &str, Option<&str>)| json!({"manager": manager, "operation": operation, "subresource": subresource});
        let entries: Vec<_> = entries.iter().map(entry).collect();
        serde_json::from_value(json!({"metadata": {"managedFields": entries}})).unwrap()
    }

    #[test]
    fn what_was_made_is_told_from_what_was_applied() {
        let status = Some("status");
        assert!(is_of_a_creation(&object(&[(MANAGER, CREATED, None)])));
        assert!(is_of_a_creation(&object(&[
            ("kube-controller-manager", CREATED, status),
            (MANAGER, CREATED, None),
        ])));
        assert!(!is_of_a_creation(&object(&[])));
        assert!(!is_of_a_creation(&object(&[(MANAGER, APPLIED, None)])));
        assert!(!is_of_a_creation(&object(&[(MANAGER, CREATED, None), (MANAGER, APPLIED, None)])));
        assert!(!is_of_a_creation(&object(&[(MANAGER, CREATED, status)])));
        assert!(!is_of_a_creation(&object(&[("kubectl", CREATED, None)])));
    }
}
