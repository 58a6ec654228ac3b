//! The schema of a whole document, prepared for checks. It is generated from the types
//! ([`definition::document_schema`](crate::definition::document_schema)) at build time: doing that
//! at run time would take longer than everything else before the first line.

use std::collections::HashMap;

use regex_lite::Regex;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value as Json;

use crate::quantity::{Duration, Size};

/// Written by `make generate`.
const TEXT: &str = include_str!("schema.json");

/// The schema, and how the strings of each of its patterns are checked.
pub(crate) struct Schema {
    root: Json,
    patterns: HashMap<String, Notation>,
}

/// How a string is checked. Quantities have parsers of their own, with better messages.
pub(super) enum Notation {
    Duration,
    Size,
    Pattern(Regex),
}

impl Schema {
    /// Loads the schema.
    pub(crate) fn read() -> Self {
        // A test compares it with the types, so it is valid JSON.
        let root = serde_json::from_str(TEXT).unwrap_or_default();
        let mut patterns = HashMap::from([
            (pattern_of::<Duration>(), Notation::Duration),
            (pattern_of::<Size>(), Notation::Size),
        ]);
        collect_patterns(&root, &mut patterns);
        Self { root, patterns }
    }

    pub(super) fn root(&self) -> &Json {
        &self.root
    }

    /// How a string with this schema is checked, and its pattern; `None` if it has none.
    pub(super) fn notation<'a>(&self, schema: &'a Json) -> Option<(&Notation, &'a str)> {
        let pattern = schema.get("pattern")?.as_str()?;
        Some((self.patterns.get(pattern)?, pattern))
    }
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
    fn the_schema_is_that_of_the_types() {
        let written: Json = serde_json::from_str(TEXT).unwrap();
        assert!(written == crate::definition::document_schema(), "run `make generate`");
    }

    #[test]
    fn every_pattern_of_the_schema_is_known() {
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
        let schema = Schema::read();
        let mut found = Vec::new();
        patterns(schema.root(), &mut found);
        assert!(found.contains(&NAME_PATTERN.to_owned()));
        for pattern in found {
            assert!(schema.patterns.contains_key(&pattern), "{pattern}");
        }
    }
}
