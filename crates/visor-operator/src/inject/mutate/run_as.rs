//! As whom the generator runs in somebody else's pod: as whoever mounts the volume there. So it can
//! write where they can, and they can read what it wrote. It is root only where a container is that
//! goes on running: one that prepares the pod often is, and nobody is after it. Pure.

use serde_json::{Map, Value};

use crate::build::container::RunAs;

/// By the first container of those that mount the volume of which a user is said, or by the pod. Where
/// nobody says one, the user is that of an image, which can't be known here; then it is our `own`.
/// `lasting` are the containers that go on running, each with whether it mounts the volume.
pub(super) fn run_as(spec: &Map<String, Value>, lasting: &[(&Value, bool)], own: RunAs) -> RunAs {
    let of_pod = Said::of(spec.get("securityContext"));
    let of = |container: &Value| Said::of(container.get("securityContext")).or(of_pod);
    let mounting = lasting.iter().filter(|(_, mounts)| *mounts);
    let said = mounting
        .map(|(container, _)| of(container))
        .find(|said| said.user.is_some())
        .unwrap_or(of_pod);
    let may_be_root = || lasting.iter().any(|(container, _)| of(container).user == Some(0));
    match said {
        Said { user: Some(0), .. } if !may_be_root() => own,
        // Such a container is in the group of its image, or in 0; so is ours.
        Said { user: Some(user), group } => RunAs { user: Some(user), group },
        Said { user: None, group } => RunAs { group: group.or(own.group), ..own },
    }
}

#[derive(Clone, Copy)]
struct Said {
    user: Option<i64>,
    group: Option<i64>,
}

impl Said {
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

    /// User and group, by what the pod says, its lasting containers that mount the volume, and those
    /// that don't.
    fn found(pod: &Value, mounting: &Value, others: &Value) -> (i64, Option<i64>) {
        let spec = json!({"securityContext": pod});
        let of = |contexts: &Value, mounts: bool| {
            let contexts = contexts.as_array().unwrap().clone();
            contexts.into_iter().map(move |context| (json!({"securityContext": context}), mounts))
        };
        let lasting: Vec<_> = of(mounting, true).chain(of(others, false)).collect();
        let lasting: Vec<_> =
            lasting.iter().map(|(container, mounts)| (container, *mounts)).collect();
        let own = RunAs { user: Some(65532), group: Some(65532) };
        let run_as = run_as(spec.as_object().unwrap(), &lasting, own);
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
