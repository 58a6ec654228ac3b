//! Containers: those of the template, and the variables of the generator's own.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::{
    api::core::v1::{
        Container, EnvFromSource, EnvVar, ResourceRequirements, SecurityContext, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{Check, names, pod, probe};
use crate::{message::shown, problem::Path, source::PodTemplate};

/// The containers of a template.
pub(super) fn template(path: &Path, template: &PodTemplate, check: &mut Check<'_>) {
    variables(&path.field("env"), &template.env, check);
    variable_sources(&path.field("envFrom"), &template.env_from, check);
    if let Some(own) = &template.resources {
        resources(&path.field("resources"), own, check);
    }
    for (index, container) in template.init_containers.iter().enumerate() {
        let path = path.field("initContainers").index(index);
        self::container(&path, container, check);
        init_container(&path, container, check);
    }
    for (index, container) in template.containers.iter().enumerate() {
        let path = path.field("containers").index(index);
        self::container(&path, container, check);
    }
}

/// What only native sidecars have.
fn init_container(path: &Path, container: &Container, check: &mut Check<'_>) {
    if container.restart_policy.as_deref() == Some("Always") {
        return;
    }
    for (field, is_set) in [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ] {
        if is_set {
            let message = "an init container has none without `restartPolicy: Always`; remove it";
            check.add(path.field(field), message);
        }
    }
}

fn container(path: &Path, container: &Container, check: &mut Check<'_>) {
    check.text(path.field("name"), &container.name, names::dns_label);
    if container.image.as_deref().unwrap_or_default().trim().is_empty() {
        check.add(path.field("image"), "is required; set it");
    }
    ports(&path.field("ports"), container, check);
    variables(&path.field("env"), container.env.as_deref().unwrap_or_default(), check);
    let sources = container.env_from.as_deref().unwrap_or_default();
    variable_sources(&path.field("envFrom"), sources, check);
    let privileged = container.security_context.as_ref().and_then(|context| context.privileged);
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = path.field("volumeMounts").index(index);
        volume_mount(&path, mount, privileged == Some(true), check);
    }
    if let Some(own) = &container.resources {
        resources(&path.field("resources"), own, check);
    }
    if let Some(context) = &container.security_context {
        security_context(&path.field("securityContext"), context, check);
    }
    probe::container(path, container, check);
}

fn ports(path: &Path, container: &Container, check: &mut Check<'_>) {
    let mut known = HashSet::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let path = path.index(index);
        if let Some(name) = &port.name {
            check.text(path.field("name"), name, names::port_name);
            if !known.insert(name) {
                check.add(path.field("name"), "is already the name of a port; choose another");
            }
        }
    }
}

fn variables(path: &Path, variables: &[EnvVar], check: &mut Check<'_>) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        check.text(path.field("name"), &variable.name, names::variable);
        let Some(from) = &variable.value_from else { continue };
        let path = path.field("valueFrom");
        check.one_field(
            &path,
            &[
                ("fieldRef", from.field_ref.is_some()),
                ("resourceFieldRef", from.resource_field_ref.is_some()),
                ("configMapKeyRef", from.config_map_key_ref.is_some()),
                ("secretKeyRef", from.secret_key_ref.is_some()),
            ],
        );
        if variable.value.as_deref().is_some_and(|value| !value.is_empty()) {
            check.add(path.clone(), "can't be set together with `value`; remove one");
        }
        if let Some(field) = &from.field_ref {
            field_path(path.field("fieldRef").field("fieldPath"), &field.field_path, check);
        }
        if let Some(reference) = &from.config_map_key_ref {
            let path = path.field("configMapKeyRef");
            check.text(path.field("name"), &reference.name, names::dns_subdomain);
            check.text(path.field("key"), &reference.key, names::data_key);
        }
        if let Some(reference) = &from.secret_key_ref {
            let path = path.field("secretKeyRef");
            check.text(path.field("name"), &reference.name, names::dns_subdomain);
            check.text(path.field("key"), &reference.key, names::data_key);
        }
        if let Some(reference) = &from.resource_field_ref {
            let known = ["cpu", "memory", "ephemeral-storage"];
            let part = reference.resource.split_once('.');
            let is_known = part.is_some_and(|(list, name)| {
                ["limits", "requests"].contains(&list)
                    && (known.contains(&name) || name.starts_with("hugepages-"))
            });
            if !is_known {
                let message = "must be such as limits.memory or requests.cpu";
                check.add(path.field("resourceFieldRef").field("resource"), message);
            }
        }
    }
}

/// A field of a pod that a variable can have.
fn field_path(path: Path, text: &str, check: &mut Check<'_>) {
    const FIELDS: [&str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let is_member = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .filter_map(|begin| text.strip_prefix(begin)?.strip_suffix("']"))
        .any(|key| names::qualified_name(&key.to_lowercase()).is_none());
    if !is_member && !FIELDS.contains(&text) {
        let message = format!(
            "must be one of {}, metadata.labels['KEY'], metadata.annotations['KEY']; found `{}`",
            FIELDS.join(", "),
            shown(text)
        );
        check.add(path, message);
    }
}

fn variable_sources(path: &Path, sources: &[EnvFromSource], check: &mut Check<'_>) {
    for (index, from) in sources.iter().enumerate() {
        let path = path.index(index);
        check.one_field(
            &path,
            &[
                ("configMapRef", from.config_map_ref.is_some()),
                ("secretRef", from.secret_ref.is_some()),
            ],
        );
        if let Some(prefix) = from.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            check.text(path.field("prefix"), prefix, names::variable);
        }
        if let Some(reference) = &from.config_map_ref {
            let path = path.field("configMapRef").field("name");
            check.text(path, &reference.name, names::dns_subdomain);
        }
        if let Some(reference) = &from.secret_ref {
            let path = path.field("secretRef").field("name");
            check.text(path, &reference.name, names::dns_subdomain);
        }
    }
}

fn volume_mount(path: &Path, mount: &VolumeMount, privileged: bool, check: &mut Check<'_>) {
    for (field, sub_path) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
        if let Some(text) = sub_path.as_deref().filter(|text| !text.is_empty()) {
            check.text(path.field(field), text, names::relative_path);
        }
    }
    let is_set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if is_set(&mount.sub_path) && is_set(&mount.sub_path_expr) {
        check.add(path.field("subPathExpr"), "can't be set together with `subPath`; remove one");
    }
    if mount.mount_propagation.as_deref() == Some("Bidirectional") && !privileged {
        let message = "Bidirectional is for privileged containers only; use HostToContainer";
        check.add(path.field("mountPropagation"), message);
    }
    let recursive = mount.recursive_read_only.as_deref();
    if recursive.is_some_and(|mode| mode != "Disabled") && mount.read_only != Some(true) {
        let message = "needs `readOnly: true`; set it, or remove this";
        check.add(path.field("recursiveReadOnly"), message);
    }
}

/// The names of resources. A name without a domain is one of Kubernetes' own.
fn resources(path: &Path, resources: &ResourceRequirements, check: &mut Check<'_>) {
    const OWN: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
    let of = |list: &Option<BTreeMap<String, Quantity>>| list.clone().unwrap_or_default();
    let (requests, limits) = (of(&resources.requests), of(&resources.limits));
    for (field, list) in [("requests", &requests), ("limits", &limits)] {
        let path = path.field(field);
        for name in list.keys() {
            let is_own = OWN.contains(&name.as_str())
                || name.strip_prefix("hugepages-").is_some_and(|size| !size.is_empty());
            if !name.contains('/') && !is_own {
                let message = "is not a resource; use cpu, memory, ephemeral-storage, \
                               hugepages-SIZE or a name with a domain, such as example.com/gpu";
                check.add(path.field(name), message);
            } else {
                check.text(path.field(name), name, names::qualified_name);
            }
        }
    }
    // Devices are whole, and a container has as many as it requests.
    for name in requests.keys().filter(|name| name.contains('/')) {
        if requests.get(name) != limits.get(name) {
            let message = "must be the same in `limits`; set it there";
            check.add(path.field("requests").field(name), message);
        }
    }
}

fn security_context(path: &Path, context: &SecurityContext, check: &mut Check<'_>) {
    pod::seccomp(&path.field("seccompProfile"), context.seccomp_profile.as_ref(), check);
    let added = context.capabilities.as_ref().and_then(|capabilities| capabilities.add.as_ref());
    let is_admin = added.into_iter().flatten().any(|name| name == "CAP_SYS_ADMIN");
    if context.allow_privilege_escalation == Some(false)
        && (context.privileged == Some(true) || is_admin)
    {
        let message = "can't be false for a privileged container; remove it, or `privileged` and \
                       CAP_SYS_ADMIN";
        check.add(path.field("allowPrivilegeEscalation"), message);
    }
    if context.run_as_non_root == Some(true) && context.run_as_user == Some(0) {
        let message = "is root, but `runAsNonRoot` is true; use another user";
        check.add(path.field("runAsUser"), message);
    }
}
