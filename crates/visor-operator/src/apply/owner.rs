//! Whose a child is. What the source doesn't control is never touched, with one exception: what a
//! former source of the same name has left behind (`kubectl delete --cascade=orphan`, a backup that was
//! restored), if the source says that it wants it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt, core::DynamicObject};
use visor_api::FakeLogSource;

use crate::{
    build::labels::{ADOPT, INSTANCE, MANAGED_BY, MANAGER},
    children::ChildKind,
    source::{Refusal, ValidSource},
};

/// Whose a child is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The source's.
    Source,
    /// Nobody's, and the source takes it over.
    Nobody,
    /// Somebody else's.
    Foreign(Whose),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A source's that is no more: it goes.
    Former,
    /// This object's, by its kind and name.
    Object(String),
    /// Nobody's, but it has the marks of one of our children.
    LeftBehind,
    /// Nobody's.
    Unknown,
}

pub(super) fn of(source: ValidSource<'_>, object: &DynamicObject) -> Owner {
    let controller = object.owner_references().iter().find(|owner| owner.controller == Some(true));
    let label = |key: &str| object.labels().get(key).map(String::as_str);
    let is_marked = label(MANAGED_BY) == Some(MANAGER) && label(INSTANCE) == Some(source.name());
    match controller {
        Some(owner) if owner.uid == source.uid() => Owner::Source,
        Some(owner) if is_a_source(owner) && owner.name == source.name() => {
            Owner::Foreign(Whose::Former)
        }
        Some(owner) => Owner::Foreign(Whose::Object(format!("{} {}", owner.kind, owner.name))),
        None if is_marked && adopts(source) => Owner::Nobody,
        None if is_marked => Owner::Foreign(Whose::LeftBehind),
        None => Owner::Foreign(Whose::Unknown),
    }
}

fn adopts(source: ValidSource<'_>) -> bool {
    let annotations = source.metadata().annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(ADOPT)).is_some_and(|value| value == "true")
}

/// Of whatever version, but not of somebody else's kind of the same name.
fn is_a_source(owner: &OwnerReference) -> bool {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    owner.kind == FakeLogSource::kind(&()) && group == FakeLogSource::group(&())
}

/// What is said of objects that are in the way: of all of them at once.
pub(super) fn refusal(source: ValidSource<'_>, foreign: &[(ChildKind, Whose)]) -> Refusal {
    let name = source.name();
    let listed: Vec<_> = foreign
        .iter()
        .map(|(kind, whose)| {
            let whose = match whose {
                Whose::Former => "of a former source of this name".to_owned(),
                Whose::Object(owner) => format!("that {owner} controls"),
                Whose::LeftBehind => "that a former source of this name has left behind".to_owned(),
                Whose::Unknown => "that is not of this source".to_owned(),
            };
            format!("a {} `{name}` {whose}", kind.name())
        })
        .collect();
    let all = |is: fn(&Whose) -> bool| foreign.iter().all(|(_, whose)| is(whose));
    let remedy = if all(|whose| *whose == Whose::Former) {
        "waiting for Kubernetes to remove it".to_owned()
    } else if all(|whose| matches!(whose, Whose::LeftBehind | Whose::Former)) {
        format!(
            "to take it over, annotate this source (`kubectl annotate fls {name} {ADOPT}=true`); \
             or remove it, or rename this source"
        )
    } else {
        "rename this source, or remove that object".to_owned()
    };
    Refusal::new("NameTaken", format!("there is {}; {remedy}", listed.join(", and ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What a source `shop` of the uid `new` makes of an object.
    fn judged(metadata: &Value, annotations: &Value) -> (Owner, Option<String>) {
        let object: DynamicObject = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let source: FakeLogSource = serde_json::from_value(json!({
            "apiVersion": "visor.dev/v1alpha1",
            "kind": "FakeLogSource",
            "metadata": {"name": "shop", "namespace": "team-a", "uid": "new",
                         "annotations": annotations},
            "spec": {"generators": [{"name": "web", "access": {}}]},
        }))
        .unwrap();
        let source = crate::source::check(&source).unwrap();
        let source = ValidSource::of(&source);
        let owner = of(source, &object);
        let message = match of(source, &object) {
            Owner::Foreign(whose) => {
                Some(refusal(source, &[(ChildKind::ConfigMap, whose)]).message)
            }
            _ => None,
        };
        (owner, message)
    }

    fn of_a_controller(api_version: &str, kind: &str, uid: &str) -> Value {
        json!({"name": "shop", "ownerReferences": [{
            "apiVersion": api_version, "kind": kind, "name": "shop", "uid": uid, "controller": true,
        }]})
    }

    #[test]
    fn a_name_that_is_taken_says_by_whom_and_what_to_do() {
        let judged = |metadata: &Value| super::tests::judged(metadata, &json!({}));
        let own = of_a_controller("visor.dev/v1alpha1", "FakeLogSource", "new");
        assert_eq!(judged(&own).0, Owner::Source);
        assert_eq!(
            judged(&of_a_controller("visor.dev/v1", "FakeLogSource", "old")).1.as_deref(),
            Some(
                "there is a ConfigMap `shop` of a former source of this name; \
                 waiting for Kubernetes to remove it"
            )
        );
        let rename = "; rename this source, or remove that object";
        for (api_version, kind) in [("visor.dev/v1", "Shop"), ("example.com/v1", "FakeLogSource")] {
            let others = judged(&of_a_controller(api_version, kind, "old")).1.unwrap();
            let whose = format!("that {kind} shop controls");
            assert!(others.contains(&whose) && others.ends_with(rename), "{others}");
        }
        let nobodys = judged(&json!({"name": "shop"})).1.unwrap();
        assert!(nobodys.contains("not of this source") && nobodys.ends_with(rename), "{nobodys}");
    }

    #[test]
    fn what_was_left_behind_is_taken_over_if_the_source_says_so() {
        let left = json!({"name": "shop", "labels": {MANAGED_BY: MANAGER, INSTANCE: "shop"}});
        let (owner, message) = judged(&left, &json!({}));
        assert_eq!(owner, Owner::Foreign(Whose::LeftBehind));
        assert!(message.unwrap().contains("kubectl annotate fls shop visor.dev/adopt=true"));
        let wish = json!({ADOPT: "true"});
        assert_eq!(judged(&left, &wish).0, Owner::Nobody);
        // Nothing else is, whatever the source says.
        let unmarked = json!({"name": "shop", "labels": {INSTANCE: "shop"}});
        assert_eq!(judged(&unmarked, &wish).0, Owner::Foreign(Whose::Unknown));
        let other = json!({"name": "shop", "labels": {MANAGED_BY: MANAGER, INSTANCE: "other"}});
        assert_eq!(judged(&other, &wish).0, Owner::Foreign(Whose::Unknown));
        let mut theirs = of_a_controller("apps/v1", "Deployment", "old");
        theirs["labels"] = left["labels"].clone();
        assert!(matches!(judged(&theirs, &wish).0, Owner::Foreign(Whose::Object(_))));
    }
}
