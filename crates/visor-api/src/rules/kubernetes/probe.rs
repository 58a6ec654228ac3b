//! Probes, and the handlers of a container's lifecycle.

use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Check, names};
use crate::{message::shown, problem::Path};

/// The probes and the lifecycle of a container.
pub(super) fn container(path: &Path, container: &Container, check: &mut Check<'_>) {
    for (field, probe) in [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ] {
        if let Some(own) = probe {
            let must_be_one = field != "readinessProbe";
            self::probe(&path.field(field), own, must_be_one, container, check);
        }
    }
    if let Some(lifecycle) = &container.lifecycle {
        let path = path.field("lifecycle");
        for (field, handler) in
            [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)]
        {
            if let Some(own) = handler {
                self::handler(&path.field(field), own, container, check);
            }
        }
    }
}

fn probe(
    path: &Path,
    probe: &Probe,
    succeeds_once: bool,
    container: &Container,
    check: &mut Check<'_>,
) {
    check.one_field(
        path,
        &[
            ("exec", probe.exec.is_some()),
            ("httpGet", probe.http_get.is_some()),
            ("tcpSocket", probe.tcp_socket.is_some()),
            ("grpc", probe.grpc.is_some()),
        ],
    );
    if succeeds_once && probe.success_threshold.is_some_and(|successes| successes > 1) {
        let message = "must be 1; only a readiness probe can need more successes";
        check.add(path.field("successThreshold"), message);
    }
    if let Some(get) = &probe.http_get {
        http_get(&path.field("httpGet"), get, container, check);
    }
    if let Some(socket) = &probe.tcp_socket {
        port(path.field("tcpSocket").field("port"), &socket.port, container, check);
    }
    if probe.exec.as_ref().is_some_and(|exec| exec.command.iter().flatten().next().is_none()) {
        check.add(path.field("exec").field("command"), "must not be empty; set the command");
    }
}

fn handler(path: &Path, handler: &LifecycleHandler, container: &Container, check: &mut Check<'_>) {
    check.one_field(
        path,
        &[
            ("exec", handler.exec.is_some()),
            ("httpGet", handler.http_get.is_some()),
            ("tcpSocket", handler.tcp_socket.is_some()),
            ("sleep", handler.sleep.is_some()),
        ],
    );
    if let Some(get) = &handler.http_get {
        http_get(&path.field("httpGet"), get, container, check);
    }
    if handler.exec.as_ref().is_some_and(|exec| exec.command.iter().flatten().next().is_none()) {
        check.add(path.field("exec").field("command"), "must not be empty; set the command");
    }
}

fn http_get(path: &Path, get: &HTTPGetAction, container: &Container, check: &mut Check<'_>) {
    port(path.field("port"), &get.port, container, check);
}

/// A port by its number, or by its name in the container's `ports`.
fn port(path: Path, port: &IntOrString, container: &Container, check: &mut Check<'_>) {
    match port {
        IntOrString::Int(1..=65_535) => {}
        IntOrString::Int(number) => {
            check.add(path, format!("must be from 1 to 65535; found {number}"));
        }
        IntOrString::String(name) if names::port_name(name).is_some() => {
            check.text(path, name, names::port_name);
        }
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            if !ports.filter_map(|port| port.name.as_ref()).any(|known| known == name) {
                let message = format!(
                    "the container has no port `{}`; add it to `ports`, or write a number",
                    shown(name)
                );
                check.add(path, message);
            }
        }
    }
}
