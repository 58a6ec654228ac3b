//! The schema of a whole document: that of the custom resource, and what Kubernetes itself asks of
//! every object. Computed once.

use std::{collections::HashMap, sync::OnceLock};

use kube::Resource;
use regex_lite::Regex;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value as Json, json};

use crate::{
    FakeLogSource, definition,
    quantity::{Duration, Size},
};

/// The schema, and how the texts of each of its patterns are checked.
pub(super) struct Schema {
    root: Json,
    patterns: HashMap<String, Notation>,
}

/// How a text is checked. Quantities have readers of their own, which say better what is wrong.
pub(super) enum Notation {
    Duration,
    Size,
    Pattern(Regex),
}

impl Schema {
    pub(super) fn get() -> &'static Self {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| {
            let root = root();
            let mut patterns = HashMap::from([
                (pattern_of::<Duration>(), Notation::Duration),
                (pattern_of::<Size>(), Notation::Size),
            ]);
            collect_patterns(&root, &mut patterns);
            Self { root, patterns }
        })
    }

    pub(super) fn root(&self) -> &Json {
        &self.root
    }

    /// How a text under this schema is checked, and the pattern itself; `None` if anything goes.
    pub(super) fn notation<'a>(&self, schema: &'a Json) -> Option<(&Notation, &'a str)> {
        let pattern = schema.get("pattern")?.as_str()?;
        Some((self.patterns.get(pattern)?, pattern))
    }
}

fn root() -> Json {
    let mut custom = definition::crd()
        .spec
        .versions
        .pop()
        .and_then(|version| version.schema?.open_api_v3_schema)
        .and_then(|schema| serde_json::to_value(schema).ok())
        .unwrap_or_default();
    let spec = custom.pointer_mut("/properties/spec").map(Json::take).unwrap_or_default();
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"enum": [FakeLogSource::api_version(&())]},
            "kind": {"enum": [FakeLogSource::kind(&())]},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    // What else it has to be is among the rules.
                    "name": {"type": "string", "minLength": 1},
                    "namespace": {"type": "string"},
                    "labels": texts,
                    "annotations": texts,
                },
                "x-kubernetes-preserve-unknown-fields": true,
            },
            "spec": spec,
            "status": {},
        },
    })
}

fn pattern_of<T: JsonSchema>() -> String {
    let schema = T::json_schema(&mut SchemaGenerator::default());
    schema.get("pattern").and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn collect_patterns(schema: &Json, patterns: &mut HashMap<String, Notation>) {
    match schema {
        Json::Array(items) => items.iter().for_each(|item| collect_patterns(item, patterns)),
        Json::Object(members) => {
            if let Some(pattern) = members.get("pattern").and_then(Json::as_str)
                && !patterns.contains_key(pattern)
                && let Ok(regex) = Regex::new(pattern)
            {
                patterns.insert(pattern.to_owned(), Notation::Pattern(regex));
            }
            members.values().for_each(|member| collect_patterns(member, patterns));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::NAME_PATTERN;

    #[test]
    fn the_schema_is_that_of_the_custom_resource_and_every_pattern_of_it_is_known() {
        fn patterns(schema: &Json, found: &mut Vec<String>) {
            match schema {
                Json::Array(items) => items.iter().for_each(|item| patterns(item, found)),
                Json::Object(members) => {
                    found.extend(members.get("pattern").and_then(Json::as_str).map(str::to_owned));
                    members.values().for_each(|member| patterns(member, found));
                }
                _ => {}
            }
        }
        let schema = Schema::get();
        let mut found = Vec::new();
        patterns(schema.root(), &mut found);
        assert!(found.contains(&NAME_PATTERN.to_owned()));
        for pattern in found {
            assert!(schema.patterns.contains_key(&pattern), "{pattern}");
        }
    }
}
