//! The containers of a generator's pod: the generator itself, the one that prepares a directory of
//! a node for it, and what we add to the containers that a person puts beside it.

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

pub(crate) use visor_api::source::METRICS_PORT;

/// The generator's container.
pub(crate) const GENERATOR: &str = "visor";
/// The init container that makes a directory of the node ready.
pub(super) const PREPARE: &str = "prepare";
/// The volume of the document, and where it is mounted.
pub(crate) const DOCUMENT_VOLUME: &str = "document";
pub(crate) const DOCUMENT_DIRECTORY: &str = "/etc/visor";
/// The volume of the files, and where it is mounted.
pub(crate) const LOGS_VOLUME: &str = "logs";
pub(crate) const LOGS_DIRECTORY: &str = "/var/log/visor";
/// The name of the metrics port in the pod. In somebody else's there may be a `metrics` of theirs.
pub(super) const METRICS_PORT_NAME: &str = "visor-metrics";
/// The image's own user and group, as whom a generator runs where nobody says anything else.
const USER: i64 = 65532;

/// Where an API server mounts a pod's token in every container that has nothing else there.
pub(crate) const TOKEN_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const IDENTITY: &str = RESERVED_VARIABLE;

/// As whom a generator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunAs {
    /// `None` for whom the cluster or the image chooses.
    pub(crate) user: Option<i64>,
    /// `None` for the one that a node takes for such a user.
    pub(crate) group: Option<i64>,
}

impl RunAs {
    /// As the operator's settings have it.
    pub(crate) const fn own(settings: &Settings) -> Self {
        Self { user: settings.user, group: settings.user }
    }
}

/// What a generator finds in its pod.
pub(crate) struct Surroundings<'a> {
    /// The volume of the document.
    pub(crate) document_volume: &'a str,
    /// The volume of the files, and where it is mounted.
    pub(crate) logs_volume: &'a str,
    pub(crate) logs_directory: &'a str,
    /// Whether other pods write to that volume. The files then lie in a directory of the pod's name.
    pub(crate) shared: bool,
    /// What the container asks for and may use.
    pub(crate) resources: Option<&'a ResourceRequirements>,
    pub(crate) run_as: RunAs,
    /// More environment variables.
    pub(crate) env: &'a [EnvVar],
    pub(crate) env_from: &'a [EnvFromSource],
    /// Whether containers of the pod get its token. The generator doesn't.
    pub(crate) has_token: bool,
    /// Whether the pod is somebody else's. Its generator then must not be in its way: it waits for a
    /// document rather than fail, and no probe of ours decides whether the pod is ready.
    pub(crate) guest: bool,
}

/// The generator, in a pod of ours or of somebody else's.
pub(crate) fn generator(settings: &Settings, surroundings: &Surroundings<'_>) -> Container {
    let Surroundings {
        document_volume,
        logs_volume,
        logs_directory,
        shared,
        resources,
        run_as,
        env,
        env_from,
        has_token,
        guest,
    } = *surroundings;
    let directory = output_directory(logs_directory, shared);
    let document = format!("{DOCUMENT_DIRECTORY}/{}", document::FILE);
    // At all addresses of the pod, of whatever family they are.
    let listen = format!(":{METRICS_PORT}");
    let mut arguments = vec!["run", "-f", &document, "--output-dir", &directory];
    arguments.extend(["--listen", &listen, "--diagnostics", "json"]);
    // Where a kubelet looks for a container's last word.
    arguments.extend(["--report", "/dev/termination-log"]);
    arguments.extend(guest.then_some("--wait"));
    let document_mount = read_only(document_volume, DOCUMENT_DIRECTORY);
    let mut mounts = vec![document_mount, mount(logs_volume, logs_directory)];
    mounts.extend(has_token.then(|| in_place_of_the_token(document_volume)));
    let mut variables = vec![identity(), warnings_only()];
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
        startup_probe: (!guest).then(startup_probe),
        liveness_probe: (!guest).then(|| probe("/livez", 10)),
        readiness_probe: (!guest).then(|| probe("/readyz", 5)),
        resources: Some(resources.cloned().unwrap_or_else(modest_resources)),
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

/// The one container that is root, and only with a directory of the node: a kubelet makes such a
/// directory as root, and no other setting gives it to the generator's user.
pub(super) fn prepare(settings: &Settings, run_as: RunAs, has_token: bool) -> Container {
    let (user, group) = (run_as.user.unwrap_or(USER), run_as.group.unwrap_or(USER));
    let mut mounts = vec![logs_mount()];
    mounts.extend(has_token.then(|| in_place_of_the_token(DOCUMENT_VOLUME)));
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
        resources: Some(modest_resources()),
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

/// A person's container: as it was written, with the volume of the files and the restricted Pod
/// Security Standard's settings where it says nothing about them.
///
/// Where several pods write to that volume, it sees the part of its own pod and no other: that part's
/// name is in its environment.
pub(super) fn beside(container: &Container, shared: bool) -> Container {
    let mut container = container.clone();
    let mounts = container.volume_mounts.get_or_insert_default();
    let taken =
        mounts.iter().any(|mount| mount.name == LOGS_VOLUME || mount.mount_path == LOGS_DIRECTORY);
    if !taken {
        mounts.push(logs_mount());
    }
    if shared {
        mounts.iter_mut().filter(|mount| mount.name == LOGS_VOLUME).for_each(keep_to_its_part);
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

/// Has a mount begin at the part of the volume that is the pod's own.
fn keep_to_its_part(mount: &mut VolumeMount) {
    let below = match (&mount.sub_path_expr, &mount.sub_path) {
        (Some(expression), _) => Some(expression.clone()),
        // What stands in it is no variable.
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
    // What a path says of variables is none of ours.
    let directory = logs_directory.replace('$', "$$");
    if shared { format!("{directory}/$({IDENTITY})") } else { directory }
}

/// The pod's name: it makes the lines of each replica its own.
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

/// What a container says on standard error is in its log, among the lines that it writes on standard
/// output. A collector should find nothing else there as long as all is well.
fn warnings_only() -> EnvVar {
    EnvVar { name: "VISOR_LOG".to_owned(), value: Some("warn".to_owned()), ..EnvVar::default() }
}

/// Something harmless where the API server would mount the pod's token: our containers ask it for
/// nothing.
fn in_place_of_the_token(document_volume: &str) -> VolumeMount {
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

/// Whether the generator has begun. Until then no other probe is asked, and a start that takes long is
/// no failure. The first one waits: a kubelet warns of each that comes too early.
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

/// Enough for a source of some thousand lines a second.
fn modest_resources() -> ResourceRequirements {
    let quantity = |text: &str| Quantity(text.to_owned());
    ResourceRequirements {
        requests: Some(
            [("cpu".to_owned(), quantity("10m")), ("memory".to_owned(), quantity("32Mi"))].into(),
        ),
        ..ResourceRequirements::default()
    }
}

/// What the restricted Pod Security Standard wants of every container; the pod says the rest.
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
