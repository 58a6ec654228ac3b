//! Rules for pods: the name of a source, which the names of its pods contain, and a template that
//! doesn't set what the operator sets.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Container;

use crate::{
    messages,
    problem::{Path, Problem},
    source::{
        FakeLogSourceSpec, METRICS_PORT, PodTemplate, PodVolume, RESERVED_CONTAINERS,
        RESERVED_VARIABLE, RESERVED_VOLUMES,
    },
};

/// The maximum length of a source's name, in characters. Its workload has the same name, and a
/// `StatefulSet` gives its pods a label with that and eleven more characters; a label has at most
/// 63.
const MAX_NAME_CHARACTERS: usize = 52;
/// The labels that the operator sets.
const RESERVED_LABELS: [&str; 6] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
];
/// The prefix of all other labels and annotations of the operator.
const RESERVED_PREFIX: &str = "visor.dev/";

/// The name of a source. A Service has the same name, so it is a DNS label that starts with a
/// letter (RFC 1035).
pub(crate) fn name(name: &str, problems: &mut Vec<Problem>) {
    let mut add = |message| {
        problems.push(Problem::new(Path::root().field("metadata").field("name"), message));
    };
    if name.chars().count() > MAX_NAME_CHARACTERS {
        add(messages::NAME_TOO_LONG);
    }
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || name.ends_with('-') || !name.chars().all(known) {
        add(messages::NAME_INVALID);
    }
}

/// A source without pods of its own: fields about them have no effect.
pub(super) fn sidecar(path: &Path, spec: &FakeLogSourceSpec, problems: &mut Vec<Problem>) {
    if spec.volume.is_some() {
        let message = "an injected generator writes into a volume of its pod, which the pod names by the annotation \
                       `visor.dev/volume`; remove this, or choose another workload";
        problems.push(Problem::new(path.field("volume"), message));
    }
    let Some(template) = &spec.pod_template else { return };
    let resources_only =
        PodTemplate { resources: template.resources.clone(), ..PodTemplate::default() };
    if *template != resources_only {
        let message = "a source of `workload: Sidecar` has no pods of its own, so only `resources` \
                       can be set here; remove the rest, or choose another workload";
        problems.push(Problem::new(path.field("podTemplate"), message));
    }
}

/// The containers of a template, with their paths.
fn containers<'a>(
    path: &Path,
    template: &'a PodTemplate,
) -> impl Iterator<Item = (Path, &'a Container)> {
    let of = |field: &str, list: &'a [Container]| {
        let path = path.field(field);
        list.iter().enumerate().map(move |(index, container)| (path.index(index), container))
    };
    of("initContainers", &template.init_containers).chain(of("containers", &template.containers))
}

/// The pod template.
pub(super) fn template(path: &Path, template: &PodTemplate, problems: &mut Vec<Problem>) {
    let mut add = |path: Path, message: &str| problems.push(Problem::new(path, message));
    for key in template.labels.keys() {
        if RESERVED_LABELS.contains(&key.as_str()) || key.starts_with(RESERVED_PREFIX) {
            let path = path.field("labels").field(key);
            add(path, "is a label of the operator; remove it");
        }
    }
    for key in template.annotations.keys().filter(|key| key.starts_with(RESERVED_PREFIX)) {
        let path = path.field("annotations").field(key);
        add(path, "is an annotation of the operator; remove it");
    }
    for (index, variable) in template.env.iter().enumerate() {
        if variable.name == RESERVED_VARIABLE {
            let path = path.field("env").index(index).field("name");
            add(path, "is an environment variable of the operator; remove it");
        }
    }
    for (path, container) in containers(path, template) {
        if RESERVED_CONTAINERS.contains(&container.name.as_str()) {
            add(path.field("name"), messages::CONTAINER_RESERVED);
        }
        for (index, port) in container.ports.iter().flatten().enumerate() {
            if port.container_port == METRICS_PORT {
                let path = path.field("ports").index(index).field("containerPort");
                add(path, "is the port on which the generator serves its metrics; choose another");
            }
        }
    }
    let before: HashSet<_> = template.init_containers.iter().map(|one| &one.name).collect();
    for (index, container) in template.containers.iter().enumerate() {
        if before.contains(&container.name) {
            let path = path.field("containers").index(index).field("name");
            add(path, "is already the name of a container in `initContainers`; choose another");
        }
    }
    for (index, volume) in template.volumes.iter().enumerate() {
        let PodVolume { name: _, config_map, secret, empty_dir } = volume;
        let set = [config_map.is_some(), secret.is_some(), empty_dir.is_some()];
        if set.into_iter().filter(|is_set| *is_set).count() != 1 {
            let path = path.field("volumes").index(index);
            add(path, &messages::exactly_one(&["configMap", "secret", "emptyDir"]));
        }
        if RESERVED_VOLUMES.contains(&volume.name.as_str()) {
            let path = path.field("volumes").index(index).field("name");
            add(path, messages::VOLUME_RESERVED);
        }
    }
}
