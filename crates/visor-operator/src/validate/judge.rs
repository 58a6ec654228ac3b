//! What becomes of a source that somebody applies. Pure.

use serde_json::{Value, json};
use visor_api::{FakeLogSource, document, rules, source::Workload};

use crate::{policy::Policy, source};

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken, with what may not have been meant.
    Allowed(Vec<String>),
    Refused(String),
}

/// Warnings of more characters are cut by the API server.
const LONGEST_WARNING: usize = 256;
const MOST_WARNINGS: usize = 10;

/// Looks at a source as it is to be; `old` is its spec as it was.
///
/// One that is about to go, or whose spec stays as it was, is none of ours: a finalizer, a label or an
/// owner has changed, and must, whatever is wrong with the rest.
pub(super) fn source(policy: &Policy, old: Option<&Value>, mut new: Value) -> Verdict {
    let allowed = Verdict::Allowed(Vec::new());
    if new.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()) {
        return allowed;
    }
    if old.is_some() && old == new.get("spec") {
        return allowed;
    }
    name_it(&mut new);
    match read(policy, new) {
        Ok(source) => Verdict::Allowed(warnings(&source)),
        Err(why) => Verdict::Refused(why),
    }
}

/// Gives a source that is to be called by its `generateName` a name like that.
fn name_it(source: &mut Value) {
    let Some(metadata) = source.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let is_named =
        metadata.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    if let Some(begin) = metadata.get("generateName").and_then(Value::as_str)
        && !is_named
    {
        // As many characters as the API server adds.
        let name = json!(format!("{begin}xxxxx"));
        metadata.insert("name".to_owned(), name);
    }
}

fn read(policy: &Policy, new: Value) -> Result<FakeLogSource, String> {
    let read = document::from_json(new).map_err(|problem| problem.to_string())?;
    source::check(&read).map_err(|refusal| refusal.message)?;
    policy.check(&read.spec).map_err(|refusal| refusal.message)?;
    Ok(read)
}

fn warnings(source: &FakeLogSource) -> Vec<String> {
    let notes = rules::notes(source);
    let warnings = notes.iter().take(MOST_WARNINGS).map(|note| {
        let text = note.to_string();
        text.chars().take(LONGEST_WARNING).collect()
    });
    warnings.collect()
}

/// Whether a source of this workload can be scaled.
pub(super) fn scale(workload: Workload) -> Verdict {
    match workload {
        Workload::DaemonSet => Verdict::Refused(
            "a source of `workload: DaemonSet` has one pod on each node that its pods may run on; \
             choose the nodes by `podTemplate.nodeSelector`, or another workload"
                .to_owned(),
        ),
        Workload::Sidecar => Verdict::Refused(
            "a source of `workload: Sidecar` has no pods of its own; scale what makes the pods that \
             ask for it"
                .to_owned(),
        ),
        Workload::Deployment | Workload::StatefulSet | Workload::Job => {
            Verdict::Allowed(Vec::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Privilege;

    fn shop(spec: &Value) -> Value {
        let mut object = json!({
            "apiVersion": "visor.dev/v1alpha1", "kind": "FakeLogSource",
            "metadata": {"name": "shop", "namespace": "web"},
            "spec": {"generators": [{"name": "web", "access": {}}]},
        });
        for (key, value) in spec.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        object
    }

    fn judged(spec: &Value) -> Verdict {
        source(&Policy::default(), None, shop(spec))
    }

    #[test]
    fn what_visor_validate_refuses_is_refused_with_its_path() {
        let log_format = json!({"name": "web", "access": {"format": "Custom", "logFormat": "%{"}});
        for (spec, path) in [
            (json!({"timeZone": "Mars"}), "spec.timeZone"),
            (json!({"stopAfter": {"duration": "900000h"}}), "spec.stopAfter"),
            (json!({"generators": [log_format]}), "spec.generators[0].access.logFormat"),
            (json!({"volume": {"hostPath": {"path": "/"}}}), "spec.volume.hostPath"),
        ] {
            let Verdict::Refused(why) = judged(&spec) else { panic!("{spec} is taken") };
            assert!(why.starts_with(path), "{why}");
        }
        assert_eq!(judged(&json!({})), Verdict::Allowed(vec![]));
        let allowing = Policy { allowed: vec![Privilege::HostPath], forbidden: vec![] };
        let on_the_node = shop(&json!({"volume": {"hostPath": {"path": "/var/log/shop"}}}));
        assert_eq!(source(&allowing, None, on_the_node), Verdict::Allowed(vec![]));
    }

    #[test]
    fn what_is_odd_is_a_warning() {
        for workload in ["DaemonSet", "Sidecar"] {
            let Verdict::Allowed(warnings) = judged(&json!({"workload": workload, "replicas": 3}))
            else {
                panic!("{workload}")
            };
            assert_eq!(warnings.len(), 1);
            assert!(warnings[0].starts_with("spec.replicas: "), "{warnings:?}");
        }
    }

    #[test]
    fn a_source_that_is_stored_can_always_be_let_go() {
        let bad = shop(&json!({"timeZone": "Mars"}));
        let old = bad.get("spec").cloned();
        assert_eq!(source(&Policy::default(), old.as_ref(), bad.clone()), Verdict::Allowed(vec![]));
        let mut going = bad.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(source(&Policy::default(), None, going), Verdict::Allowed(vec![]));
        let other = json!({});
        assert!(matches!(source(&Policy::default(), Some(&other), bad), Verdict::Refused(_)));
    }

    #[test]
    fn a_name_that_the_server_makes_is_looked_at_as_it_will_be() {
        let named = |begin: &str| {
            let mut object = shop(&json!({}));
            object["metadata"] = json!({"generateName": begin, "namespace": "web"});
            source(&Policy::default(), None, object)
        };
        assert_eq!(named("shop-"), Verdict::Allowed(vec![]));
        assert!(matches!(named("Shop-"), Verdict::Refused(_)));
        assert!(matches!(named(&"s".repeat(50)), Verdict::Refused(_)));
    }

    #[test]
    fn what_has_no_pods_to_count_can_not_be_scaled() {
        assert!(matches!(scale(Workload::DaemonSet), Verdict::Refused(_)));
        assert!(matches!(scale(Workload::Sidecar), Verdict::Refused(_)));
        assert_eq!(scale(Workload::StatefulSet), Verdict::Allowed(vec![]));
    }
}
