//! Whether an object still says what was wished. Pure.
//!
//! The API server adds defaults, and others may add what is theirs, so a live object says more than
//! the wished one. It has drifted if it says something *else*: a field of ours that is gone or
//! different, or a list of ours that has lost, changed or (where the API server merges no items)
//! gained some.

use serde_json::{Map, Value};

/// The fields by which the API server tells the items of a list apart, for the lists that we write
/// (`x-kubernetes-list-map-keys`). Items that have none of them are told by their place.
const KEYS: [&str; 6] = ["name", "containerPort", "port", "mountPath", "uid", "type"];

/// Whether everything in `wished` is in `live`.
pub(crate) fn says(live: &Value, wished: &Value) -> bool {
    match (live, wished) {
        (Value::Object(live), Value::Object(wished)) => object_says(live, wished),
        (Value::Array(live), Value::Array(wished)) => list_says(live, wished),
        // Nothing is wished: an empty object or list is not written down by every server.
        (Value::Null, Value::Object(wished)) => wished.is_empty(),
        (Value::Null, Value::Array(wished)) => wished.is_empty(),
        _ => live == wished,
    }
}

fn object_says(live: &Map<String, Value>, wished: &Map<String, Value>) -> bool {
    wished.iter().all(|(key, wish)| says(live.get(key).unwrap_or(&Value::Null), wish))
}

fn list_says(live: &[Value], wished: &[Value]) -> bool {
    let key = KEYS.into_iter().find(|key| wished.iter().all(|item| item.get(key).is_some()));
    match key {
        Some(key) if !wished.is_empty() => wished
            .iter()
            .all(|wish| live.iter().any(|item| item.get(key) == wish.get(key) && says(item, wish))),
        _ => {
            live.len() == wished.len()
                && live.iter().zip(wished).all(|(item, wish)| says(item, wish))
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
        let wished = json!({"spec": {"replicas": 2, "template": {"containers": [
            {"name": "visor", "image": "visor:1", "args": ["run"]},
        ]}}});
        let live = json!({"spec": {"replicas": 2, "paused": false, "template": {"containers": [
            {"name": "injected", "image": "mesh:1"},
            {"name": "visor", "image": "visor:1", "args": ["run"], "terminationMessagePath": "/x"},
        ]}}, "status": {"replicas": 2}});
        assert!(says(&live, &wished));
    }

    #[test]
    fn a_field_that_is_gone_or_different_is_drift() {
        let wished = json!({"data": {"source.yaml": "a"}, "labels": {"x": "y"}});
        assert!(!says(&json!({"data": {"source.yaml": "b"}, "labels": {"x": "y"}}), &wished));
        assert!(!says(&json!({"data": {}, "labels": {"x": "y"}}), &wished));
        assert!(!says(&json!({"labels": {"x": "y"}}), &wished));
    }

    #[test]
    fn a_list_that_lost_changed_or_gained_items_is_drift() {
        let wished = json!({"args": ["run", "-f"]});
        assert!(!says(&json!({"args": ["run"]}), &wished));
        assert!(!says(&json!({"args": ["-f", "run"]}), &wished));
        assert!(!says(&json!({"args": ["run", "-f", "-v"]}), &wished));
        let wished = json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]);
        assert!(!says(&json!([{"name": "a", "value": "1"}]), &wished));
        assert!(!says(&json!([{"name": "b", "value": "2"}, {"name": "a", "value": "9"}]), &wished));
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
        fn every_object_says_itself(value in values()) {
            prop_assert!(says(&value, &value));
        }

        #[test]
        fn an_object_that_gains_a_field_still_says_what_it_said(
            members in prop::collection::btree_map("[a-z]{1,3}", values(), 0..4),
            more in values(),
        ) {
            let wished = Value::Object(members.into_iter().collect());
            let mut live = wished.clone();
            live["added"] = more;
            prop_assert!(says(&live, &wished));
        }

        #[test]
        fn an_object_that_loses_a_leaf_no_longer_does(name in "[a-z]{1,3}", number in any::<i64>()) {
            let wished = json!({name: number});
            let nothing = json!({});
            prop_assert!(!says(&nothing, &wished));
        }
    }
}
