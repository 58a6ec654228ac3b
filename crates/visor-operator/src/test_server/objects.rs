//! The objects, and what happened to them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Such as `deployments`.
    pub(crate) plural: String,
    /// Empty for objects without one.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(plural: &str, namespace: &str, name: &str) -> Self {
        let [plural, namespace, name] = [plural, namespace, name].map(str::to_owned);
        Self { plural, namespace, name }
    }

    /// Where an object belongs.
    pub(super) fn of_object(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        Self {
            plural: format!("{}s", text(&object["kind"]).to_lowercase()),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
        }
    }
}

/// The objects.
#[derive(Default)]
pub(super) struct Objects {
    present: BTreeMap<Key, Value>,
    /// What happened, each with the version that it made.
    events: Vec<(u64, Key, Value)>,
    made: u64,
}

impl Objects {
    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.present.get(key)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.present.iter()
    }

    /// What happened since a version.
    pub(super) fn events_since(&self, version: u64) -> impl Iterator<Item = (&Key, &Value)> {
        let later = self.events.iter().filter(move |(at, ..)| *at > version);
        later.map(|(_, key, event)| (key, event))
    }

    pub(super) fn version(&self) -> u64 {
        self.events.last().map_or(1, |(version, ..)| *version)
    }

    /// Puts an object into its place; a new one gets what an API server gives it.
    pub(super) fn put(&mut self, key: Key, mut object: Value) -> Value {
        let version = self.version() + 1;
        let before = self.present.get(&key);
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = version.to_string().into();
        if let Some(before) = before {
            let old = &before["metadata"];
            for field in ["uid", "creationTimestamp", "generation"] {
                metadata[field] = old[field].clone();
            }
            if content(before) != content(&object) {
                let generation = old["generation"].as_i64().unwrap_or(1);
                object["metadata"]["generation"] = (generation + 1).into();
            }
        } else {
            self.made += 1;
            metadata["uid"] = format!("uid-{}", self.made).into();
            metadata["generation"] = 1.into();
            metadata["creationTimestamp"] = Timestamp::now().strftime("%FT%TZ").to_string().into();
        }
        let type_ = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.events.push((version, key.clone(), json!({"type": type_, "object": object})));
        self.present.insert(key, object.clone());
        object
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let mut object = self.present.remove(key)?;
        let version = self.version() + 1;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        self.events.push((version, key.clone(), json!({"type": "DELETED", "object": object})));
        Some(object)
    }
}

/// What a change of is another generation.
fn content(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !["metadata", "status"].contains(&name.as_str())).collect()
}
