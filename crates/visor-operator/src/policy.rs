//! Which privileges sources have. Everybody who may create a source gets pods that the operator creates,
//! and may reach things by them that are otherwise out of reach: `docs/security.md` has the list.
//! What exceeds the baseline Pod Security Standard is forbidden unless the administrator allows it
//! (`--allow`); other privileges can be forbidden (`--forbid`). Pure.
//!
//! [`privileges`] checks every field that exists, and the compiler enforces that new ones are
//! covered.

mod privileges;
#[cfg(test)]
mod tests;

use clap::{ValueEnum, builder::PossibleValue};
use visor_api::source::FakeLogSourceSpec;

use crate::source::Rejection;

/// A privilege that a source may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Privilege {
    /// hostPath volumes (`volume.hostPath`), with an init container that runs as root
    HostPath,
    /// Ports of nodes (`hostPort`)
    HostPorts,
    /// Containers that run as root (`runAsUser: 0`, `runAsNonRoot: false`)
    RootContainers,
    /// Containers that the baseline Pod Security Standard forbids: privileged ones, with further
    /// capabilities, unconfined, or with probes of other hosts
    PrivilegedContainers,
    /// Persistent volume claims (`volume.persistentVolumeClaim`)
    PersistentVolumeClaims,
    /// Containers of the pod template (`podTemplate.containers` and `initContainers`)
    Containers,
    /// Secrets of the namespace (`podTemplate.volumes`, `imagePullSecrets`, environments)
    Secrets,
    /// Scheduling and runtime (`podTemplate.nodeSelector`, `tolerations`, `affinity`,
    /// `topologySpreadConstraints`, `schedulerName` and `runtimeClassName`, `DaemonSet`)
    NodePlacement,
    /// Preemption of other pods (`podTemplate.priorityClassName`)
    PriorityClasses,
    /// Service accounts (`podTemplate.serviceAccountName`, and its token)
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

/// The privileges that are forbidden unless they are allowed.
pub(crate) fn allowable() -> impl Iterator<Item = PossibleValue> {
    let few =
        Privilege::value_variants().iter().filter(|privilege| privilege.is_forbidden_by_default());
    few.filter_map(ValueEnum::to_possible_value)
}

/// The administrator's decisions.
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
    /// The first privilege that the source doesn't have, by its path in the document.
    pub(crate) fn check(&self, spec: &FakeLogSourceSpec) -> Result<(), Rejection> {
        for (privilege, path) in privileges::of(spec) {
            let name = privilege.name();
            let why = if self.forbidden.contains(&privilege) {
                format!("not allowed by the operator (`--forbid {name}`)")
            } else if privilege.is_forbidden_by_default() && !self.allowed.contains(&privilege) {
                format!("not allowed by the operator (needs `--allow {name}`)")
            } else {
                continue;
            };
            let message = format!("{path}: {why}; remove it or ask your administrator");
            return Err(Rejection::new("NotAllowed", message));
        }
        Ok(())
    }
}
