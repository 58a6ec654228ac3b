//! The pods of a source: whose they are, and the state of their generator's container. Pure: from
//! cached objects.

pub(crate) mod owner;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::labels::GENERATOR;

/// The status of the generator's container, once the kubelet has reported it.
pub(crate) fn generator(pod: &Pod) -> Option<&ContainerStatus> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    // If it was injected, it may be a native sidecar.
    let mut containers = containers.chain(status.init_container_statuses.iter().flatten());
    containers.find(|status| status.name == GENERATOR)
}

/// Whether all containers of a pod have terminated for good.
pub(crate) fn is_terminated(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// The phase of a pod.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}
