//! What an administrator forbids in sources (`--forbid`). Whoever may create a source gets pods that
//! the operator makes for him, and by them reaches what he perhaps may not reach himself:
//! `docs/security.md` says what, and each of these takes one of that away. Pure.

use clap::ValueEnum;
use visor_api::source::{FakeLogSourceSpec, PodTemplate, Volume};

use crate::source::Refusal;

/// Something that a source can wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Forbidden {
    /// Directories of nodes (`volume.hostPath`).
    HostPath,
    /// Claims that the source's author names or has made (`volume.persistentVolumeClaim`).
    PersistentVolumeClaims,
    /// Containers of the author's own (`podTemplate.containers`).
    Containers,
    /// Secrets of the namespace (`podTemplate.volumes` and `imagePullSecrets`).
    Secrets,
    /// On which nodes pods run (`podTemplate.nodeSelector` and `tolerations`, `DaemonSet`).
    NodePlacement,
    /// Whom pods push off a node (`podTemplate.priorityClassName`).
    PriorityClasses,
}

impl Forbidden {
    /// Where the source wishes it, if it does.
    fn find(self, spec: &FakeLogSourceSpec) -> Option<&'static str> {
        let nothing = PodTemplate::default();
        let pods = spec.pod_template.as_ref().unwrap_or(&nothing);
        let found = |wished: bool, path| wished.then_some(path);
        match self {
            Self::HostPath => {
                found(matches!(spec.volume, Some(Volume::HostPath(_))), "spec.volume.hostPath")
            }
            Self::PersistentVolumeClaims => found(
                matches!(spec.volume, Some(Volume::PersistentVolumeClaim(_))),
                "spec.volume.persistentVolumeClaim",
            ),
            Self::Containers => found(!pods.containers.is_empty(), "spec.podTemplate.containers"),
            Self::Secrets => {
                let mounted = pods.volumes.iter().any(|volume| volume.secret.is_some());
                // A container can also read one into its environment.
                let containers = pods.containers.iter();
                let read = containers.flat_map(|container| {
                    let single = container.env.iter().flatten().any(|variable| {
                        let from = variable.value_from.as_ref();
                        from.is_some_and(|from| from.secret_key_ref.is_some())
                    });
                    let whole = container.env_from.iter().flatten();
                    [single, whole.into_iter().any(|from| from.secret_ref.is_some())]
                });
                found(mounted, "spec.podTemplate.volumes")
                    .or(found(read.into_iter().any(|read| read), "spec.podTemplate.containers"))
                    .or(found(
                        !pods.image_pull_secrets.is_empty(),
                        "spec.podTemplate.imagePullSecrets",
                    ))
            }
            Self::NodePlacement => {
                let every_node = spec.resolved_workload() == visor_api::source::Workload::DaemonSet;
                found(!pods.node_selector.is_empty(), "spec.podTemplate.nodeSelector")
                    .or(found(!pods.tolerations.is_empty(), "spec.podTemplate.tolerations"))
                    .or(found(every_node, "spec.workload"))
            }
            Self::PriorityClasses => {
                found(pods.priority_class_name.is_some(), "spec.podTemplate.priorityClassName")
            }
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Checks a source against what is forbidden.
///
/// # Errors
///
/// The first wish that is, by its path in the document.
pub(crate) fn check(spec: &FakeLogSourceSpec, forbidden: &[Forbidden]) -> Result<(), Refusal> {
    let found = forbidden.iter().find_map(|wish| Some((wish.find(spec)?, wish.name())));
    found.map_or(Ok(()), |(path, name)| {
        let message = format!(
            "{path}: this cluster's administrator has forbidden it (--forbid {name}); take it out, \
             or ask him"
        );
        Err(Refusal::new("NotAllowed", message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(more: &Value) -> FakeLogSourceSpec {
        let mut spec = json!({"generators": [{"name": "web", "access": {}}]});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn each_wish_is_found_where_it_is_and_nowhere_else() {
        let container = |more: Value| {
            let mut container = json!({"name": "collector", "image": "collector"});
            for (key, value) in more.as_object().unwrap() {
                container[key] = value.clone();
            }
            json!({"podTemplate": {"containers": [container]}})
        };
        let cases = [
            (json!({"volume": {"hostPath": {"path": "/logs"}}}), vec![Forbidden::HostPath]),
            (
                json!({"volume": {"persistentVolumeClaim": {}}}),
                vec![Forbidden::PersistentVolumeClaims],
            ),
            (container(json!({})), vec![Forbidden::Containers]),
            (
                container(json!({"envFrom": [{"secretRef": {"name": "s"}}]})),
                vec![Forbidden::Containers, Forbidden::Secrets],
            ),
            (
                container(json!({"env": [{"name": "A", "valueFrom":
                    {"secretKeyRef": {"name": "s", "key": "k"}}}]})),
                vec![Forbidden::Containers, Forbidden::Secrets],
            ),
            (
                json!({"podTemplate": {"volumes": [{"name": "s", "secret": {"secretName": "s"}}]}}),
                vec![Forbidden::Secrets],
            ),
            (
                json!({"podTemplate": {"imagePullSecrets": [{"name": "s"}]}}),
                vec![Forbidden::Secrets],
            ),
            (json!({"podTemplate": {"nodeSelector": {"a": "b"}}}), vec![Forbidden::NodePlacement]),
            (
                json!({"podTemplate": {"tolerations": [{"operator": "Exists"}]}}),
                vec![Forbidden::NodePlacement],
            ),
            (json!({"workload": "DaemonSet"}), vec![Forbidden::NodePlacement]),
            (
                json!({"podTemplate": {"priorityClassName": "system-node-critical"}}),
                vec![Forbidden::PriorityClasses],
            ),
            (json!({"volume": {"emptyDir": {}}, "replicas": 3}), vec![]),
        ];
        for (more, expected) in cases {
            let spec = spec(&more);
            for wish in Forbidden::value_variants() {
                let refused = check(&spec, &[*wish]);
                assert_eq!(refused.is_err(), expected.contains(wish), "{more} {wish:?}");
                if let Err(refusal) = refused {
                    assert!(refusal.message.contains(&format!("--forbid {}", wish.name())));
                    assert!(refusal.message.starts_with("spec."), "{}", refusal.message);
                }
            }
            assert_eq!(check(&spec, &[]), Ok(()));
        }
    }
}
