//! What sources may ask of their pods. Whoever may create a source gets pods that the operator makes
//! for him, and by them reaches what he perhaps may not reach himself: `docs/security.md` says what.
//! What would lift him above the author of a pod in a namespace of the baseline Pod Security Standard
//! is forbidden unless the administrator allows it (`--allow`); other things the administrator may
//! forbid (`--forbid`). Pure.
//!
//! [`privileges`] looks at every field there is, and is told by the compiler of those that come.

mod privileges;
#[cfg(test)]
mod tests;

use clap::{ValueEnum, builder::PossibleValue};
use visor_api::source::FakeLogSourceSpec;

use crate::source::Refusal;

/// Something that a source may ask for, and that its author may not have otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Privilege {
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
    /// Containers of the author's own (`podTemplate.containers` and `initContainers`).
    Containers,
    /// Secrets of the namespace (`podTemplate.volumes`, `imagePullSecrets`, environments).
    Secrets,
    /// On which nodes pods run, and by what (`podTemplate.nodeSelector`, `tolerations`, `affinity`,
    /// `topologySpreadConstraints`, `schedulerName` and `runtimeClassName`, `DaemonSet`).
    NodePlacement,
    /// Whom pods push off a node (`podTemplate.priorityClassName`).
    PriorityClasses,
    /// Who pods are for the API server (`podTemplate.serviceAccountName`, and its token).
    ServiceAccounts,
}

impl Privilege {
    /// Whether it is forbidden unless it is allowed.
    const fn is_forbidden_by_default(self) -> bool {
        match self {
            Self::HostPath
            | Self::HostPorts
            | Self::RootContainers
            | Self::PrivilegedContainers => true,
            Self::PersistentVolumeClaims
            | Self::Containers
            | Self::Secrets
            | Self::NodePlacement
            | Self::PriorityClasses
            | Self::ServiceAccounts => false,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What is forbidden unless it is allowed.
pub(crate) fn allowable() -> impl Iterator<Item = PossibleValue> {
    let few =
        Privilege::value_variants().iter().filter(|privilege| privilege.is_forbidden_by_default());
    few.filter_map(ValueEnum::to_possible_value)
}

/// What an administrator has decided.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub(crate) allowed: Vec<Privilege>,
    pub(crate) forbidden: Vec<Privilege>,
}

impl Policy {
    /// Checks a source.
    ///
    /// # Errors
    ///
    /// The first thing that it may not have, by its path in the document.
    pub(crate) fn check(&self, spec: &FakeLogSourceSpec) -> Result<(), Refusal> {
        for (privilege, path) in privileges::of(spec) {
            let name = privilege.name();
            let why = if self.forbidden.contains(&privilege) {
                format!("this cluster's administrator has forbidden it (--forbid {name})")
            } else if privilege.is_forbidden_by_default() && !self.allowed.contains(&privilege) {
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
