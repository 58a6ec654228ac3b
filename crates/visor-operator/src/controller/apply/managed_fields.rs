//! Field ownership of a child (`metadata.managedFields`).
//!
//! A child is created by POST, which fails if an object of that name exists; server-side apply
//! would write into it. But the server records the fields of a POST in an entry with the operation
//! `Update`, and a later apply would not remove those that are no longer desired. So before the
//! first apply that entry is changed to `Apply`, as client-go does for objects from before
//! server-side apply (`csaupgrade`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::json;

use crate::labels::FIELD_MANAGER;

const UPDATE: &str = "Update";
const APPLY: &str = "Apply";

/// Whether the object has been created by us and never applied.
pub(super) fn needs_upgrade(object: &DynamicObject) -> bool {
    let ours = || object.managed_fields().iter().filter(|entry| is_ours(entry));
    ours().any(|entry| entry.operation.as_deref() == Some(UPDATE))
        && !ours().any(|entry| entry.operation.as_deref() == Some(APPLY))
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.subresource.is_none()
}

/// Changes the entry of the creation to one of apply. An object without an owner gets its owners in
/// the same request, because the operator may be restricted to objects with an owner
/// (`manifests/admission-policy.yaml`).
///
/// # Errors
///
/// The server's error; a conflict if the object has changed meanwhile.
pub(super) async fn upgrade(
    api: &Api<DynamicObject>,
    present: &DynamicObject,
    owners: &[OwnerReference],
) -> kube::Result<()> {
    let name = &present.name_any();
    // The cache doesn't keep this field.
    let object = api.get_metadata(name).await?;
    let mut entries = object.metadata.managed_fields.unwrap_or_default();
    for entry in entries.iter_mut().filter(|entry| is_ours(entry)) {
        entry.operation = Some(APPLY.to_owned());
    }
    let mut patch = json!({"metadata": {
        // A precondition: the server rejects the patch if the object has been replaced.
        "uid": present.uid(),
        "resourceVersion": object.metadata.resource_version,
        "managedFields": entries,
    }});
    if present.owner_references().is_empty() {
        patch["metadata"]["ownerReferences"] = json!(owners);
    }
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
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
    fn created_fields_are_distinguished_from_applied_fields() {
        let status = Some("status");
        assert!(needs_upgrade(&object(&[(FIELD_MANAGER, UPDATE, None)])));
        assert!(needs_upgrade(&object(&[
            ("kube-controller-manager", UPDATE, status),
            (FIELD_MANAGER, UPDATE, None),
        ])));
        assert!(!needs_upgrade(&object(&[])));
        assert!(!needs_upgrade(&object(&[(FIELD_MANAGER, APPLY, None)])));
        assert!(!needs_upgrade(&object(&[
            (FIELD_MANAGER, UPDATE, None),
            (FIELD_MANAGER, APPLY, None)
        ])));
        assert!(!needs_upgrade(&object(&[(FIELD_MANAGER, UPDATE, status)])));
        assert!(!needs_upgrade(&object(&[("kubectl", UPDATE, None)])));
    }
}
