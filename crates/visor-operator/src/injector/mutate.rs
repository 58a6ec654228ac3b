//! Adds the generator to a pod. Pure: the pod is JSON, so that fields that this version of the
//! operator doesn't know are preserved.
//!
//! It adds the container, the volume of its document, an emptyDir for its files unless the pod
//! names a volume, labels, and an annotation. Existing fields are not changed.
//! has one for it, and labels and an annotation for it. Nothing else is changed.

use std::path::{Component, Path};

use k8s_openapi::api::core::v1::{LimitRangeItem, ResourceRequirements};
use kube::{ResourceExt, core::DynamicObject};
use serde_json::{Map, Value, json};

use super::{Form, INJECTED_ANNOTATION, request::InjectionRequest};
use crate::{
    controller::build::{
        Settings,
        container::{
            DOCUMENT_DIRECTORY, GeneratorSpec, LOGS_DIRECTORY, RunAs, TOKEN_DIRECTORY, generator,
        },
    },
    labels::{self, GENERATOR, METRICS_PORT},
};
use resources::{PodResources, QosClass};

mod resources;
mod run_as;

/// The volumes that are added. The pod may have volumes `document` and `logs` of its own.
const DOCUMENT_VOLUME: &str = "visor-document";
const LOGS_VOLUME: &str = "visor-logs";

/// Directories in which the generator's container has mounts of its own.
const RESERVED_DIRECTORIES: [&str; 5] =
    [DOCUMENT_DIRECTORY, TOKEN_DIRECTORY, "/dev", "/proc", "/sys"];

/// The source to inject, and the limits of the namespace.
#[derive(Debug, Clone)]
pub(crate) struct SidecarSource<'a> {
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    /// The resource requirements of the source.
    pub(crate) resources: Option<&'a ResourceRequirements>,
    /// The limits that the namespace has for containers and pods.
    pub(crate) limits: &'a [LimitRangeItem],
}

/// A pod with a generator.
#[derive(Debug)]
pub(crate) struct Injected {
    pub(crate) pod: DynamicObject,
    /// What injection has changed about the pod, for its author.
    pub(crate) warning: Option<String>,
}

/// Adds the generator to a pod.
///
/// # Errors
///
/// Why it can't be added, for the author of the pod.
pub(crate) fn inject(
    pod: &DynamicObject,
    request: &InjectionRequest,
    sidecar: &SidecarSource<'_>,
    settings: &Settings,
    form: Form,
) -> Result<Injected, String> {
    let spec = pod.data.get("spec").and_then(Value::as_object).ok_or("the pod has no spec")?;
    let own = RunAs::own(settings);
    let logs = Logs::of(spec, request.volume.as_deref(), pod.metadata.name.as_deref(), own)?;
    check(spec)?;
    let specified = request.resources.as_ref().or(sidecar.resources);
    let before = PodResources::of(spec);
    let resources = before.for_generator(specified, sidecar.limits);
    let mut container = generator(
        settings,
        &GeneratorSpec {
            document_volume: DOCUMENT_VOLUME,
            logs_volume: &logs.volume,
            logs_directory: &logs.directory,
            shared: logs.shared,
            resources: Some(&resources),
            run_as: logs.run_as,
            env: &[],
            env_from: &[],
            has_token: true,
            sidecar: true,
        },
    );
    if form == Form::Native {
        container.restart_policy = Some("Always".to_owned());
    }
    let container = serde_json::to_value(&container).map_err(|error| error.to_string())?;

    let mut injected = pod.clone();
    let metadata = &mut injected.metadata;
    metadata.labels.get_or_insert_default().extend(labels::for_source(sidecar.name, sidecar.uid));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    metadata.annotations.get_or_insert_default().insert(INJECTED_ANNOTATION.to_owned(), version);
    let list = if form == Form::Native { "initContainers" } else { "containers" };
    let mut after = spec.clone();
    push(&mut after, list, container);
    push(
        &mut after,
        "volumes",
        json!({
            "name": DOCUMENT_VOLUME,
            // The pod starts without it as well, and the generator waits for it.
            "configMap": {"name": sidecar.name, "optional": true},
        }),
    );
    if logs.added {
        push(&mut after, "volumes", json!({"name": LOGS_VOLUME, "emptyDir": {}}));
        let annotations = injected.metadata.annotations.get_or_insert_default();
        labels::mark_safe_to_evict(annotations, LOGS_VOLUME);
    }
    let resources_after = PodResources::of(&after);
    resources_after.fits(sidecar.limits)?;
    let warning = qos_class_changed(before.class(), resources_after.class());
    injected.data["spec"] = Value::Object(after);
    Ok(Injected { pod: injected, warning })
}

/// How injection has changed the QoS class of a pod that has been injected.
pub(crate) fn qos_class_change(pod: &DynamicObject) -> Option<String> {
    let resources_after = pod.data.get("spec")?.as_object()?;
    let mut before = resources_after.clone();
    let mut was_injected = false;
    for field in ["containers", "initContainers"] {
        if let Some(Value::Array(containers)) = before.get_mut(field) {
            let count = containers.len();
            containers.retain(|container| text(container, "name") != Some(GENERATOR));
            was_injected |= containers.len() < count;
        }
    }
    let other = qos_class_changed(
        PodResources::of(&before).class(),
        PodResources::of(resources_after).class(),
    );
    other.filter(|_| was_injected && pod.annotations().contains_key(INJECTED_ANNOTATION))
}

fn qos_class_changed(before: QosClass, after: QosClass) -> Option<String> {
    (before != after).then(|| {
        format!("the injected container changes the pod's QoS class from {before} to {after}")
    })
}

/// Where the files are written.
struct Logs {
    volume: String,
    directory: String,
    shared: bool,
    run_as: RunAs,
    /// Whether the volume is to be added.
    added: bool,
}

impl Logs {
    fn of(
        spec: &Map<String, Value>,
        volume_name: Option<&str>,
        pod: Option<&str>,
        own: RunAs,
    ) -> Result<Self, String> {
        let Some(volume_name) = volume_name else {
            // An emptyDir is writable by every user, and not shared.
            let (volume, directory) = (LOGS_VOLUME.to_owned(), LOGS_DIRECTORY.to_owned());
            return Ok(Self { volume, directory, shared: false, run_as: own, added: true });
        };
        let volume =
            items(spec, "volumes").find(|volume| text(volume, "name") == Some(volume_name));
        let volume = volume.ok_or_else(|| {
            let names: Vec<_> =
                items(spec, "volumes").filter_map(|volume| text(volume, "name")).collect();
            format!("the pod has no volume `{volume_name}`; its volumes are: {}", names.join(", "))
        })?;
        check_writable(volume, volume_name)?;
        let mount_in = |container| {
            list(Value::get(container, "volumeMounts"))
                .find(|mount| text(mount, "name") == Some(volume_name))
        };
        let mount = containers(spec).find_map(mount_in);
        let running: Vec<_> =
            running(spec).map(|container| (container, mount_in(container).is_some())).collect();
        if mount.is_some_and(|mount| {
            mount.get("subPath").is_some() || mount.get("subPathExpr").is_some()
        }) {
            return Err(format!(
                "volume `{volume_name}` is mounted with a subPath; mount the whole volume"
            ));
        }
        let directory = mount.and_then(|mount| text(mount, "mountPath")).unwrap_or(LOGS_DIRECTORY);
        check_directory(volume_name, directory)?;
        Ok(Self {
            volume: volume_name.to_owned(),
            directory: directory.trim_end_matches('/').to_owned(),
            shared: is_shared(volume, volume_name, pod),
            run_as: run_as::run_as(spec, &running, own),
            added: false,
        })
    }
}

/// Kinds of volume that are never writable.
const NEVER_WRITABLE: [&str; 5] = ["configMap", "downwardAPI", "image", "projected", "secret"];

/// Whether a volume is writable.
fn check_writable(volume: &Value, name: &str) -> Result<(), String> {
    let mut kinds = volume.as_object().into_iter().flatten();
    let why = kinds.find_map(|(kind, source)| {
        if NEVER_WRITABLE.contains(&kind.as_str()) {
            return Some(format!("is of type {kind}, which is never writable"));
        }
        let is_read_only = source.get("readOnly") == Some(&Value::Bool(true));
        is_read_only.then(|| format!("is read-only ({kind}.readOnly)"))
    });
    why.map_or(Ok(()), |why| Err(format!("volume `{name}` {why}; choose another")))
}

/// Whether the generator can mount the volume at the directory where the pod mounts it.
fn check_directory(volume: &str, directory: &str) -> Result<(), String> {
    let path = Path::new(directory);
    let names: Vec<_> = path.components().collect();
    let is_plain =
        names.iter().all(|name| matches!(name, Component::RootDir | Component::Normal(_)));
    let reserved = RESERVED_DIRECTORIES.iter().find(|reserved| path.starts_with(reserved));
    let why = if names.len() < 2 || !path.is_absolute() || !is_plain {
        "which is not an absolute path of plain names".to_owned()
    } else if let Some(reserved) = reserved {
        format!("and the generator uses {reserved} itself")
    } else if Path::new(DOCUMENT_DIRECTORY).starts_with(path) {
        format!("which contains the generator's document at {DOCUMENT_DIRECTORY}")
    } else {
        return Ok(());
    };
    Err(format!("volume `{volume}` is mounted at {directory}, {why}; mount it elsewhere"))
}

/// Whether other pods may write to a volume. A claim that a `StatefulSet` created for this pod is
/// its own; its name consists of the names of the volume and the pod.
fn is_shared(volume: &Value, name: &str, pod: Option<&str>) -> bool {
    let claim = volume.get("persistentVolumeClaim").and_then(|claim| text(claim, "claimName"));
    match claim {
        Some(claim) => pod.is_none_or(|pod| claim != format!("{name}-{pod}")),
        None => volume.get("emptyDir").is_none() && volume.get("ephemeral").is_none(),
    }
}

/// Conflicts that prevent injection.
fn check(spec: &Map<String, Value>) -> Result<(), String> {
    let system = spec.get("os").and_then(|system| text(system, "name"));
    if let Some(system) = system.filter(|system| *system != "linux") {
        return Err(format!(
            "the generator runs on Linux only, and the pod's operating system is {system}"
        ));
    }
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        return Err(format!(
            "the pod uses hostNetwork, where only one pod can listen on port \
             {METRICS_PORT}"
        ));
    }
    for container in containers(spec) {
        if text(container, "name") == Some(GENERATOR) {
            return Err(format!("the pod already has a container `{GENERATOR}`; rename it"));
        }
        let mut ports = list(container.get("ports"));
        if ports.any(|port| port.get("containerPort") == Some(&METRICS_PORT.into())) {
            let name = text(container, "name").unwrap_or_default();
            return Err(format!(
                "container `{name}` uses port {METRICS_PORT}, on which the generator serves its metrics"
            ));
        }
    }
    let reserved = [DOCUMENT_VOLUME, LOGS_VOLUME];
    let mut names = items(spec, "volumes").filter_map(|volume| text(volume, "name"));
    match names.find(|name| reserved.contains(name)) {
        Some(name) => Err(format!("the pod already has a volume `{name}`; rename it")),
        None => Ok(()),
    }
}

/// The containers that keep running: not ordinary init containers.
fn running(spec: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let sidecars = items(spec, "initContainers")
        .filter(|container| text(container, "restartPolicy") == Some("Always"));
    items(spec, "containers").chain(sidecars)
}

fn containers(spec: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    items(spec, "containers").chain(items(spec, "initContainers"))
}

fn items<'a>(spec: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = &'a Value> {
    list(spec.get(field))
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

fn push(spec: &mut Map<String, Value>, field: &str, item: Value) {
    let list = spec.entry(field).or_insert(Value::Null);
    if let Value::Array(items) = list {
        items.push(item);
    } else {
        // Missing, or null as some clients send it.
        *list = Value::Array(vec![item]);
    }
}

#[cfg(test)]
mod tests;
