//! A pod: labels, names of other objects, host aliases, DNS, and the security context.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::{PodDNSConfig, PodSecurityContext, SeccompProfile};

use super::{Check, names};
use crate::{problem::Path, source::PodTemplate};

/// The maximum size of all annotations of an object, keys and values: 256 KiB.
const MAX_ANNOTATION_BYTES: usize = 256 << 10;
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;

pub(super) fn labels(
    path: &Path,
    labels: Option<&BTreeMap<String, String>>,
    check: &mut Check<'_>,
) {
    for (key, value) in labels.into_iter().flatten() {
        check.text(path.field(key), key, names::qualified_name);
        if !value.is_empty() {
            check.text(path.field(key), value, names::label_value);
        }
    }
}

pub(super) fn annotations(
    path: &Path,
    annotations: Option<&BTreeMap<String, String>>,
    check: &mut Check<'_>,
) {
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        check.text(path.field(key), key, |key| names::qualified_name(&key.to_lowercase()));
        bytes += key.len() + value.len();
    }
    if bytes > MAX_ANNOTATION_BYTES {
        let message =
            format!("must have at most {MAX_ANNOTATION_BYTES} bytes in total; they have {bytes}");
        check.add(path.clone(), message);
    }
}

pub(super) fn template(path: &Path, template: &PodTemplate, check: &mut Check<'_>) {
    labels(&path.field("labels"), Some(&template.labels), check);
    annotations(&path.field("annotations"), Some(&template.annotations), check);
    labels(&path.field("nodeSelector"), Some(&template.node_selector), check);
    for (field, name) in [
        ("priorityClassName", &template.priority_class_name),
        ("runtimeClassName", &template.runtime_class_name),
        ("schedulerName", &template.scheduler_name),
        ("serviceAccountName", &template.service_account_name),
    ] {
        if let Some(name) = name {
            check.text(path.field(field), name, names::dns_subdomain);
        }
    }
    let secrets = path.field("imagePullSecrets");
    for (index, secret) in template.image_pull_secrets.iter().enumerate() {
        check.text(secrets.index(index).field("name"), &secret.name, names::dns_subdomain);
    }
    let aliases = path.field("hostAliases");
    for (index, alias) in template.host_aliases.iter().enumerate() {
        let path = aliases.index(index);
        check.text(path.field("ip"), &alias.ip, names::address);
        for (index, name) in alias.hostnames.iter().flatten().enumerate() {
            check.text(path.field("hostnames").index(index), name, names::dns_subdomain);
        }
    }
    if let Some(dns) = &template.dns_config {
        dns_config(&path.field("dnsConfig"), dns, check);
    }
    if let Some(context) = &template.security_context {
        security_context(&path.field("securityContext"), context, check);
    }
}

fn dns_config(path: &Path, dns: &PodDNSConfig, check: &mut Check<'_>) {
    let servers = dns.nameservers.as_deref().unwrap_or_default();
    if servers.len() > MAX_NAMESERVERS {
        let message =
            format!("must have at most {MAX_NAMESERVERS} items; it has {}", servers.len());
        check.add(path.field("nameservers"), message);
    }
    for (index, server) in servers.iter().enumerate() {
        check.text(path.field("nameservers").index(index), server, names::address);
    }
    let searches = dns.searches.as_deref().unwrap_or_default();
    if searches.len() > MAX_SEARCHES {
        let message = format!("must have at most {MAX_SEARCHES} items; it has {}", searches.len());
        check.add(path.field("searches"), message);
    }
    for (index, option) in dns.options.iter().flatten().enumerate() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            let message = "is required; set it, for example to `ndots`";
            check.add(path.field("options").index(index).field("name"), message);
        }
    }
}

fn security_context(path: &Path, context: &PodSecurityContext, check: &mut Check<'_>) {
    let mut sysctls = HashSet::new();
    for (index, sysctl) in context.sysctls.iter().flatten().enumerate() {
        let path = path.field("sysctls").index(index).field("name");
        if sysctl.name.is_empty() {
            check.add(path, "must not be empty");
        } else if !sysctls.insert(&sysctl.name) {
            check.add(path, "is already set in this list; remove one");
        }
    }
    seccomp(&path.field("seccompProfile"), context.seccomp_profile.as_ref(), check);
}

pub(super) fn seccomp(path: &Path, profile: Option<&SeccompProfile>, check: &mut Check<'_>) {
    let Some(profile) = profile else { return };
    let file = path.field("localhostProfile");
    match (&profile.localhost_profile, profile.type_ == "Localhost") {
        (None, true) => check.add(file, "is required if `type` is Localhost; set it"),
        (Some(_), false) => check.add(file, "is for `type: Localhost` only; remove it"),
        (Some(name), true) => check.text(file, name, names::relative_path),
        (None, false) => {}
    }
}
