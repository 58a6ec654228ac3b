//! The pod template of a source: generator, volumes, and the user's containers. It complies with
//! the restricted Pod Security Standard unless there is a hostPath volume.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, Container, EmptyDirVolumeSource, HostPathVolumeSource,
        PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec,
        SeccompProfile, Volume,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use visor_api::source::{PodTemplate, PodVolume, Volume as LogVolume, Workload};

use super::{Settings, container};
use crate::{labels, source::ValidSource};

/// The time to write the remaining lines and exit. `visor run` needs one second.
const GRACE_SECONDS: i64 = 30;

pub(super) fn template(source: ValidSource<'_>, settings: &Settings) -> PodTemplateSpec {
    let nothing = PodTemplate::default();
    // Each field is named here, so that none is forgotten.
    let PodTemplate {
        // These are in `labels::for_pods`.
        labels: _,
        annotations,
        node_selector,
        tolerations,
        affinity,
        topology_spread_constraints,
        scheduler_name,
        runtime_class_name,
        service_account_name,
        automount_service_account_token,
        security_context: given_context,
        resources,
        termination_grace_period_seconds,
        env,
        env_from,
        host_aliases,
        dns_config,
        priority_class_name,
        init_containers: given_init_containers,
        containers: given_containers,
        volumes: given_volumes,
        image_pull_secrets,
    } = source.spec().pod_template.as_ref().unwrap_or(&nothing);
    let finite = source.workload() == Workload::Job;
    let shared = is_shared(source);
    let has_token = automount_service_account_token.unwrap_or(service_account_name.is_some());
    let security_context = security_context(settings, given_context.as_ref());
    let run_as = container::RunAs {
        user: security_context.run_as_user,
        group: security_context.run_as_group,
    };
    let prepare = is_host_path(source).then(|| container::prepare(settings, run_as, has_token));
    let generator_spec = container::GeneratorSpec {
        document_volume: container::DOCUMENT_VOLUME,
        logs_volume: container::LOGS_VOLUME,
        logs_directory: container::LOGS_DIRECTORY,
        shared,
        resources: resources.as_ref(),
        run_as,
        env,
        env_from,
        has_token,
        sidecar: false,
    };
    let generator = container::generator(settings, &generator_spec);
    let user_container = given_containers.iter().map(|one| container::user_container(one, shared));

    // A Job completes when its containers have terminated, and a collector never does. The kubelet
    // terminates a native sidecar after the generator.
    let mut containers = vec![generator];
    let before = given_init_containers.iter().map(|one| container::user_container(one, shared));
    let mut init_containers: Vec<Container> = prepare.into_iter().chain(before).collect();
    if finite && settings.native_sidecars {
        init_containers.extend(
            user_container.map(|container| Container {
                restart_policy: Some("Always".to_owned()),
                ..container
            }),
        );
    } else {
        containers.extend(user_container);
    }

    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::for_pods(source)),
            annotations: some_unless_empty(pod_annotations(source, annotations)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(has_token),
            service_account_name: service_account_name.clone(),
            enable_service_links: Some(false),
            containers,
            init_containers: some_unless_empty(init_containers),
            node_selector: some_unless_empty(node_selector.clone()),
            tolerations: some_unless_empty(tolerations.clone()),
            affinity: affinity.clone(),
            topology_spread_constraints: some_unless_empty(topology_spread_constraints.clone()),
            scheduler_name: scheduler_name.clone(),
            runtime_class_name: runtime_class_name.clone(),
            host_aliases: some_unless_empty(host_aliases.clone()),
            dns_config: dns_config.clone(),
            image_pull_secrets: some_unless_empty(image_pull_secrets.clone()),
            priority_class_name: priority_class_name.clone(),
            restart_policy: Some(if finite { "Never" } else { "Always" }.to_owned()),
            security_context: Some(security_context),
            termination_grace_period_seconds: Some(
                termination_grace_period_seconds.unwrap_or(GRACE_SECONDS),
            ),
            volumes: Some(volumes(source, given_volumes)),
            ..PodSpec::default()
        }),
    }
}

/// The security context of the pod template, completed by the restricted Pod Security Standard.
fn security_context(settings: &Settings, given: Option<&PodSecurityContext>) -> PodSecurityContext {
    let given = given.cloned().unwrap_or_default();
    PodSecurityContext {
        run_as_non_root: given.run_as_non_root.or(Some(given.run_as_user != Some(0))),
        run_as_user: given.run_as_user.or(settings.user),
        run_as_group: given.run_as_group.or(settings.user),
        fs_group: given.fs_group.or(settings.user),
        fs_group_change_policy: given
            .fs_group_change_policy
            .or_else(|| Some("OnRootMismatch".to_owned())),
        seccomp_profile: given.seccomp_profile.or_else(|| {
            Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() })
        }),
        ..given
    }
}

/// The annotations of the pod template. If the log volume is an emptyDir, it must not prevent the
/// cluster autoscaler from removing the node.
fn pod_annotations(
    source: ValidSource<'_>,
    given: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut annotations = given.clone();
    if matches!(source.spec().volume, None | Some(LogVolume::EmptyDir(_))) {
        labels::mark_safe_to_evict(&mut annotations, container::LOGS_VOLUME);
    }
    annotations
}

/// Whether several pods may write to the same volume. Each then has a directory of its own.
fn is_shared(source: ValidSource<'_>) -> bool {
    match &source.spec().volume {
        None | Some(LogVolume::EmptyDir(_)) => false,
        Some(LogVolume::PersistentVolumeClaim(_)) => !has_own_claims(source),
        Some(LogVolume::HostPath(_)) => true,
    }
}

fn is_host_path(source: ValidSource<'_>) -> bool {
    matches!(source.spec().volume, Some(LogVolume::HostPath(_)))
}

/// Whether each pod has its own claim, which its `StatefulSet` creates and mounts.
fn has_own_claims(source: ValidSource<'_>) -> bool {
    source.workload() == Workload::StatefulSet && super::claim_to_create(source).is_some()
}

fn volumes(source: ValidSource<'_>, given: &[PodVolume]) -> Vec<Volume> {
    let mut volumes = vec![Volume {
        name: container::DOCUMENT_VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: source.name().to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }];
    if !has_own_claims(source) {
        volumes.push(logs(source));
    }
    volumes.extend(given.iter().map(|PodVolume { name, config_map, secret, empty_dir }| Volume {
        name: name.clone(),
        config_map: config_map.clone(),
        secret: secret.clone(),
        empty_dir: empty_dir.clone(),
        ..Volume::default()
    }));
    volumes
}

fn logs(source: ValidSource<'_>) -> Volume {
    let empty = Volume { name: container::LOGS_VOLUME.to_owned(), ..Volume::default() };
    match &source.spec().volume {
        None => Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..empty },
        Some(LogVolume::EmptyDir(given)) => Volume {
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: given.size_limit.clone(),
                ..EmptyDirVolumeSource::default()
            }),
            ..empty
        },
        Some(LogVolume::PersistentVolumeClaim(given)) => Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: given.claim_name.clone().unwrap_or_else(|| source.name().to_owned()),
                ..PersistentVolumeClaimVolumeSource::default()
            }),
            ..empty
        },
        Some(LogVolume::HostPath(given)) => Volume {
            host_path: Some(HostPathVolumeSource {
                path: given.path.clone(),
                type_: Some("DirectoryOrCreate".to_owned()),
            }),
            ..empty
        },
    }
}

fn some_unless_empty<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}
