//! What sources may ask of their pods. Whoever may create a source gets pods that the operator makes
//! for him, and by them reaches what he perhaps may not reach himself: `docs/security.md` says what.
//! What would lift him above the author of a pod in a namespace of the baseline Pod Security Standard
//! is forbidden unless the administrator allows it (`--allow`); other things the administrator may
//! forbid (`--forbid`). Pure.
//!
//! [`gains`] looks at every field there is, and is told by the compiler of those that come.

mod gains;
#[cfg(test)]
mod tests;

use clap::{ValueEnum, builder::PossibleValue};
use visor_api::source::FakeLogSourceSpec;

use crate::source::Refusal;

/// Something that a source's author may gain by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Gain {
    /// Directories of nodes (`volume.hostPath`), and an init container that is root there.
    HostPath,
    /// Ports of nodes (`hostPort`).
    HostPorts,
    /// Containers that are root (`runAsUser: 0`, `runAsNonRoot: false`).
    RootContainers,
    /// Containers that the baseline standard forbids: privileged, with more capabilities, without the
    /// runtime's confinement, or by which a kubelet asks hosts of the author's choice.
    PrivilegedContainers,
    /// Claims that the author names or has made (`volume.persistentVolumeClaim`).
    PersistentVolumeClaims,
    /// Containers of the author's own (`podTemplate.containers`).
    Containers,
    /// Secrets of the namespace (`podTemplate.volumes`, `imagePullSecrets`, environments).
    Secrets,
    /// On which nodes pods run (`podTemplate.nodeSelector` and `tolerations`, `DaemonSet`).
    NodePlacement,
    /// Whom pods push off a node (`podTemplate.priorityClassName`).
    PriorityClasses,
}

impl Gain {
    /// Whether it is forbidden unless it is allowed.
    const fn is_for_few(self) -> bool {
        match self {
            Self::HostPath
            | Self::HostPorts
            | Self::RootContainers
            | Self::PrivilegedContainers => true,
            Self::PersistentVolumeClaims
            | Self::Containers
            | Self::Secrets
            | Self::NodePlacement
            | Self::PriorityClasses => false,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What is forbidden unless it is allowed.
pub(crate) fn allowable() -> impl Iterator<Item = PossibleValue> {
    let few = Gain::value_variants().iter().filter(|gain| gain.is_for_few());
    few.filter_map(ValueEnum::to_possible_value)
}

/// What an administrator has decided.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub(crate) allowed: Vec<Gain>,
    pub(crate) forbidden: Vec<Gain>,
}

impl Policy {
    /// Checks a source.
    ///
    /// # Errors
    ///
    /// The first thing that it may not have, by its path in the document.
    pub(crate) fn check(&self, spec: &FakeLogSourceSpec) -> Result<(), Refusal> {
        for (gain, path) in gains::of(spec) {
            let name = gain.name();
            let why = if self.forbidden.contains(&gain) {
                format!("this cluster's administrator has forbidden it (--forbid {name})")
            } else if gain.is_for_few() && !self.allowed.contains(&gain) {
                format!("this cluster's administrator has not allowed it (--allow {name})")
            } else {
                continue;
            };
            let message = format!("{path}: {why}; take it out, or ask the administrator");
            return Err(Refusal::new("NotAllowed", message));
        }
        Ok(())
    }
}
