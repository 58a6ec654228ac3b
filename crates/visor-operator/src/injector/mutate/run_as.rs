//! The user of an injected generator: the user that mounts the volume. So it can write where that
//! user can, and that user can read what it wrote. It runs as root only if a container that keeps
//! running does: an init container often is root, but nothing that follows it. Pure.

use serde_json::{Map, Value};

use crate::controller::build::container::RunAs;

/// The user of the first container that mounts the volume and has one, else the pod's. Without any,
/// the user is that of an image, which isn't known here; then `default_ids` is used. `running` are the
/// containers that keep running, each with whether it mounts the volume.
pub(super) fn run_as(
    spec: &Map<String, Value>,
    running: &[(&Value, bool)],
    default_ids: RunAs,
) -> RunAs {
    let of_pod = SpecifiedIds::of(spec.get("securityContext"));
    let of = |container: &Value| SpecifiedIds::of(container.get("securityContext")).or(of_pod);
    let mounting = running.iter().filter(|(_, mounts)| *mounts);
    let specified = mounting
        .map(|(container, _)| of(container))
        .find(|specified| specified.user.is_some())
        .unwrap_or(of_pod);
    let may_be_root = || running.iter().any(|(container, _)| of(container).user == Some(0));
    match specified {
        SpecifiedIds { user: Some(0), .. } if !may_be_root() => default_ids,
        // Such a container has the group of its image, or 0; so has ours.
        SpecifiedIds { user: Some(user), group } => RunAs { user: Some(user), group },
        SpecifiedIds { user: None, group } => {
            RunAs { group: group.or(default_ids.group), ..default_ids }
        }
    }
}

#[derive(Clone, Copy)]
struct SpecifiedIds {
    user: Option<i64>,
    group: Option<i64>,
}

impl SpecifiedIds {
    fn of(context: Option<&Value>) -> Self {
        let number = |field| context.and_then(|context| context.get(field)?.as_i64());
        Self { user: number("runAsUser"), group: number("runAsGroup") }
    }

    fn or(self, other: Self) -> Self {
        Self { user: self.user.or(other.user), group: self.group.or(other.group) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// User and group, from the pod, its running containers that mount the volume, and those
    /// that don't.
    fn found(pod: &Value, mounting: &Value, others: &Value) -> (i64, Option<i64>) {
        let spec = json!({"securityContext": pod});
        let of = |contexts: &Value, mounts: bool| {
            let contexts = contexts.as_array().unwrap().clone();
            contexts.into_iter().map(move |context| (json!({"securityContext": context}), mounts))
        };
        let running: Vec<_> = of(mounting, true).chain(of(others, false)).collect();
        let running: Vec<_> =
            running.iter().map(|(container, mounts)| (container, *mounts)).collect();
        let default_ids = RunAs { user: Some(65532), group: Some(65532) };
        let run_as = run_as(spec.as_object().unwrap(), &running, default_ids);
        (run_as.user.unwrap(), run_as.group)
    }

    #[test]
    fn a_container_that_mounts_the_volume_counts_before_the_pod_and_both_before_us() {
        let none = Value::Null;
        let found = |pod: &Value, mounting: &Value| found(pod, mounting, &json!([]));
        assert_eq!(found(&none, &json!([])), (65532, Some(65532)));
        assert_eq!(found(&none, &json!([null, null])), (65532, Some(65532)));
        assert_eq!(found(&json!({"runAsUser": 7}), &json!([])), (7, None));
        assert_eq!(found(&json!({"runAsGroup": 8}), &json!([])), (65532, Some(8)));
        let pod = json!({"runAsUser": 7, "runAsGroup": 8});
        assert_eq!(found(&pod, &json!([null])), (7, Some(8)));
        assert_eq!(found(&pod, &json!([{"runAsUser": 0}])), (0, Some(8)));
        assert_eq!(found(&pod, &json!([null, {"runAsUser": 9}])), (7, Some(8)));
        let second = json!([null, {"runAsUser": 9, "runAsGroup": 10}]);
        assert_eq!(found(&none, &second), (9, Some(10)));
    }

    #[test]
    fn it_is_root_only_where_a_lasting_container_is() {
        let (root, user) = (json!({"runAsUser": 0}), json!([{"runAsUser": 9}]));
        assert_eq!(found(&root, &json!([]), &user), (65532, Some(65532)));
        assert_eq!(found(&root, &json!([]), &json!([null])), (0, None));
        assert_eq!(found(&root, &user, &json!([])), (9, None));
        assert_eq!(found(&root, &json!([null]), &user), (0, None));
    }
}
