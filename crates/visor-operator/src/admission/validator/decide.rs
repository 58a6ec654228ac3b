//! The decision about a source that is applied. Pure.

use serde_json::{Value, json};
use visor_api::{FakeLogSource, document, rules, source::Workload};

use crate::{policy::Policy, source};

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Allowed, with warnings.
    Allowed(Vec<String>),
    Rejected(String),
}

/// The API server truncates longer warnings, in characters.
const MAX_WARNING_CHARACTERS: usize = 256;
const MAX_WARNINGS: usize = 10;

/// Decides about a source; `old` is its previous spec.
///
/// A source that is being deleted, or whose spec hasn't changed, is always allowed: a finalizer, a
/// label or an owner has changed, and must be able to, whatever is wrong with the rest.
pub(super) fn source(policy: &Policy, old: Option<&Value>, mut new: Value) -> Decision {
    let allowed = Decision::Allowed(Vec::new());
    if new.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()) {
        return allowed;
    }
    if old.is_some() && old == new.get("spec") {
        return allowed;
    }
    fill_in_name(&mut new);
    match read(policy, new) {
        Ok(source) => Decision::Allowed(warnings(&source)),
        Err(why) => Decision::Rejected(why),
    }
}

/// Gives a source with a `generateName` a name of that form.
fn fill_in_name(source: &mut Value) {
    let Some(metadata) = source.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let is_named =
        metadata.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    if let Some(begin) = metadata.get("generateName").and_then(Value::as_str)
        && !is_named
    {
        // As many characters as the API server appends.
        let name = json!(format!("{begin}xxxxx"));
        metadata.insert("name".to_owned(), name);
    }
}

fn read(policy: &Policy, new: Value) -> Result<FakeLogSource, String> {
    let read = document::from_json(new).map_err(|problem| problem.to_string())?;
    source::check(&read).map_err(|rejection| rejection.message)?;
    policy.check(&read.spec).map_err(|rejection| rejection.message)?;
    Ok(read)
}

fn warnings(source: &FakeLogSource) -> Vec<String> {
    let notes = rules::notes(source);
    let warnings = notes.iter().take(MAX_WARNINGS).map(|note| {
        let text = note.to_string();
        text.chars().take(MAX_WARNING_CHARACTERS).collect()
    });
    warnings.collect()
}

/// Whether a source of this workload can be scaled.
pub(super) fn scale(workload: Workload) -> Decision {
    match workload {
        Workload::DaemonSet => Decision::Rejected(
            "a source of `workload: DaemonSet` runs one pod on each eligible node and can't be scaled; \
             select nodes by `podTemplate.nodeSelector`, or choose another workload"
                .to_owned(),
        ),
        Workload::Sidecar => Decision::Rejected(
            "a source of `workload: Sidecar` has no pods of its own and can't be scaled; scale the \
             workloads that request injection"
                .to_owned(),
        ),
        Workload::Deployment | Workload::StatefulSet | Workload::Job => {
            Decision::Allowed(Vec::new())
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

    fn decision_of(spec: &Value) -> Decision {
        source(&Policy::default(), None, shop(spec))
    }

    #[test]
    fn what_visor_validate_rejects_is_denied_with_its_path() {
        let log_format = json!({"name": "web", "access": {"format": "Custom", "logFormat": "%{"}});
        for (spec, path) in [
            (json!({"timeZone": "Mars"}), "spec.timeZone"),
            (json!({"stopAfter": {"duration": "900000h"}}), "spec.stopAfter"),
            (json!({"generators": [log_format]}), "spec.generators[0].access.logFormat"),
            (json!({"volume": {"hostPath": {"path": "/"}}}), "spec.volume.hostPath"),
        ] {
            let Decision::Rejected(why) = decision_of(&spec) else { panic!("{spec} is taken") };
            assert!(why.starts_with(path), "{why}");
        }
        assert_eq!(decision_of(&json!({})), Decision::Allowed(vec![]));
        let allowing = Policy { allowed: vec![Privilege::HostPath], forbidden: vec![] };
        let is_host_path = shop(&json!({
            "volume": {"hostPath": {"path": "/var/log/shop"}},
            "generators": [{"name": "web", "access": {}, "output": {"file": {"path": "a.log"}}}],
        }));
        assert_eq!(source(&allowing, None, is_host_path), Decision::Allowed(vec![]));
    }

    #[test]
    fn what_is_odd_is_a_warning() {
        for workload in ["DaemonSet", "Sidecar"] {
            let Decision::Allowed(warnings) =
                decision_of(&json!({"workload": workload, "replicas": 3}))
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
        assert_eq!(
            source(&Policy::default(), old.as_ref(), bad.clone()),
            Decision::Allowed(vec![])
        );
        let mut going = bad.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(source(&Policy::default(), None, going), Decision::Allowed(vec![]));
        let other = json!({});
        assert!(matches!(source(&Policy::default(), Some(&other), bad), Decision::Rejected(_)));
    }

    #[test]
    fn a_name_that_the_server_makes_is_looked_at_as_it_will_be() {
        let named = |begin: &str| {
            let mut object = shop(&json!({}));
            object["metadata"] = json!({"generateName": begin, "namespace": "web"});
            source(&Policy::default(), None, object)
        };
        assert_eq!(named("shop-"), Decision::Allowed(vec![]));
        assert!(matches!(named("Shop-"), Decision::Rejected(_)));
        assert!(matches!(named(&"s".repeat(50)), Decision::Rejected(_)));
    }

    #[test]
    fn what_has_no_pods_to_count_can_not_be_scaled() {
        assert!(matches!(scale(Workload::DaemonSet), Decision::Rejected(_)));
        assert!(matches!(scale(Workload::Sidecar), Decision::Rejected(_)));
        assert_eq!(scale(Workload::StatefulSet), Decision::Allowed(vec![]));
    }
}
