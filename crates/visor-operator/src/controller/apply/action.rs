//! The action for an existing child: none, or a kind of write. Pure.

use std::collections::BTreeMap;

use kube::{ResourceExt, core::DynamicObject};
use serde_json::Value;

use super::compare;
use crate::{
    controller::build::children::{Child, ChildKind},
    hash,
    labels::{APPLIED_HASH, DOCUMENT_HASH, IMMUTABLE_HASH, is_inherited},
};

/// The action for an existing child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApplyAction {
    /// It is up to date.
    Unchanged,
    /// It has drifted.
    Update,
    /// Only its labels and annotations change.
    UpdateMetadata,
    /// It has drifted in a field that is immutable.
    Replace(&'static str),
}

/// Decides. `as_written` says whether an object is as the server returned it after our last write.
pub(crate) fn decide(
    child: &Child,
    present: &DynamicObject,
    as_written: impl FnOnce(&DynamicObject) -> bool,
) -> ApplyAction {
    let differs = |key: &str| child.object.annotations().get(key) != present.annotations().get(key);
    if differs(IMMUTABLE_HASH) {
        return ApplyAction::Replace("an immutable field has changed");
    }
    if child.kind == ChildKind::Job {
        return decide_job(present, differs(DOCUMENT_HASH), !has_inherited(present, &child.object));
    }
    if differs(APPLIED_HASH) {
        return ApplyAction::Update;
    }
    if contains_desired(present, &child.object) || as_written(present) {
        ApplyAction::Unchanged
    } else {
        ApplyAction::Update
    }
}

impl ApplyAction {
    /// The action for an orphan that the source adopts: at least its owner reference is written.
    pub(crate) fn for_orphan(self, kind: ChildKind) -> Self {
        match self {
            Self::Replace(why) => Self::Replace(why),
            _ if kind == ChildKind::Job => Self::Replace("its pods belong to another source"),
            _ => Self::Update,
        }
    }
}

/// The pod template of a Job is immutable, but the document of running pods isn't. A Job that has
/// finished is recreated if its document has changed.
fn decide_job(present: &DynamicObject, document_differs: bool, labels_differ: bool) -> ApplyAction {
    match (document_differs, has_finished_job(present)) {
        (true, true) => ApplyAction::Replace("it has finished, and its document has changed"),
        (true, false) => ApplyAction::UpdateMetadata,
        (false, _) if labels_differ => ApplyAction::UpdateMetadata,
        (false, _) => ApplyAction::Unchanged,
    }
}

/// Whether an object has the labels and annotations that it inherits from its source. Others of
/// ours may differ between versions of the operator.
fn has_inherited(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let has = |live: &BTreeMap<String, String>, desired: &BTreeMap<String, String>| {
        let mut inherited = desired.iter().filter(|(key, _)| is_inherited(key));
        inherited.all(|(key, value)| live.get(key) == Some(value))
    };
    has(live.labels(), desired.labels()) && has(live.annotations(), desired.annotations())
}

fn has_finished_job(job: &DynamicObject) -> bool {
    let conditions = job.data.get("status").and_then(|status| status.get("conditions"));
    conditions.and_then(Value::as_array).into_iter().flatten().any(|condition| {
        matches!(condition.get("type").and_then(Value::as_str), Some("Complete" | "Failed"))
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// Whether an object still contains everything that is desired.
fn contains_desired(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let labels = desired.labels().iter().all(|(key, value)| live.labels().get(key) == Some(value));
    let annotations =
        desired.annotations().iter().all(|(key, value)| live.annotations().get(key) == Some(value));
    labels && annotations && compare::contains(&live.data, &desired.data)
}

/// A hash of an object's content, without its status.
pub(crate) fn content_hash(object: &DynamicObject) -> String {
    let mut data = object.data.clone();
    if let Value::Object(members) = &mut data {
        members.remove("status");
    }
    let metadata = (object.labels(), object.annotations());
    hash::of_text(&format!("{metadata:?}{data}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(annotations: &Value, spec: &Value, status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "shop", "annotations": annotations},
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    fn child(kind: ChildKind, annotations: &Value, spec: &Value) -> Child {
        let mut object = object(annotations, spec, &Value::Null);
        object.data.as_object_mut().unwrap().remove("status");
        Child { kind, object }
    }

    #[test]
    fn a_child_that_is_right_is_kept() {
        let desired =
            child(ChildKind::Deployment, &json!({APPLIED_HASH: "1"}), &json!({"replicas": 2}));
        let live = object(
            &json!({APPLIED_HASH: "1"}),
            &json!({"replicas": 2, "paused": false}),
            &json!({}),
        );
        assert_eq!(decide(&desired, &live, |_| false), ApplyAction::Unchanged);
    }

    #[test]
    fn an_edited_child_is_applied_unless_the_server_normalized_it() {
        let desired =
            child(ChildKind::Deployment, &json!({APPLIED_HASH: "1"}), &json!({"replicas": 2}));
        let live = object(&json!({APPLIED_HASH: "1"}), &json!({"replicas": 5}), &json!({}));
        assert_eq!(decide(&desired, &live, |_| false), ApplyAction::Update);
        assert_eq!(decide(&desired, &live, |_| true), ApplyAction::Unchanged);
        let stale = object(&json!({APPLIED_HASH: "0"}), &json!({"replicas": 2}), &json!({}));
        assert_eq!(decide(&desired, &stale, |_| true), ApplyAction::Update);
    }

    #[test]
    fn what_cannot_be_changed_is_replaced() {
        let desired = child(ChildKind::StatefulSet, &json!({IMMUTABLE_HASH: "b"}), &json!({}));
        let live = object(&json!({IMMUTABLE_HASH: "a"}), &json!({}), &json!({}));
        assert!(matches!(decide(&desired, &live, |_| false), ApplyAction::Replace(_)));
    }

    #[test]
    fn a_job_that_runs_keeps_its_pods_and_one_that_ended_runs_again_for_something_else() {
        let desired = child(
            ChildKind::Job,
            &json!({DOCUMENT_HASH: "b", APPLIED_HASH: "2"}),
            &json!({"x": 1}),
        );
        let job = |document: &str, ended: bool| {
            let conditions =
                &json!([{"type": "Complete", "status": if ended { "True" } else { "False" }}]);
            let notes = json!({DOCUMENT_HASH: document, APPLIED_HASH: "1"});
            object(&notes, &json!({"x": 2}), &json!({"conditions": conditions}))
        };
        assert_eq!(decide(&desired, &job("b", true), |_| false), ApplyAction::Unchanged);
        assert_eq!(decide(&desired, &job("b", false), |_| false), ApplyAction::Unchanged);
        assert_eq!(decide(&desired, &job("a", false), |_| false), ApplyAction::UpdateMetadata);
        assert!(matches!(decide(&desired, &job("a", true), |_| false), ApplyAction::Replace(_)));
    }

    #[test]
    fn a_job_gets_the_labels_of_its_source_and_stays_what_it_is() {
        let of = |labels: &Value, annotations: &Value| -> DynamicObject {
            let metadata = json!({"name": "shop", "labels": labels, "annotations": annotations});
            serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
        };
        let version = |number: &str| json!({APPLIED_HASH: number, DOCUMENT_HASH: "a"});
        let desired =
            |labels: &Value| Child { kind: ChildKind::Job, object: of(labels, &version("2")) };
        let other_version = json!({"app.kubernetes.io/version": "0"});
        let live = of(&other_version, &version("1"));
        let ours = json!({"app.kubernetes.io/version": "1"});
        assert_eq!(decide(&desired(&ours), &live, |_| false), ApplyAction::Unchanged);
        let team = json!({"app.kubernetes.io/version": "1", "team": "logs"});
        assert_eq!(decide(&desired(&team), &live, |_| false), ApplyAction::UpdateMetadata);
        let labeled = of(&json!({"team": "logs"}), &version("1"));
        assert_eq!(decide(&desired(&team), &labeled, |_| false), ApplyAction::Unchanged);
    }

    #[test]
    fn the_state_of_an_object_is_none_of_its_content() {
        let one = object(&json!({}), &json!({"replicas": 2}), &json!({"replicas": 1}));
        let two = object(&json!({}), &json!({"replicas": 2}), &json!({"replicas": 2}));
        let three = object(&json!({}), &json!({"replicas": 3}), &json!({"replicas": 2}));
        assert_eq!(content_hash(&one), content_hash(&two));
        assert_ne!(content_hash(&one), content_hash(&three));
    }
}
