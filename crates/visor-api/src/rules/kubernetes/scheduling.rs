//! Where pods run: tolerations, affinity, spreading.

use std::collections::HashSet;

use k8s_openapi::{
    api::core::v1::{
        Affinity, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Toleration,
        TopologySpreadConstraint,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};

use super::{Check, names, pod};
use crate::{problem::Path, source::PodTemplate};

pub(super) fn template(path: &Path, template: &PodTemplate, check: &mut Check<'_>) {
    for (index, own) in template.tolerations.iter().enumerate() {
        toleration(&path.field("tolerations").index(index), own, check);
    }
    if let Some(own) = &template.affinity {
        affinity(&path.field("affinity"), own, check);
    }
    let mut known = HashSet::new();
    for (index, constraint) in template.topology_spread_constraints.iter().enumerate() {
        let path = path.field("topologySpreadConstraints").index(index);
        spread(&path, constraint, check);
        if !known.insert((&constraint.topology_key, &constraint.when_unsatisfiable)) {
            let message = "another constraint has the same `topologyKey` and `whenUnsatisfiable`; \
                           remove one";
            check.add(path, message);
        }
    }
}

fn toleration(path: &Path, toleration: &Toleration, check: &mut Check<'_>) {
    let key = toleration.key.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    let operator = toleration.operator.as_deref().filter(|operator| !operator.is_empty());
    if !key.is_empty() {
        check.text(path.field("key"), key, names::qualified_name);
    } else if operator != Some("Exists") {
        check.add(path.field("operator"), "must be Exists if there is no `key`");
    }
    match operator {
        Some("Exists") if !value.is_empty() => {
            check.add(path.field("value"), "must be empty if `operator` is Exists; remove it");
        }
        None | Some("Equal") if !value.is_empty() => {
            check.text(path.field("value"), value, names::label_value);
        }
        _ => {}
    }
    let effect = toleration.effect.as_deref().filter(|effect| !effect.is_empty());
    if toleration.toleration_seconds.is_some() && effect != Some("NoExecute") {
        check.add(path.field("effect"), "must be NoExecute if there are `tolerationSeconds`");
    }
}

fn affinity(path: &Path, affinity: &Affinity, check: &mut Check<'_>) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    if let Some(node) = &affinity.node_affinity {
        let path = path.field("nodeAffinity");
        if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
            let path = path.field(REQUIRED).field("nodeSelectorTerms");
            if required.node_selector_terms.is_empty() {
                check.add(path.clone(), "must not be empty; add at least one item");
            }
            for (index, term) in required.node_selector_terms.iter().enumerate() {
                node_selector(&path.index(index), term, check);
            }
        }
        let preferred = node.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        for (index, term) in preferred.enumerate() {
            let path = path.field(PREFERRED).index(index);
            node_selector(&path.field("preference"), &term.preference, check);
        }
    }
    let pods = affinity.pod_affinity.as_ref().map(|pods| {
        (
            "podAffinity",
            &pods.required_during_scheduling_ignored_during_execution,
            &pods.preferred_during_scheduling_ignored_during_execution,
        )
    });
    let others = affinity.pod_anti_affinity.as_ref().map(|pods| {
        (
            "podAntiAffinity",
            &pods.required_during_scheduling_ignored_during_execution,
            &pods.preferred_during_scheduling_ignored_during_execution,
        )
    });
    for (field, required, preferred) in pods.into_iter().chain(others) {
        let path = path.field(field);
        for (index, term) in required.iter().flatten().enumerate() {
            pod_term(&path.field(REQUIRED).index(index), term, check);
        }
        for (index, term) in preferred.iter().flatten().enumerate() {
            let path = path.field(PREFERRED).index(index);
            pod_term(&path.field("podAffinityTerm"), &term.pod_affinity_term, check);
        }
    }
}

fn node_selector(path: &Path, term: &NodeSelectorTerm, check: &mut Check<'_>) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        let path = path.field("matchExpressions").index(index);
        let NodeSelectorRequirement { key, operator, values } = requirement;
        expression(&path, key, operator, values.as_deref(), check);
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        let path = path.field("matchFields").index(index);
        if requirement.values.iter().flatten().count() != 1 {
            check.add(path.field("values"), "must have exactly one item");
        }
    }
}

/// A requirement of a selector of nodes or of labels.
fn expression(
    path: &Path,
    key: &str,
    operator: &str,
    values: Option<&[String]>,
    check: &mut Check<'_>,
) {
    let values = values.unwrap_or_default();
    check.text(path.field("key"), key, names::qualified_name);
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            check.add(path.field("values"), "must not be empty; add at least one item");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            check.add(path.field("values"), "must be empty for this operator; remove it");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            check.add(path.field("values"), "must have exactly one item for this operator");
        }
        "Gt" | "Lt" if values.iter().any(|value| value.parse::<i64>().is_err()) => {
            check.add(path.field("values").index(0), "must be a whole number, as a string");
        }
        _ => {}
    }
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
        check.text(path.field("values").index(index), value, names::label_value);
    }
}

fn pod_term(path: &Path, term: &PodAffinityTerm, check: &mut Check<'_>) {
    check.text(path.field("topologyKey"), &term.topology_key, names::qualified_name);
    for (index, name) in term.namespaces.iter().flatten().enumerate() {
        check.text(path.field("namespaces").index(index), name, names::dns_label);
    }
    label_selector(&path.field("labelSelector"), term.label_selector.as_ref(), check);
    label_selector(&path.field("namespaceSelector"), term.namespace_selector.as_ref(), check);
}

fn label_selector(path: &Path, selector: Option<&LabelSelector>, check: &mut Check<'_>) {
    let Some(selector) = selector else { return };
    pod::labels(&path.field("matchLabels"), selector.match_labels.as_ref(), check);
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let path = path.field("matchExpressions").index(index);
        let LabelSelectorRequirement { key, operator, values } = requirement;
        expression(&path, key, operator, values.as_deref(), check);
    }
}

fn spread(path: &Path, constraint: &TopologySpreadConstraint, check: &mut Check<'_>) {
    check.text(path.field("topologyKey"), &constraint.topology_key, names::qualified_name);
    if constraint.min_domains.is_some() && constraint.when_unsatisfiable != "DoNotSchedule" {
        let message = "is for `whenUnsatisfiable: DoNotSchedule` only; remove it";
        check.add(path.field("minDomains"), message);
    }
    label_selector(&path.field("labelSelector"), constraint.label_selector.as_ref(), check);
}
