//! The containers of a pod: the generator, the init container that prepares a hostPath directory
//! for it, and the user's containers from the pod template.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EnvFromSource, EnvVar, EnvVarSource, HTTPGetAction,
        ObjectFieldSelector, Probe, ResourceRequirements, SeccompProfile, SecurityContext,
        VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};

use visor_api::source::RESERVED_VARIABLE;

use super::{Settings, document};
use crate::labels::{GENERATOR, METRICS_PORT};

/// The init container that prepares the directory of the node.
pub(super) const PREPARE: &str = "prepare";
/// The volume of the document, and where it is mounted.
pub(crate) const DOCUMENT_VOLUME: &str = "document";
pub(crate) const DOCUMENT_DIRECTORY: &str = "/etc/visor";
/// The volume of the files, and where it is mounted.
pub(crate) const LOGS_VOLUME: &str = "logs";
pub(crate) const LOGS_DIRECTORY: &str = "/var/log/visor";
/// The name of the metrics port. Pods of other workloads may have a port `metrics` already.
pub(super) const METRICS_PORT_NAME: &str = "visor-metrics";
/// The user and group of the image, which the generator runs as by default.
const USER: i64 = 65532;

/// Where the API server mounts the token of the service account, unless something else is mounted
/// there.
pub(crate) const TOKEN_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const IDENTITY: &str = RESERVED_VARIABLE;

/// The user and group of the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunAs {
    /// `None`: the cluster's or the image's default.
    pub(crate) user: Option<i64>,
    /// `None`: the default group of that user.
    pub(crate) group: Option<i64>,
}

impl RunAs {
    /// The operator's settings.
    pub(crate) const fn own(settings: &Settings) -> Self {
        Self { user: settings.user, group: settings.user }
    }
}

/// What the generator's container depends on in its pod.
pub(crate) struct GeneratorSpec<'a> {
    /// The volume of the document.
    pub(crate) document_volume: &'a str,
    /// The volume of the files, and where it is mounted.
    pub(crate) logs_volume: &'a str,
    pub(crate) logs_directory: &'a str,
    /// Whether other pods write to that volume. The files are then in a directory named after the
    /// pod.
    pub(crate) shared: bool,
    /// The container's resource requests and limits.
    pub(crate) resources: Option<&'a ResourceRequirements>,
    pub(crate) run_as: RunAs,
    /// More environment variables.
    pub(crate) env: &'a [EnvVar],
    pub(crate) env_from: &'a [EnvFromSource],
    /// Whether containers of the pod get the service account's token. The generator doesn't.
    pub(crate) has_token: bool,
    /// Whether the container is injected into a pod of another workload. It must not disturb that
    /// pod: it waits for its document instead of failing, and has no probes.
    pub(crate) sidecar: bool,
}

/// The generator, in a pod of the source or injected.
pub(crate) fn generator(settings: &Settings, generator_spec: &GeneratorSpec<'_>) -> Container {
    let GeneratorSpec {
        document_volume,
        logs_volume,
        logs_directory,
        shared,
        resources,
        run_as,
        env,
        env_from,
        has_token,
        sidecar,
    } = *generator_spec;
    let directory = output_directory(logs_directory, shared);
    let document = format!("{DOCUMENT_DIRECTORY}/{}", document::FILE);
    // All addresses of the pod, IPv4 and IPv6.
    let listen = format!(":{METRICS_PORT}");
    let mut arguments = vec!["run", "-f", &document, "--output-dir", &directory];
    arguments.extend(["--listen", &listen, "--logging-format", "json"]);
    // The kubelet copies this file into the container's termination message.
    arguments.extend(["--report", "/dev/termination-log"]);
    arguments.extend(sidecar.then_some("--wait"));
    let document_mount = read_only(document_volume, DOCUMENT_DIRECTORY);
    let mut mounts = vec![document_mount, mount(logs_volume, logs_directory)];
    mounts.extend(has_token.then(|| hide_token(document_volume)));
    let mut variables = vec![identity(), log_level()];
    variables.retain(|own| env.iter().all(|variable| variable.name != own.name));
    variables.extend_from_slice(env);
    Container {
        name: GENERATOR.to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        args: Some(arguments.into_iter().map(str::to_owned).collect()),
        env: Some(variables),
        env_from: (!env_from.is_empty()).then(|| env_from.to_vec()),
        ports: Some(vec![ContainerPort {
            name: Some(METRICS_PORT_NAME.to_owned()),
            container_port: METRICS_PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        startup_probe: (!sidecar).then(startup_probe),
        liveness_probe: (!sidecar).then(|| probe("/livez", 10)),
        readiness_probe: (!sidecar).then(|| probe("/readyz", 5)),
        resources: Some(resources.cloned().unwrap_or_else(default_resources)),
        security_context: Some(SecurityContext {
            run_as_user: run_as.user,
            run_as_group: run_as.group,
            run_as_non_root: Some(run_as.user != Some(0)),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            read_only_root_filesystem: Some(true),
            ..restricted()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// The only container that runs as root, and only with a hostPath volume: the kubelet creates such
/// a directory as root, and only root can give it to the generator's user.
pub(super) fn prepare(settings: &Settings, run_as: RunAs, has_token: bool) -> Container {
    let (user, group) = (run_as.user.unwrap_or(USER), run_as.group.unwrap_or(USER));
    let mut mounts = vec![logs_mount()];
    mounts.extend(has_token.then(|| hide_token(DOCUMENT_VOLUME)));
    let arguments = [
        "prepare-directory",
        "--owner",
        &format!("{user}:{group}"),
        &output_directory(LOGS_DIRECTORY, true),
    ];
    Container {
        name: PREPARE.to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        args: Some(arguments.map(str::to_owned).to_vec()),
        env: Some(vec![identity()]),
        resources: Some(default_resources()),
        security_context: Some(SecurityContext {
            run_as_user: Some(0),
            run_as_group: Some(0),
            run_as_non_root: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                add: Some(vec!["CHOWN".to_owned()]),
                drop: Some(vec!["ALL".to_owned()]),
            }),
            ..restricted()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// A container of the pod template: as it was written, with the log volume, and with the settings
/// of the restricted Pod Security Standard where it doesn't set them itself.
///
/// If several pods write to that volume, the container sees only its own pod's directory; the name
/// of that directory is in its environment.
pub(super) fn user_container(container: &Container, shared: bool) -> Container {
    let mut container = container.clone();
    let mounts = container.volume_mounts.get_or_insert_default();
    let claimed =
        mounts.iter().any(|mount| mount.name == LOGS_VOLUME || mount.mount_path == LOGS_DIRECTORY);
    if !claimed {
        mounts.push(logs_mount());
    }
    if shared {
        mounts
            .iter_mut()
            .filter(|mount| mount.name == LOGS_VOLUME)
            .for_each(restrict_to_own_directory);
        let env = container.env.get_or_insert_default();
        env.retain(|variable| variable.name != IDENTITY);
        env.insert(0, identity());
    }
    let context = container.security_context.get_or_insert_default();
    if context.privileged != Some(true) {
        let safe = restricted();
        context.allow_privilege_escalation =
            context.allow_privilege_escalation.or(safe.allow_privilege_escalation);
        let capabilities = context.capabilities.get_or_insert_default();
        if capabilities.drop.is_none() {
            capabilities.drop = safe.capabilities.and_then(|capabilities| capabilities.drop);
        }
    }
    container
}

/// Restricts a mount to the pod's own directory in the volume.
fn restrict_to_own_directory(mount: &mut VolumeMount) {
    let below = match (&mount.sub_path_expr, &mount.sub_path) {
        (Some(expression), _) => Some(expression.clone()),
        // A plain path has no variables to expand.
        (None, Some(path)) => Some(path.replace('$', "$$")),
        (None, None) => None,
    };
    let part = format!("$({IDENTITY})");
    mount.sub_path_expr = Some(match below.filter(|below| !below.is_empty()) {
        Some(below) => format!("{part}/{below}"),
        None => part,
    });
    mount.sub_path = None;
}

fn output_directory(logs_directory: &str, shared: bool) -> String {
    // A `$` in the path must not be expanded.
    let directory = logs_directory.replace('$', "$$");
    if shared { format!("{directory}/$({IDENTITY})") } else { directory }
}

/// The pod's name: it makes the lines of each replica different.
fn identity() -> EnvVar {
    EnvVar {
        name: IDENTITY.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "metadata.name".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// The diagnostics of a container are in its log, among the lines that it writes to standard
/// output. A collector should find only lines there as long as there are no problems.
fn log_level() -> EnvVar {
    EnvVar { name: "VISOR_LOG".to_owned(), value: Some("warn".to_owned()), ..EnvVar::default() }
}

/// A harmless mount where the API server would mount the service account's token: our containers
/// don't use the API.
fn hide_token(document_volume: &str) -> VolumeMount {
    read_only(document_volume, TOKEN_DIRECTORY)
}

fn read_only(volume: &str, directory: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(volume, directory) }
}

fn logs_mount() -> VolumeMount {
    mount(LOGS_VOLUME, LOGS_DIRECTORY)
}

fn mount(volume: &str, directory: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: directory.to_owned(),
        ..VolumeMount::default()
    }
}

/// Until the generator has started, the kubelet doesn't run the other probes, and a slow start is
/// no failure. The initial delay avoids a Warning event for a probe that comes too early.
fn startup_probe() -> Probe {
    Probe { initial_delay_seconds: Some(1), failure_threshold: Some(60), ..probe("/livez", 1) }
}

fn probe(path: &str, period_seconds: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(METRICS_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

/// Enough for some thousand lines per second.
fn default_resources() -> ResourceRequirements {
    let quantity = |text: &str| Quantity(text.to_owned());
    ResourceRequirements {
        requests: Some(
            [("cpu".to_owned(), quantity("10m")), ("memory".to_owned(), quantity("32Mi"))].into(),
        ),
        ..ResourceRequirements::default()
    }
}

/// The container part of the restricted Pod Security Standard; the pod's security context has the
/// rest.
fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}
