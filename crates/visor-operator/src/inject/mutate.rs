//! A pod with a generator in it, from one without. Pure: the pod as JSON, so that nothing is lost
//! that this version of the operator doesn't know.
//!
//! What is added: the container, the volume of its document, a volume for its files unless the pod
//! has one for it, and labels and an annotation that tell of it. Nothing that was there is changed.

use std::path::{Component, Path};

use k8s_openapi::api::core::v1::{LimitRangeItem, ResourceRequirements};
use kube::{ResourceExt, core::DynamicObject};
use serde_json::{Map, Value, json};

use super::{Form, INJECTED, wish::Wish};
use crate::build::{
    GENERATOR, METRICS_PORT, Settings,
    container::{
        DOCUMENT_DIRECTORY, LOGS_DIRECTORY, RunAs, Surroundings, TOKEN_DIRECTORY, generator,
    },
    labels,
};
use resources::{PodResources, QosClass};

mod resources;
mod run_as;

/// The volumes that are added. The pod's own may be called `document` or `logs`.
const DOCUMENT_VOLUME: &str = "visor-document";
const LOGS_VOLUME: &str = "visor-logs";

/// What a container has there that isn't the pod's.
const TAKEN_DIRECTORIES: [&str; 5] = [DOCUMENT_DIRECTORY, TOKEN_DIRECTORY, "/dev", "/proc", "/sys"];

/// The source that a pod gets, and what counts in its namespace.
#[derive(Debug, Clone)]
pub(crate) struct Guest<'a> {
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    /// What the source says of its containers' resources.
    pub(crate) resources: Option<&'a ResourceRequirements>,
    /// What its namespace allows containers and pods.
    pub(crate) bounds: &'a [LimitRangeItem],
}

/// A pod with a generator in it.
#[derive(Debug)]
pub(crate) struct Injected {
    pub(crate) pod: DynamicObject,
    /// What the pod isn't any more, in words for whoever wrote it.
    pub(crate) warning: Option<String>,
}

/// Puts the generator into a pod.
///
/// # Errors
///
/// Why it doesn't go into this pod, in words for whoever wrote it. The pod is as it was.
pub(crate) fn inject(
    pod: &DynamicObject,
    wish: &Wish,
    guest: &Guest<'_>,
    settings: &Settings,
    form: Form,
) -> Result<Injected, String> {
    let spec = pod.data.get("spec").and_then(Value::as_object).ok_or("the pod has no spec")?;
    let own = RunAs::own(settings);
    let logs = Logs::of(spec, wish.volume.as_deref(), pod.metadata.name.as_deref(), own)?;
    check(spec)?;
    let said = wish.resources.as_ref().or(guest.resources);
    let before = PodResources::of(spec);
    let resources = before.generators(said, guest.bounds);
    let mut container = generator(
        settings,
        &Surroundings {
            document_volume: DOCUMENT_VOLUME,
            logs_volume: &logs.volume,
            logs_directory: &logs.directory,
            shared: logs.shared,
            resources: Some(&resources),
            run_as: logs.run_as,
            env: &[],
            env_from: &[],
            has_token: true,
            guest: true,
        },
    );
    if form == Form::Native {
        container.restart_policy = Some("Always".to_owned());
    }
    let container = serde_json::to_value(&container).map_err(|error| error.to_string())?;

    let mut injected = pod.clone();
    let metadata = &mut injected.metadata;
    metadata.labels.get_or_insert_default().extend(labels::of_source(guest.name, guest.uid));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    metadata.annotations.get_or_insert_default().insert(INJECTED.to_owned(), version);
    let list = if form == Form::Native { "initContainers" } else { "containers" };
    let mut after = spec.clone();
    push(&mut after, list, container);
    push(
        &mut after,
        "volumes",
        json!({
            "name": DOCUMENT_VOLUME,
            // The pod starts without it, too, and the generator waits.
            "configMap": {"name": guest.name, "optional": true},
        }),
    );
    if logs.added {
        push(&mut after, "volumes", json!({"name": LOGS_VOLUME, "emptyDir": {}}));
        let annotations = injected.metadata.annotations.get_or_insert_default();
        labels::may_be_lost(annotations, LOGS_VOLUME);
    }
    let with_it = PodResources::of(&after);
    with_it.fits(guest.bounds)?;
    let warning = other_class(before.class(), with_it.class());
    injected.data["spec"] = Value::Object(after);
    Ok(Injected { pod: injected, warning })
}

/// What an injected pod isn't any more.
pub(crate) fn other_class_of(pod: &DynamicObject) -> Option<String> {
    let with_it = pod.data.get("spec")?.as_object()?;
    let mut before = with_it.clone();
    let mut had_it = false;
    for field in ["containers", "initContainers"] {
        if let Some(Value::Array(containers)) = before.get_mut(field) {
            let count = containers.len();
            containers.retain(|container| text(container, "name") != Some(GENERATOR));
            had_it |= containers.len() < count;
        }
    }
    let other = other_class(PodResources::of(&before).class(), PodResources::of(with_it).class());
    other.filter(|_| had_it && pod.annotations().contains_key(INJECTED))
}

fn other_class(before: QosClass, after: QosClass) -> Option<String> {
    (before != after).then(|| {
        format!(
            "by what its generator asks for and may use, this pod's quality of service class is \
             {after}; without it, it would be {before}"
        )
    })
}

/// Where the files go.
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
        wished: Option<&str>,
        pod: Option<&str>,
        own: RunAs,
    ) -> Result<Self, String> {
        let Some(wished) = wished else {
            // Everybody may write to it, and nobody else has it.
            let (volume, directory) = (LOGS_VOLUME.to_owned(), LOGS_DIRECTORY.to_owned());
            return Ok(Self { volume, directory, shared: false, run_as: own, added: true });
        };
        let volume = items(spec, "volumes").find(|volume| text(volume, "name") == Some(wished));
        let volume = volume.ok_or_else(|| {
            let names: Vec<_> =
                items(spec, "volumes").filter_map(|volume| text(volume, "name")).collect();
            format!("the pod has no volume `{wished}`; its volumes are {}", names.join(", "))
        })?;
        check_writable(volume, wished)?;
        let mount_in = |container| {
            list(Value::get(container, "volumeMounts"))
                .find(|mount| text(mount, "name") == Some(wished))
        };
        let mount = containers(spec).find_map(mount_in);
        let lasting: Vec<_> =
            lasting(spec).map(|container| (container, mount_in(container).is_some())).collect();
        if mount.is_some_and(|mount| {
            mount.get("subPath").is_some() || mount.get("subPathExpr").is_some()
        }) {
            return Err(format!("the volume `{wished}` is mounted by a part of it (subPath)"));
        }
        let directory = mount.and_then(|mount| text(mount, "mountPath")).unwrap_or(LOGS_DIRECTORY);
        check_directory(wished, directory)?;
        Ok(Self {
            volume: wished.to_owned(),
            directory: directory.trim_end_matches('/').to_owned(),
            shared: is_shared(volume, wished, pod),
            run_as: run_as::run_as(spec, &lasting, own),
            added: false,
        })
    }
}

/// Kinds of volume that nobody ever writes to.
const NEVER_WRITABLE: [&str; 5] = ["configMap", "downwardAPI", "image", "projected", "secret"];

/// Whether anybody can write to a volume.
fn check_writable(volume: &Value, name: &str) -> Result<(), String> {
    let mut kinds = volume.as_object().into_iter().flatten();
    let why = kinds.find_map(|(kind, source)| {
        if NEVER_WRITABLE.contains(&kind.as_str()) {
            return Some(format!("is of the kind {kind}, which nobody can write to"));
        }
        let is_read_only = source.get("readOnly") == Some(&Value::Bool(true));
        is_read_only.then(|| format!("is read-only ({kind}.readOnly)"))
    });
    why.map_or(Ok(()), |why| Err(format!("the volume `{name}` {why}; choose another")))
}

/// Whether the generator can have the volume where the pod has it.
fn check_directory(volume: &str, directory: &str) -> Result<(), String> {
    let path = Path::new(directory);
    let names: Vec<_> = path.components().collect();
    let is_plain =
        names.iter().all(|name| matches!(name, Component::RootDir | Component::Normal(_)));
    let taken = TAKEN_DIRECTORIES.iter().find(|taken| path.starts_with(taken));
    let why = if names.len() < 2 || !path.is_absolute() || !is_plain {
        "where nothing but a whole file system can be".to_owned()
    } else if let Some(taken) = taken {
        format!("and the generator has something else at {taken}")
    } else if Path::new(DOCUMENT_DIRECTORY).starts_with(path) {
        format!("and the generator's document is below that, at {DOCUMENT_DIRECTORY}")
    } else {
        return Ok(());
    };
    Err(format!("the volume `{volume}` is mounted at {directory}, {why}; mount it elsewhere"))
}

/// Whether other pods may write to a volume. A claim that a `StatefulSet` made for this pod is its
/// own, and is called by both names.
fn is_shared(volume: &Value, name: &str, pod: Option<&str>) -> bool {
    let claim = volume.get("persistentVolumeClaim").and_then(|claim| text(claim, "claimName"));
    match claim {
        Some(claim) => pod.is_none_or(|pod| claim != format!("{name}-{pod}")),
        None => volume.get("emptyDir").is_none() && volume.get("ephemeral").is_none(),
    }
}

/// What is in the way.
fn check(spec: &Map<String, Value>) -> Result<(), String> {
    let system = spec.get("os").and_then(|system| text(system, "name"));
    if let Some(system) = system.filter(|system| *system != "linux") {
        return Err(format!("the generator runs on Linux, and the pod is for {system}"));
    }
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        return Err(format!(
            "the pod has the network of its node (hostNetwork), where one pod alone can have port \
             {METRICS_PORT}"
        ));
    }
    for container in containers(spec) {
        if text(container, "name") == Some(GENERATOR) {
            return Err(format!("the pod has a container `{GENERATOR}` already; rename it"));
        }
        let mut ports = list(container.get("ports"));
        if ports.any(|port| port.get("containerPort") == Some(&METRICS_PORT.into())) {
            let name = text(container, "name").unwrap_or_default();
            return Err(format!(
                "container `{name}` has port {METRICS_PORT}, where a generator serves its metrics"
            ));
        }
    }
    let taken = [DOCUMENT_VOLUME, LOGS_VOLUME];
    let mut names = items(spec, "volumes").filter_map(|volume| text(volume, "name"));
    match names.find(|name| taken.contains(name)) {
        Some(name) => Err(format!("the pod has a volume `{name}` already; rename it")),
        None => Ok(()),
    }
}

/// The containers that go on running.
fn lasting(spec: &Map<String, Value>) -> impl Iterator<Item = &Value> {
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
        // Missing, or null as some clients write it.
        *list = Value::Array(vec![item]);
    }
}

#[cfg(test)]
mod tests;
