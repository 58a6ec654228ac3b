//! Drift detection: whether an object still contains everything that is desired. Pure.
//!
//! The API server adds defaults, and other managers may add fields of theirs, so a live object has
//! more fields than the desired one. It has drifted if a desired field is missing or different, or
//! if a list has lost, changed or (where the API server doesn't merge items) gained items.

use serde_json::{Map, Value};

/// The fields by which the API server identifies the items of the lists that we write
/// (`x-kubernetes-list-map-keys`). Items that have none of them are identified by their index.
const KEYS: [&str; 6] = ["name", "containerPort", "port", "mountPath", "uid", "type"];

/// Whether `live` contains everything in `desired`.
pub(crate) fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => object_contains(live, desired),
        (Value::Array(live), Value::Array(desired)) => list_contains(live, desired),
        // Not every server stores an empty object or list.
        (Value::Null, Value::Object(desired)) => desired.is_empty(),
        (Value::Null, Value::Array(desired)) => desired.is_empty(),
        _ => live == desired,
    }
}

fn object_contains(live: &Map<String, Value>, desired: &Map<String, Value>) -> bool {
    desired.iter().all(|(key, desired)| contains(live.get(key).unwrap_or(&Value::Null), desired))
}

fn list_contains(live: &[Value], desired: &[Value]) -> bool {
    let key = KEYS.into_iter().find(|key| desired.iter().all(|item| item.get(key).is_some()));
    match key {
        Some(key) if !desired.is_empty() => desired.iter().all(|desired| {
            live.iter().any(|item| item.get(key) == desired.get(key) && contains(item, desired))
        }),
        _ => {
            live.len() == desired.len()
                && live.iter().zip(desired).all(|(item, desired)| contains(item, desired))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn defaults_of_the_server_and_fields_of_others_are_no_drift() {
        let desired = json!({"spec": {"replicas": 2, "template": {"containers": [
            {"name": "visor", "image": "visor:1", "args": ["run"]},
        ]}}});
        let live = json!({"spec": {"replicas": 2, "paused": false, "template": {"containers": [
            {"name": "injected", "image": "mesh:1"},
            {"name": "visor", "image": "visor:1", "args": ["run"], "terminationMessagePath": "/x"},
        ]}}, "status": {"replicas": 2}});
        assert!(contains(&live, &desired));
    }

    #[test]
    fn a_field_that_is_gone_or_different_is_drift() {
        let desired = json!({"data": {"source.yaml": "a"}, "labels": {"x": "y"}});
        assert!(!contains(&json!({"data": {"source.yaml": "b"}, "labels": {"x": "y"}}), &desired));
        assert!(!contains(&json!({"data": {}, "labels": {"x": "y"}}), &desired));
        assert!(!contains(&json!({"labels": {"x": "y"}}), &desired));
    }

    #[test]
    fn a_list_that_lost_changed_or_gained_items_is_drift() {
        let desired = json!({"args": ["run", "-f"]});
        assert!(!contains(&json!({"args": ["run"]}), &desired));
        assert!(!contains(&json!({"args": ["-f", "run"]}), &desired));
        assert!(!contains(&json!({"args": ["run", "-f", "-v"]}), &desired));
        let desired = json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]);
        assert!(!contains(&json!([{"name": "a", "value": "1"}]), &desired));
        assert!(!contains(
            &json!([{"name": "b", "value": "2"}, {"name": "a", "value": "9"}]),
            &desired
        ));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_object_contains_itself(value in values()) {
            prop_assert!(contains(&value, &value));
        }

        #[test]
        fn an_object_with_more_fields_still_contains_the_old_one(
            members in prop::collection::btree_map("[a-z]{1,3}", values(), 0..4),
            more in values(),
        ) {
            let desired = Value::Object(members.into_iter().collect());
            let mut live = desired.clone();
            live["added"] = more;
            prop_assert!(contains(&live, &desired));
        }

        #[test]
        fn an_object_that_loses_a_leaf_no_longer_does(name in "[a-z]{1,3}", number in any::<i64>()) {
            let desired = json!({name: number});
            let nothing = json!({});
            prop_assert!(!contains(&nothing, &desired));
        }
    }
}
