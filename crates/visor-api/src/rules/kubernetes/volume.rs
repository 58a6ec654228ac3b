//! Volumes: the source's own one, and those of the template.

use k8s_openapi::api::core::v1::KeyToPath;

use super::{Check, names};
use crate::{
    problem::Path,
    source::{PodTemplate, Volume},
};

/// The source's own volume.
pub(super) fn source(path: &Path, volume: &Volume, check: &mut Check<'_>) {
    let Volume::PersistentVolumeClaim(claim) = volume else { return };
    let path = path.field("persistentVolumeClaim");
    for (field, name) in
        [("claimName", &claim.claim_name), ("storageClassName", &claim.storage_class_name)]
    {
        if let Some(name) = name {
            check.text(path.field(field), name, names::dns_subdomain);
        }
    }
}

/// The volumes of the template.
pub(super) fn template(path: &Path, template: &PodTemplate, check: &mut Check<'_>) {
    for (index, volume) in template.volumes.iter().enumerate() {
        let path = path.field("volumes").index(index);
        if let Some(config_map) = &volume.config_map {
            let path = path.field("configMap");
            check.text(path.field("name"), &config_map.name, names::dns_subdomain);
            files(&path, config_map.items.as_deref(), check);
        }
        if let Some(secret) = &volume.secret {
            let path = path.field("secret");
            let name = secret.secret_name.as_deref().unwrap_or_default();
            check.text(path.field("secretName"), name, names::dns_subdomain);
            files(&path, secret.items.as_deref(), check);
        }
        if let Some(medium) = volume.empty_dir.as_ref().and_then(|empty| empty.medium.as_deref()) {
            let is_medium = ["", "Memory", "HugePages"].contains(&medium)
                || medium.strip_prefix("HugePages-").is_some_and(|size| !size.is_empty());
            if !is_medium {
                let message = "must be Memory, HugePages or HugePages-SIZE; or remove it";
                check.add(path.field("emptyDir").field("medium"), message);
            }
        }
    }
}

/// The files of a ConfigMap or a Secret.
fn files(path: &Path, items: Option<&[KeyToPath]>, check: &mut Check<'_>) {
    for (index, item) in items.unwrap_or_default().iter().enumerate() {
        let path = path.field("items").index(index);
        check.text(path.field("key"), &item.key, names::data_key);
        check.text(path.field("path"), &item.path, names::relative_path);
    }
}
