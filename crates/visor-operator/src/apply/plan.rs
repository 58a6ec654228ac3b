//! What to do about a child that is there: nothing, or which kind of write. Pure.

use std::collections::BTreeMap;

use kube::{ResourceExt, core::DynamicObject};
use serde_json::Value;

use crate::{
    build::{
        hash,
        labels::{APPLIED, DOCUMENT, IMMUTABLE, is_inherited},
    },
    children::{Child, ChildKind},
    compare,
};

/// What to do about a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It is as it should be.
    Keep,
    /// It says something else.
    Update,
    /// Only its labels and annotations are to change.
    Annotate,
    /// It says something else that can't be changed in one that exists.
    Replace(&'static str),
}

/// Decides. `as_written` says whether an object is as the server wrote it down last.
pub(crate) fn plan(
    child: &Child,
    present: &DynamicObject,
    as_written: impl FnOnce(&DynamicObject) -> bool,
) -> Plan {
    let differs = |key: &str| child.object.annotations().get(key) != present.annotations().get(key);
    if differs(IMMUTABLE) {
        return Plan::Replace("what has changed of it can't be changed in one that exists");
    }
    if child.kind == ChildKind::Job {
        return plan_job(present, differs(DOCUMENT), !has_inherited(present, &child.object));
    }
    if differs(APPLIED) {
        return Plan::Update;
    }
    if says(present, &child.object) || as_written(present) { Plan::Keep } else { Plan::Update }
}

impl Plan {
    /// What to do about a child that nobody owns any more and that the source takes over: it says so,
    /// at the least.
    pub(crate) fn of_an_orphan(self, kind: ChildKind) -> Self {
        match self {
            Self::Replace(why) => Self::Replace(why),
            _ if kind == ChildKind::Job => Self::Replace("its pods are those of another source"),
            _ => Self::Update,
        }
    }
}

/// The pods of a Job can't be changed; but what they write can, in those that run. One that has
/// ended is run again if it is to write something else.
fn plan_job(present: &DynamicObject, document_differs: bool, labels_differ: bool) -> Plan {
    match (document_differs, has_ended(present)) {
        (true, true) => Plan::Replace("it has ended, and there is something else to write now"),
        (true, false) => Plan::Annotate,
        (false, _) if labels_differ => Plan::Annotate,
        (false, _) => Plan::Keep,
    }
}

/// Whether an object has the labels and annotations that its source has. Others of ours tell versions of
/// the operator apart, too.
fn has_inherited(live: &DynamicObject, wished: &DynamicObject) -> bool {
    let has = |live: &BTreeMap<String, String>, wished: &BTreeMap<String, String>| {
        let mut inherited = wished.iter().filter(|(key, _)| is_inherited(key));
        inherited.all(|(key, value)| live.get(key) == Some(value))
    };
    has(live.labels(), wished.labels()) && has(live.annotations(), wished.annotations())
}

fn has_ended(job: &DynamicObject) -> bool {
    let conditions = job.data.get("status").and_then(|status| status.get("conditions"));
    conditions.and_then(Value::as_array).into_iter().flatten().any(|condition| {
        matches!(condition.get("type").and_then(Value::as_str), Some("Complete" | "Failed"))
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// Whether an object still says what is wished, as far as the server keeps to the letter.
fn says(live: &DynamicObject, wished: &DynamicObject) -> bool {
    let labels = wished.labels().iter().all(|(key, value)| live.labels().get(key) == Some(value));
    let annotations =
        wished.annotations().iter().all(|(key, value)| live.annotations().get(key) == Some(value));
    labels && annotations && compare::says(&live.data, &wished.data)
}

/// A hash of what an object says, without what is only its state.
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
        let wished = child(ChildKind::Deployment, &json!({APPLIED: "1"}), &json!({"replicas": 2}));
        let live =
            object(&json!({APPLIED: "1"}), &json!({"replicas": 2, "paused": false}), &json!({}));
        assert_eq!(plan(&wished, &live, |_| false), Plan::Keep);
    }

    #[test]
    fn a_child_that_was_edited_is_put_right_unless_the_server_wrote_it_so() {
        let wished = child(ChildKind::Deployment, &json!({APPLIED: "1"}), &json!({"replicas": 2}));
        let live = object(&json!({APPLIED: "1"}), &json!({"replicas": 5}), &json!({}));
        assert_eq!(plan(&wished, &live, |_| false), Plan::Update);
        assert_eq!(plan(&wished, &live, |_| true), Plan::Keep);
        let stale = object(&json!({APPLIED: "0"}), &json!({"replicas": 2}), &json!({}));
        assert_eq!(plan(&wished, &stale, |_| true), Plan::Update);
    }

    #[test]
    fn what_cannot_be_changed_is_replaced() {
        let wished = child(ChildKind::StatefulSet, &json!({IMMUTABLE: "b"}), &json!({}));
        let live = object(&json!({IMMUTABLE: "a"}), &json!({}), &json!({}));
        assert!(matches!(plan(&wished, &live, |_| false), Plan::Replace(_)));
    }

    #[test]
    fn a_job_that_runs_keeps_its_pods_and_one_that_ended_runs_again_for_something_else() {
        let wished = child(ChildKind::Job, &json!({DOCUMENT: "b", APPLIED: "2"}), &json!({"x": 1}));
        let job = |document: &str, ended: bool| {
            let conditions =
                &json!([{"type": "Complete", "status": if ended { "True" } else { "False" }}]);
            let notes = json!({DOCUMENT: document, APPLIED: "1"});
            object(&notes, &json!({"x": 2}), &json!({"conditions": conditions}))
        };
        assert_eq!(plan(&wished, &job("b", true), |_| false), Plan::Keep);
        assert_eq!(plan(&wished, &job("b", false), |_| false), Plan::Keep);
        assert_eq!(plan(&wished, &job("a", false), |_| false), Plan::Annotate);
        assert!(matches!(plan(&wished, &job("a", true), |_| false), Plan::Replace(_)));
    }

    #[test]
    fn a_job_gets_the_labels_of_its_source_and_stays_what_it_is() {
        let of = |labels: &Value, annotations: &Value| -> DynamicObject {
            let metadata = json!({"name": "shop", "labels": labels, "annotations": annotations});
            serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
        };
        let version = |number: &str| json!({APPLIED: number, DOCUMENT: "a"});
        let wished =
            |labels: &Value| Child { kind: ChildKind::Job, object: of(labels, &version("2")) };
        let other_version = json!({"app.kubernetes.io/version": "0"});
        let live = of(&other_version, &version("1"));
        let ours = json!({"app.kubernetes.io/version": "1"});
        assert_eq!(plan(&wished(&ours), &live, |_| false), Plan::Keep);
        let team = json!({"app.kubernetes.io/version": "1", "team": "logs"});
        assert_eq!(plan(&wished(&team), &live, |_| false), Plan::Annotate);
        let labelled = of(&json!({"team": "logs"}), &version("1"));
        assert_eq!(plan(&wished(&team), &labelled, |_| false), Plan::Keep);
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
