//! The privileges that a source needs, field by field. Every struct is destructured completely:
//! a field that a new release adds must be considered here before it compiles.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvFromSource, EnvVar, HTTPGetAction, Lifecycle,
    LifecycleHandler, PodSecurityContext, Probe, SecurityContext, TCPSocketAction, VolumeMount,
};
use visor_api::source::{FakeLogSourceSpec, PodTemplate, PodVolume, Volume, Workload};

use super::Privilege;

/// The capabilities that the baseline Pod Security Standard allows containers to add.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// The sysctls that it allows.
const BASELINE_SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];
/// The SELinux types (`seLinuxOptions.type`) that it allows.
const BASELINE_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
/// Annotations by which older servers disable a container's confinement.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP: [&str; 2] =
    ["seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/"];

/// The privileges with their paths in the document.
pub(super) type RequestedPrivileges = Vec<(Privilege, String)>;

/// All privileges of a source.
pub(super) fn of(spec: &FakeLogSourceSpec) -> RequestedPrivileges {
    let FakeLogSourceSpec {
        pod_template,
        volume,
        // These need no privilege.
        replicas: _,
        workload: _,
        seed: _,
        time_zone: _,
        server: _,
        suspend: _,
        tokens: _,
        stop_after: _,
        generators: _,
    } = spec;
    let mut record_request = RequestedPrivileges::new();
    match volume {
        Some(Volume::HostPath(_)) => {
            record_request.push((Privilege::HostPath, "spec.volume.hostPath".to_owned()));
        }
        Some(Volume::PersistentVolumeClaim(_)) => {
            let path = "spec.volume.persistentVolumeClaim".to_owned();
            record_request.push((Privilege::PersistentVolumeClaims, path));
        }
        Some(Volume::EmptyDir(_)) | None => {}
    }
    if spec.resolved_workload() == Workload::DaemonSet {
        record_request.push((Privilege::NodePlacement, "spec.workload".to_owned()));
    }
    if let Some(template) = pod_template {
        of_template(template, "spec.podTemplate", &mut record_request);
    }
    record_request
}

fn of_template(template: &PodTemplate, path: &str, record_request: &mut RequestedPrivileges) {
    let PodTemplate {
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
        security_context,
        env,
        env_from,
        priority_class_name,
        init_containers,
        containers,
        volumes,
        image_pull_secrets,
        // These need no privilege.
        resources: _,
        termination_grace_period_seconds: _,
        host_aliases: _,
        dns_config: _,
    } = template;
    let mut add = |is: bool, privilege, field: &str| {
        if is {
            record_request.push((privilege, format!("{path}.{field}")));
        }
    };
    add(!node_selector.is_empty(), Privilege::NodePlacement, "nodeSelector");
    add(!tolerations.is_empty(), Privilege::NodePlacement, "tolerations");
    add(affinity.is_some(), Privilege::NodePlacement, "affinity");
    let spread = !topology_spread_constraints.is_empty();
    add(spread, Privilege::NodePlacement, "topologySpreadConstraints");
    add(scheduler_name.is_some(), Privilege::NodePlacement, "schedulerName");
    add(runtime_class_name.is_some(), Privilege::NodePlacement, "runtimeClassName");
    let account = service_account_name.is_some();
    add(account, Privilege::ServiceAccounts, "serviceAccountName");
    let token = *automount_service_account_token == Some(true);
    add(token, Privilege::ServiceAccounts, "automountServiceAccountToken");
    add(priority_class_name.is_some(), Privilege::PriorityClasses, "priorityClassName");
    add(!init_containers.is_empty(), Privilege::Containers, "initContainers");
    add(!containers.is_empty(), Privilege::Containers, "containers");
    add(!image_pull_secrets.is_empty(), Privilege::Secrets, "imagePullSecrets");
    for (index, volume) in volumes.iter().enumerate() {
        let PodVolume { name: _, config_map: _, secret, empty_dir: _ } = volume;
        add(secret.is_some(), Privilege::Secrets, &format!("volumes[{index}].secret"));
    }
    of_annotations(annotations, path, record_request);
    of_environment(env, env_from, path, record_request);
    if let Some(context) = security_context {
        of_pod_security_context(context, &format!("{path}.securityContext"), record_request);
    }
    for (field, containers) in [("initContainers", init_containers), ("containers", containers)] {
        for (index, container) in containers.iter().enumerate() {
            of_container(container, &format!("{path}.{field}[{index}]"), record_request);
        }
    }
}

fn of_annotations(
    annotations: &BTreeMap<String, String>,
    path: &str,
    record_request: &mut RequestedPrivileges,
) {
    for (key, value) in annotations {
        let loose = if key.starts_with(APP_ARMOR) {
            value != "runtime/default" && !value.starts_with("localhost/")
        } else {
            SECCOMP.iter().any(|prefix| key.starts_with(prefix)) && value == "unconfined"
        };
        if loose {
            record_request
                .push((Privilege::PrivilegedContainers, format!("{path}.annotations[{key}]")));
        }
    }
}

fn of_container(container: &Container, path: &str, record_request: &mut RequestedPrivileges) {
    let Container {
        env,
        env_from,
        lifecycle,
        liveness_probe,
        ports,
        readiness_probe,
        security_context,
        startup_probe,
        volume_devices,
        volume_mounts,
        // These need no privilege.
        args: _,
        command: _,
        image: _,
        image_pull_policy: _,
        name: _,
        resize_policy: _,
        resources: _,
        restart_policy: _,
        stdin: _,
        stdin_once: _,
        termination_message_path: _,
        termination_message_policy: _,
        tty: _,
        working_dir: _,
    } = container;
    let mut add = |is: bool, privilege, field: String| {
        if is {
            record_request.push((privilege, format!("{path}.{field}")));
        }
    };
    for (index, port) in ports.iter().flatten().enumerate() {
        let ContainerPort { container_port: _, host_ip, host_port, name: _, protocol: _ } = port;
        let on_host = host_port.is_some_and(|port| port != 0);
        add(on_host, Privilege::HostPorts, format!("ports[{index}].hostPort"));
        let named = host_ip.as_ref().is_some_and(|address| !address.is_empty());
        add(named, Privilege::HostPorts, format!("ports[{index}].hostIP"));
    }
    let devices = volume_devices.as_ref().is_some_and(|devices| !devices.is_empty());
    add(devices, Privilege::PrivilegedContainers, "volumeDevices".to_owned());
    for (index, mount) in volume_mounts.iter().flatten().enumerate() {
        let VolumeMount {
            mount_path: _,
            mount_propagation,
            name: _,
            read_only: _,
            recursive_read_only: _,
            sub_path: _,
            sub_path_expr: _,
        } = mount;
        let propagates = mount_propagation.as_deref() == Some("Bidirectional");
        let field = format!("volumeMounts[{index}].mountPropagation");
        add(propagates, Privilege::PrivilegedContainers, field);
    }
    let probes = [
        ("livenessProbe", liveness_probe),
        ("readinessProbe", readiness_probe),
        ("startupProbe", startup_probe),
    ];
    for (field, probe) in probes {
        let asks = probe.as_ref().is_some_and(asks_a_host);
        add(asks, Privilege::PrivilegedContainers, field.to_owned());
    }
    if let Some(Lifecycle { post_start, pre_stop, stop_signal: _ }) = lifecycle {
        for (field, handler) in [("postStart", post_start), ("preStop", pre_stop)] {
            let asks = handler.as_ref().is_some_and(calls_a_host);
            add(asks, Privilege::PrivilegedContainers, format!("lifecycle.{field}"));
        }
    }
    let (env, env_from) = (env.as_deref(), env_from.as_deref());
    of_environment(env.unwrap_or_default(), env_from.unwrap_or_default(), path, record_request);
    if let Some(context) = security_context {
        of_security_context(context, &format!("{path}.securityContext"), record_request);
    }
}

fn of_environment(
    env: &[EnvVar],
    env_from: &[EnvFromSource],
    path: &str,
    record_request: &mut RequestedPrivileges,
) {
    for (index, EnvVar { name: _, value: _, value_from }) in env.iter().enumerate() {
        if value_from.as_ref().is_some_and(|from| from.secret_key_ref.is_some()) {
            let path = format!("{path}.env[{index}].valueFrom.secretKeyRef");
            record_request.push((Privilege::Secrets, path));
        }
    }
    for (index, from) in env_from.iter().enumerate() {
        let EnvFromSource { config_map_ref: _, prefix: _, secret_ref } = from;
        if secret_ref.is_some() {
            record_request.push((Privilege::Secrets, format!("{path}.envFrom[{index}].secretRef")));
        }
    }
}

/// Whether a probe makes the kubelet connect to another host.
fn asks_a_host(probe: &Probe) -> bool {
    let Probe {
        exec: _,
        grpc: _,
        http_get,
        tcp_socket,
        failure_threshold: _,
        initial_delay_seconds: _,
        period_seconds: _,
        success_threshold: _,
        termination_grace_period_seconds: _,
        timeout_seconds: _,
    } = probe;
    name_a_host(http_get.as_ref(), tcp_socket.as_ref())
}

fn calls_a_host(handler: &LifecycleHandler) -> bool {
    let LifecycleHandler { exec: _, http_get, sleep: _, tcp_socket } = handler;
    name_a_host(http_get.as_ref(), tcp_socket.as_ref())
}

fn name_a_host(http: Option<&HTTPGetAction>, tcp: Option<&TCPSocketAction>) -> bool {
    let http = http.and_then(|get| get.host.as_deref());
    let tcp = tcp.and_then(|socket| socket.host.as_deref());
    is_set(http) || is_set(tcp)
}

fn is_set(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn of_pod_security_context(
    context: &PodSecurityContext,
    path: &str,
    record_request: &mut RequestedPrivileges,
) {
    let PodSecurityContext {
        app_armor_profile,
        run_as_non_root,
        run_as_user,
        se_linux_options,
        seccomp_profile,
        sysctls,
        windows_options,
        // The baseline standard doesn't restrict these.
        fs_group: _,
        fs_group_change_policy: _,
        run_as_group: _,
        se_linux_change_policy: _,
        supplemental_groups: _,
        supplemental_groups_policy: _,
    } = context;
    let sysctls = sysctls.iter().flatten().enumerate();
    for (index, sysctl) in sysctls {
        if !BASELINE_SYSCTLS.contains(&sysctl.name.as_str()) {
            let path = format!("{path}.sysctls[{index}]");
            record_request.push((Privilege::PrivilegedContainers, path));
        }
    }
    // The remaining fields are the same as in a container.
    let context = SecurityContext {
        app_armor_profile: app_armor_profile.clone(),
        run_as_non_root: *run_as_non_root,
        run_as_user: *run_as_user,
        se_linux_options: se_linux_options.clone(),
        seccomp_profile: seccomp_profile.clone(),
        windows_options: windows_options.clone(),
        ..SecurityContext::default()
    };
    of_security_context(&context, path, record_request);
}

fn of_security_context(
    context: &SecurityContext,
    path: &str,
    record_request: &mut RequestedPrivileges,
) {
    let SecurityContext {
        app_armor_profile,
        capabilities,
        privileged,
        proc_mount,
        run_as_non_root,
        run_as_user,
        se_linux_options,
        seccomp_profile,
        windows_options,
        // The baseline standard doesn't restrict these.
        allow_privilege_escalation: _,
        read_only_root_filesystem: _,
        run_as_group: _,
    } = context;
    let mut add = |is: bool, privilege, field: &str| {
        if is {
            record_request.push((privilege, format!("{path}.{field}")));
        }
    };
    add(*run_as_user == Some(0), Privilege::RootContainers, "runAsUser");
    add(*run_as_non_root == Some(false), Privilege::RootContainers, "runAsNonRoot");
    let mut privileges = |is: bool, field: &str| add(is, Privilege::PrivilegedContainers, field);
    privileges(*privileged == Some(true), "privileged");
    let adds_more = capabilities.as_ref().is_some_and(|capabilities| {
        let Capabilities { add, drop: _ } = capabilities;
        add.iter().flatten().any(|added| !BASELINE_CAPABILITIES.contains(&added.as_str()))
    });
    privileges(adds_more, "capabilities.add");
    let unmasked = proc_mount.as_deref().is_some_and(|mount| mount != "Default");
    privileges(unmasked, "procMount");
    let profile = seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
    privileges(profile == Some("Unconfined"), "seccompProfile.type");
    let profile = app_armor_profile.as_ref().map(|profile| profile.type_.as_str());
    privileges(profile == Some("Unconfined"), "appArmorProfile.type");
    if let Some(options) = se_linux_options {
        let type_ = options.type_.as_deref().unwrap_or_default();
        privileges(!BASELINE_TYPES.contains(&type_), "seLinuxOptions.type");
        privileges(is_set(options.user.as_deref()), "seLinuxOptions.user");
        privileges(is_set(options.role.as_deref()), "seLinuxOptions.role");
    }
    privileges(windows_options.is_some(), "windowsOptions");
}
