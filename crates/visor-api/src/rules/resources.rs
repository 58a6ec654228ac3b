//! Rules for quantities and mounts: what an API server would reject in the pods of a source.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::{
    api::core::v1::{Container, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    amount::amount,
    message::shown,
    problem::{Path, Problem},
    source::{FakeLogSourceSpec, PodTemplate, RESERVED_VOLUMES, Volume},
};

type Quantities = Option<BTreeMap<String, Quantity>>;

/// The sizes of the source's own volume.
pub(super) fn volume(path: &Path, spec: &FakeLogSourceSpec, problems: &mut Vec<Problem>) {
    let path = path.field("volume");
    match &spec.volume {
        Some(Volume::EmptyDir(volume)) => {
            if let Some(limit) = &volume.size_limit {
                quantity(path.field("emptyDir").field("sizeLimit"), checked(limit), problems);
            }
        }
        Some(Volume::PersistentVolumeClaim(claim)) => {
            if let Some(size) = &claim.size {
                let path = path.field("persistentVolumeClaim").field("size");
                quantity(path, positive(size), problems);
            }
        }
        Some(Volume::HostPath(_)) | None => {}
    }
}

/// The quantities of a template, and the mounts of its containers.
pub(super) fn template(path: &Path, template: &PodTemplate, problems: &mut Vec<Problem>) {
    if let Some(own) = &template.resources {
        requirements(&path.field("resources"), own, problems);
    }
    for (index, volume) in template.volumes.iter().enumerate() {
        let limit = volume.empty_dir.as_ref().and_then(|volume| volume.size_limit.as_ref());
        if let Some(limit) = limit {
            let path = path.field("volumes").index(index).field("emptyDir").field("sizeLimit");
            quantity(path, checked(limit), problems);
        }
    }
    let known: HashSet<&str> = template.volumes.iter().map(|volume| volume.name.as_str()).collect();
    for (field, containers) in
        [("initContainers", &template.init_containers), ("containers", &template.containers)]
    {
        for (index, container) in containers.iter().enumerate() {
            let path = path.field(field).index(index);
            if let Some(own) = &container.resources {
                requirements(&path.field("resources"), own, problems);
            }
            mounts(&path.field("volumeMounts"), container, &known, problems);
        }
    }
}

fn mounts(path: &Path, container: &Container, known: &HashSet<&str>, problems: &mut Vec<Problem>) {
    let mut places = HashSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = path.index(index);
        let name = mount.name.as_str();
        if !known.contains(name) && !RESERVED_VOLUMES.contains(&name) {
            let message = format!(
                "the pods have no volume `{}`; add it to `podTemplate.volumes`, or mount `logs`",
                shown(name)
            );
            problems.push(Problem::new(path.field("name"), message));
        }
        if mount.mount_path.is_empty() {
            let message = "must not be empty; set the directory, such as `/etc/collector`";
            problems.push(Problem::new(path.field("mountPath"), message));
        } else if !places.insert(mount.mount_path.as_str()) {
            let message = "another volume is mounted there in this container; choose another path";
            problems.push(Problem::new(path.field("mountPath"), message));
        }
    }
}

fn requirements(path: &Path, resources: &ResourceRequirements, problems: &mut Vec<Problem>) {
    for (field, quantities) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for (name, value) in quantities.iter().flatten() {
            quantity(path.field(field).field(name), checked(value), problems);
        }
    }
    let of = |quantities: &Quantities, name: &str| amount(quantities.as_ref()?.get(name)?);
    for name in resources.requests.iter().flatten().map(|(name, _)| name) {
        let limit = of(&resources.limits, name);
        if limit.is_some_and(|limit| of(&resources.requests, name) > Some(limit)) {
            let message = "must not exceed the limit; reduce it, or raise the limit";
            problems.push(Problem::new(path.field("requests").field(name), message));
        }
    }
}

fn quantity(path: Path, checked: Result<i128, String>, problems: &mut Vec<Problem>) {
    if let Err(message) = checked {
        problems.push(Problem::new(path, message));
    }
}

/// The size of a claim.
fn positive(quantity: &Quantity) -> Result<i128, String> {
    match checked(quantity)? {
        0 => Err("must be more than 0".to_owned()),
        amount => Ok(amount),
    }
}

/// The value of a quantity.
fn checked(quantity: &Quantity) -> Result<i128, String> {
    let text = quantity.0.as_str();
    let found = Some(text).filter(|text| text.trim() == *text).and_then(|_| amount(quantity));
    match found {
        None => Err(format!(
            "`{}` is not a quantity; write a number with an optional suffix, such as 64Mi, 1.5G or 250m",
            shown(text)
        )),
        Some(amount) if amount < 0 => Err("must not be negative".to_owned()),
        Some(amount) => Ok(amount),
    }
}
