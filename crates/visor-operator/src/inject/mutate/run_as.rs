//! As whom the generator runs in somebody else's pod: as whoever mounts the volume there. So it can
//! write where they can, and they can read what it wrote. Pure.

use serde_json::{Map, Value};

use crate::build::container::RunAs;

/// By the first container of those that mount the volume of which a user is said, or by the pod. Where
/// nobody says one, the user is that of an image, which can't be known here; then it is our own.
pub(super) fn run_as<'a>(
    spec: &Map<String, Value>,
    mounting: impl Iterator<Item = &'a Value>,
) -> RunAs {
    let of_pod = Said::of(spec.get("securityContext"));
    let said = mounting
        .map(|container| Said::of(container.get("securityContext")).or(of_pod))
        .find(|said| said.user.is_some())
        .unwrap_or(of_pod);
    match said {
        // Such a container is in the group of its image, or in 0; so is ours.
        Said { user: Some(user), group } => RunAs { user, group },
        Said { user: None, group } => {
            RunAs { user: RunAs::OWN.user, group: group.or(RunAs::OWN.group) }
        }
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

    /// User and group, by what the pod and the containers that mount the volume say.
    fn found(pod: &Value, containers: &Value) -> (i64, Option<i64>) {
        let spec = json!({"securityContext": pod});
        let containers: Vec<_> = (containers.as_array().unwrap().iter())
            .map(|context| json!({"securityContext": context}))
            .collect();
        let run_as = run_as(spec.as_object().unwrap(), containers.iter());
        (run_as.user, run_as.group)
    }

    #[test]
    fn a_container_that_mounts_the_volume_counts_before_the_pod_and_both_before_us() {
        let none = Value::Null;
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
}
