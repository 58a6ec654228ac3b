//! The pods of a source: generator, volumes, and what a person puts beside it. They meet the
//! restricted Pod Security Standard, but for a volume on the node (`hostPath`).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, Container, EmptyDirVolumeSource, HostPathVolumeSource,
        PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec,
        SeccompProfile, Volume,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use visor_api::source::{PodTemplate, Volume as Wish, Workload};

use super::{Settings, container, labels};
use crate::source::ValidSource;

/// The time to flush the last lines and to end. `visor run` needs a second.
const GRACE_SECONDS: i64 = 30;

pub(super) fn template(source: ValidSource<'_>, settings: &Settings) -> PodTemplateSpec {
    let nothing = PodTemplate::default();
    let wishes = source.spec().pod_template.as_ref().unwrap_or(&nothing);
    let finite = source.workload() == Workload::Job;
    let shared = is_shared(source);
    let has_token =
        wishes.automount_service_account_token.unwrap_or(wishes.service_account_name.is_some());
    let security_context = security_context(settings, wishes.security_context.as_ref());
    let run_as = container::RunAs {
        user: security_context.run_as_user,
        group: security_context.run_as_group,
    };
    let prepare = on_the_node(source).then(|| container::prepare(settings, run_as, has_token));
    let surroundings = container::Surroundings {
        document_volume: container::DOCUMENT_VOLUME,
        logs_volume: container::LOGS_VOLUME,
        logs_directory: container::LOGS_DIRECTORY,
        shared,
        resources: wishes.resources.as_ref(),
        run_as,
        env: &wishes.env,
        env_from: &wishes.env_from,
        has_token,
        guest: false,
    };
    let generator = container::generator(settings, &surroundings);
    let beside = wishes.containers.iter().map(|one| container::beside(one, shared));

    // A Job ends when its containers have ended, and a collector never does. One that is an init
    // container which goes on running is ended by the kubelet when the generator has ended.
    let mut containers = vec![generator];
    let before = wishes.init_containers.iter().map(|one| container::beside(one, shared));
    let mut init_containers: Vec<Container> = prepare.into_iter().chain(before).collect();
    if finite && settings.native_sidecars {
        init_containers.extend(
            beside.map(|container| Container {
                restart_policy: Some("Always".to_owned()),
                ..container
            }),
        );
    } else {
        containers.extend(beside);
    }

    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::of_pods(source)),
            annotations: some_unless_empty(annotations(source, wishes)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(has_token),
            service_account_name: wishes.service_account_name.clone(),
            enable_service_links: Some(false),
            containers,
            init_containers: some_unless_empty(init_containers),
            node_selector: some_unless_empty(wishes.node_selector.clone()),
            tolerations: some_unless_empty(wishes.tolerations.clone()),
            affinity: wishes.affinity.clone(),
            topology_spread_constraints: some_unless_empty(
                wishes.topology_spread_constraints.clone(),
            ),
            scheduler_name: wishes.scheduler_name.clone(),
            runtime_class_name: wishes.runtime_class_name.clone(),
            host_aliases: some_unless_empty(wishes.host_aliases.clone()),
            dns_config: wishes.dns_config.clone(),
            image_pull_secrets: some_unless_empty(wishes.image_pull_secrets.clone()),
            priority_class_name: wishes.priority_class_name.clone(),
            restart_policy: Some(if finite { "Never" } else { "Always" }.to_owned()),
            security_context: Some(security_context),
            termination_grace_period_seconds: Some(
                wishes.termination_grace_period_seconds.unwrap_or(GRACE_SECONDS),
            ),
            volumes: Some(volumes(source, wishes)),
            ..PodSpec::default()
        }),
    }
}

/// A person's security context, and the restricted Pod Security Standard's settings where it says nothing
/// about them.
fn security_context(settings: &Settings, wish: Option<&PodSecurityContext>) -> PodSecurityContext {
    let wish = wish.cloned().unwrap_or_default();
    PodSecurityContext {
        run_as_non_root: wish.run_as_non_root.or(Some(wish.run_as_user != Some(0))),
        run_as_user: wish.run_as_user.or(settings.user),
        run_as_group: wish.run_as_group.or(settings.user),
        fs_group: wish.fs_group.or(settings.user),
        fs_group_change_policy: wish
            .fs_group_change_policy
            .or_else(|| Some("OnRootMismatch".to_owned())),
        seccomp_profile: wish.seccomp_profile.or_else(|| {
            Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() })
        }),
        ..wish
    }
}

/// The annotations of the pods: the person's and, where their logs live no longer than they do, that these
/// keep no node.
fn annotations(source: ValidSource<'_>, wishes: &PodTemplate) -> BTreeMap<String, String> {
    let mut annotations = wishes.annotations.clone();
    if matches!(source.spec().volume, None | Some(Wish::EmptyDir(_))) {
        labels::may_be_lost(&mut annotations, container::LOGS_VOLUME);
    }
    annotations
}

/// Whether several pods may write to the same volume. Each then has a directory of its own.
fn is_shared(source: ValidSource<'_>) -> bool {
    match &source.spec().volume {
        None | Some(Wish::EmptyDir(_)) => false,
        Some(Wish::PersistentVolumeClaim(_)) => !has_claims_of_its_own(source),
        Some(Wish::HostPath(_)) => true,
    }
}

fn on_the_node(source: ValidSource<'_>) -> bool {
    matches!(source.spec().volume, Some(Wish::HostPath(_)))
}

/// Whether each pod has a claim of its own, which its `StatefulSet` makes and mounts.
fn has_claims_of_its_own(source: ValidSource<'_>) -> bool {
    source.workload() == Workload::StatefulSet && super::claim_to_make(source).is_some()
}

fn volumes(source: ValidSource<'_>, wishes: &PodTemplate) -> Vec<Volume> {
    let mut volumes = vec![Volume {
        name: container::DOCUMENT_VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: source.name().to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }];
    if !has_claims_of_its_own(source) {
        volumes.push(logs(source));
    }
    volumes.extend(wishes.volumes.iter().map(|volume| Volume {
        name: volume.name.clone(),
        config_map: volume.config_map.clone(),
        secret: volume.secret.clone(),
        empty_dir: volume.empty_dir.clone(),
        ..Volume::default()
    }));
    volumes
}

fn logs(source: ValidSource<'_>) -> Volume {
    let empty = Volume { name: container::LOGS_VOLUME.to_owned(), ..Volume::default() };
    match &source.spec().volume {
        None => Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..empty },
        Some(Wish::EmptyDir(wish)) => Volume {
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: wish.size_limit.clone(),
                ..EmptyDirVolumeSource::default()
            }),
            ..empty
        },
        Some(Wish::PersistentVolumeClaim(wish)) => Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: wish.claim_name.clone().unwrap_or_else(|| source.name().to_owned()),
                ..PersistentVolumeClaimVolumeSource::default()
            }),
            ..empty
        },
        Some(Wish::HostPath(wish)) => Volume {
            host_path: Some(HostPathVolumeSource {
                path: wish.path.clone(),
                type_: Some("DirectoryOrCreate".to_owned()),
            }),
            ..empty
        },
    }
}

fn some_unless_empty<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}
