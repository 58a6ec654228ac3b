//! Ownership of a child. An object that the source doesn't control is never changed, with one
//! exception: an orphan of a deleted source of the same name (`kubectl delete --cascade=orphan`, a
//! restored backup), if the source asks to adopt it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt, core::DynamicObject};
use visor_api::FakeLogSource;

use crate::{
    controller::build::children::ChildKind,
    labels::{ADOPT_ANNOTATION, FIELD_MANAGER, INSTANCE_LABEL, MANAGED_BY_LABEL},
    source::{Rejection, ValidSource},
};

/// The ownership of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Controlled by the source.
    Owned,
    /// Orphaned, and the source adopts it.
    Orphaned,
    /// Owned by something else.
    Foreign(ForeignOwner),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ForeignOwner {
    /// A deleted source: the garbage collector is about to delete the object.
    DeletedSource,
    /// A controller, by its kind and name.
    Controller(String),
    /// None, but the object has the labels of our children.
    Orphan,
    /// None.
    NoController,
}

pub(super) fn of(source: ValidSource<'_>, object: &DynamicObject) -> Ownership {
    let controller = object
        .owner_references()
        .iter()
        .find(|controller_name| controller_name.controller == Some(true));
    let label = |key: &str| object.labels().get(key).map(String::as_str);
    let is_marked = label(MANAGED_BY_LABEL) == Some(FIELD_MANAGER)
        && label(INSTANCE_LABEL) == Some(source.name());
    match controller {
        Some(controller_name) if controller_name.uid == source.uid() => Ownership::Owned,
        Some(controller_name)
            if is_a_source(controller_name) && controller_name.name == source.name() =>
        {
            Ownership::Foreign(ForeignOwner::DeletedSource)
        }
        Some(controller_name) => Ownership::Foreign(ForeignOwner::Controller(format!(
            "{} {}",
            controller_name.kind, controller_name.name
        ))),
        None if is_marked && wants_to_adopt(source) => Ownership::Orphaned,
        None if is_marked => Ownership::Foreign(ForeignOwner::Orphan),
        None => Ownership::Foreign(ForeignOwner::NoController),
    }
}

fn wants_to_adopt(source: ValidSource<'_>) -> bool {
    let annotations = source.metadata().annotations.as_ref();
    annotations
        .and_then(|annotations| annotations.get(ADOPT_ANNOTATION))
        .is_some_and(|value| value == "true")
}

/// Of any version, but not of a kind of the same name in another group.
fn is_a_source(controller_name: &OwnerReference) -> bool {
    let group = controller_name.api_version.split_once('/').map_or("", |(group, _)| group);
    controller_name.kind == FakeLogSource::kind(&()) && group == FakeLogSource::group(&())
}

/// The rejection that names all conflicting objects at once.
pub(super) fn rejection(
    source: ValidSource<'_>,
    foreign: &[(ChildKind, ForeignOwner)],
) -> Rejection {
    let name = source.name();
    let listed: Vec<_> = foreign
        .iter()
        .map(|(kind, owner)| {
            let owner = match owner {
                ForeignOwner::DeletedSource => {
                    "is owned by a deleted source of this name".to_owned()
                }
                ForeignOwner::Controller(controller_name) => {
                    format!("is controlled by {controller_name}")
                }
                ForeignOwner::Orphan => "was left by a deleted source of this name".to_owned(),
                ForeignOwner::NoController => "isn't owned by this source".to_owned(),
            };
            format!("{} `{name}` already exists and {owner}", kind.name())
        })
        .collect();
    let all = |is: fn(&ForeignOwner) -> bool| foreign.iter().all(|(_, owner)| is(owner));
    let remedy = if all(|owner| *owner == ForeignOwner::DeletedSource) {
        "waiting for Kubernetes to delete it".to_owned()
    } else if all(|owner| matches!(owner, ForeignOwner::Orphan | ForeignOwner::DeletedSource)) {
        format!(
            "to adopt it, annotate this source (`kubectl annotate fls {name} {ADOPT_ANNOTATION}=true`); \
             otherwise delete it or rename this source"
        )
    } else {
        "rename this source or delete that object".to_owned()
    };
    Rejection::new("NameConflict", format!("{}; {remedy}", listed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What a source `shop` of the uid `new` makes of an object.
    fn ownership_of(metadata: &Value, annotations: &Value) -> (Ownership, Option<String>) {
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
        let controller_name = of(source, &object);
        let message = match of(source, &object) {
            Ownership::Foreign(owner) => {
                Some(rejection(source, &[(ChildKind::ConfigMap, owner)]).message)
            }
            _ => None,
        };
        (controller_name, message)
    }

    fn of_a_controller(api_version: &str, kind: &str, uid: &str) -> Value {
        json!({"name": "shop", "ownerReferences": [{
            "apiVersion": api_version, "kind": kind, "name": "shop", "uid": uid, "controller": true,
        }]})
    }

    #[test]
    fn a_name_conflict_names_the_owner_and_the_remedy() {
        let ownership_of = |metadata: &Value| super::tests::ownership_of(metadata, &json!({}));
        let own = of_a_controller("visor.dev/v1alpha1", "FakeLogSource", "new");
        assert_eq!(ownership_of(&own).0, Ownership::Owned);
        assert_eq!(
            ownership_of(&of_a_controller("visor.dev/v1", "FakeLogSource", "old")).1.as_deref(),
            Some(
                "ConfigMap `shop` already exists and is owned by a deleted source of this name; \
                 waiting for Kubernetes to delete it"
            )
        );
        let rename = "; rename this source or delete that object";
        for (api_version, kind) in [("visor.dev/v1", "Shop"), ("example.com/v1", "FakeLogSource")] {
            let others = ownership_of(&of_a_controller(api_version, kind, "old")).1.unwrap();
            let owner = format!("is controlled by {kind} shop");
            assert!(others.contains(&owner) && others.ends_with(rename), "{others}");
        }
        let orphan_message = ownership_of(&json!({"name": "shop"})).1.unwrap();
        assert!(
            orphan_message.contains("isn't owned by this source")
                && orphan_message.ends_with(rename),
            "{orphan_message}"
        );
    }

    #[test]
    fn an_orphan_is_adopted_if_the_source_requests_it() {
        let left = json!({"name": "shop", "labels": {MANAGED_BY_LABEL: FIELD_MANAGER, INSTANCE_LABEL: "shop"}});
        let (controller_name, message) = ownership_of(&left, &json!({}));
        assert_eq!(controller_name, Ownership::Foreign(ForeignOwner::Orphan));
        assert!(message.unwrap().contains("kubectl annotate fls shop visor.dev/adopt=true"));
        let adopt = json!({ADOPT_ANNOTATION: "true"});
        assert_eq!(ownership_of(&left, &adopt).0, Ownership::Orphaned);
        // Nothing else is, even if the source requests it.
        let unmarked = json!({"name": "shop", "labels": {INSTANCE_LABEL: "shop"}});
        assert_eq!(
            ownership_of(&unmarked, &adopt).0,
            Ownership::Foreign(ForeignOwner::NoController)
        );
        let other = json!({"name": "shop", "labels": {MANAGED_BY_LABEL: FIELD_MANAGER, INSTANCE_LABEL: "other"}});
        assert_eq!(ownership_of(&other, &adopt).0, Ownership::Foreign(ForeignOwner::NoController));
        let mut theirs = of_a_controller("apps/v1", "Deployment", "old");
        theirs["labels"] = left["labels"].clone();
        assert!(matches!(
            ownership_of(&theirs, &adopt).0,
            Ownership::Foreign(ForeignOwner::Controller(_))
        ));
    }
}
