//! Notes about values that only later versions of Kubernetes accept: 1.29 is the first that is
//! supported.

use k8s_openapi::api::core::v1::Container;

use crate::{
    problem::{Path, Problem},
    source::PodTemplate,
};

const RESTART_POLICY: &str =
    "needs Kubernetes 1.35, or 1.34 with the feature gate ContainerRestartRules";
const COMPARISON: &str =
    "needs Kubernetes 1.35 with the feature gate TaintTolerationComparisonOperators";

pub(super) fn notes(path: &Path, template: &PodTemplate, notes: &mut Vec<Problem>) {
    let mut restart_policy = |list: &str, index: usize| {
        let path = path.field(list).index(index).field("restartPolicy");
        notes.push(Problem::new(path, RESTART_POLICY));
    };
    for (index, container) in template.init_containers.iter().enumerate() {
        // A native sidecar has always had one.
        if policy(container).is_some_and(|policy| policy != "Always") {
            restart_policy("initContainers", index);
        }
    }
    for (index, container) in template.containers.iter().enumerate() {
        if policy(container).is_some() {
            restart_policy("containers", index);
        }
    }
    for (index, toleration) in template.tolerations.iter().enumerate() {
        if matches!(toleration.operator.as_deref(), Some("Lt" | "Gt")) {
            let path = path.field("tolerations").index(index).field("operator");
            notes.push(Problem::new(path, COMPARISON));
        }
    }
}

fn policy(container: &Container) -> Option<&str> {
    container.restart_policy.as_deref()
}
