//! Checks the structure of a document against the schema that the API server enforces: types,
//! bounds, required and unknown fields. All problems are found in one walk, each with its line.
//! Pure.

mod hint;
mod schema;
mod text;
mod wording;

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use crate::{
    message::shown,
    problem::{MAX_PROBLEMS, Path, Problem},
    tree::{Document, Node, Value},
};
pub(crate) use schema::Schema;

/// A problem and its line within the document's text, from 1.
#[derive(Debug)]
pub(crate) struct LocatedProblem {
    pub(crate) line: usize,
    pub(crate) problem: Problem,
    /// The path of the broken value, for which no rule is checked; `None` if the problem breaks no
    /// value.
    pub(crate) broken: Option<Path>,
    /// For an integer that is out of bounds, the nearest one that isn't: with it instead, what is
    /// around it can be read.
    pub(crate) within_bounds: Option<i64>,
}

/// All violations of the schema of a `FakeLogSource`.
pub(crate) fn check(document: &Document<'_>, schema: &Schema) -> Vec<LocatedProblem> {
    let mut walk = Walk { schema, document, problems: Vec::new() };
    walk.duplicate_fields(&document.root, &Path::root());
    walk.value(&document.root, schema.root(), &Path::root());
    walk.problems
}

struct Walk<'a> {
    schema: &'a Schema,
    document: &'a Document<'a>,
    problems: Vec<LocatedProblem>,
}

impl Walk<'_> {
    fn add(&mut self, line: usize, path: Path, message: impl AsRef<str>) {
        self.add_breaking(Some(path.clone()), line, path, message);
    }

    fn add_breaking(
        &mut self,
        broken: Option<Path>,
        line: usize,
        path: Path,
        message: impl AsRef<str>,
    ) {
        let problem = Problem::new(path, message);
        self.push(LocatedProblem { line, problem, broken, within_bounds: None });
    }

    fn push(&mut self, problem: LocatedProblem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    /// A value of the right type that isn't one of the allowed ones. In a pod template it can be read
    /// all the same, since Kubernetes' types are texts and numbers: so it breaks nothing.
    fn add_out_of_bounds(
        &mut self,
        line: usize,
        path: &Path,
        message: String,
        within_bounds: Option<i64>,
    ) {
        let is_readable = path.as_str().starts_with("spec.podTemplate.");
        let broken = (!is_readable).then(|| path.clone());
        let problem = Problem::new(path.clone(), message);
        self.push(LocatedProblem { line, problem, broken, within_bounds });
    }

    /// Duplicate fields, anywhere: it is unknown which was meant.
    fn duplicate_fields(&mut self, node: &Node, path: &Path) {
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.duplicate_fields(item, &path.index(index));
                }
            }
            Value::Map(members) => {
                let mut seen = HashSet::new();
                for (key, member) in members {
                    let path = path.field(&shown(key));
                    if !seen.insert(key) {
                        let message = format!("duplicate field `{}`; remove one", shown(key));
                        self.add(member.line, path.clone(), message);
                    }
                    self.duplicate_fields(member, &path);
                }
            }
            _ => {}
        }
    }

    fn value(&mut self, node: &Node, schema: &Json, path: &Path) {
        if flag(schema, "x-kubernetes-int-or-string") {
            if !matches!(node.value, Value::Integer(_) | Value::Text(_)) {
                let message = wording::mismatch("string", node, self.document);
                self.add(node.line, path.clone(), message);
            }
            return;
        }
        if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
            let text = node.as_text();
            if !text.is_some_and(|text| allowed.iter().any(|one| one == text)) {
                let message = wording::not_allowed(allowed, node, self.document);
                match text {
                    Some(_) => self.add_out_of_bounds(node.line, path, message, None),
                    None => self.add(node.line, path.clone(), message),
                }
            }
            return;
        }
        match (schema.get("type").and_then(Json::as_str), &node.value) {
            (Some("object"), Value::Map(members)) => self.object(node, members, schema, path),
            (Some("array"), Value::List(items)) => self.list(node, items, schema, path),
            (Some("string"), Value::Text(text)) => {
                if let Some(message) = text::check(self.schema, schema, text) {
                    self.add(node.line, path.clone(), message);
                }
            }
            (Some("integer"), Value::Integer(number)) => {
                if let Some((message, bound)) = out_of_range(*number, schema) {
                    let bound = i64::try_from(bound).ok();
                    self.add_out_of_bounds(node.line, path, message, bound);
                }
            }
            (None, _)
            | (Some("boolean"), Value::Bool(_))
            | (Some("number"), Value::Integer(_) | Value::Float(_)) => {}
            (Some("object"), _)
                if let Some(meant) = hint::object(self.schema, schema, node, self.document) =>
            {
                let message = wording::mismatch("object", node, self.document);
                self.add(node.line, path.clone(), format!("{message}; write `{meant}`"));
            }
            (Some(wanted), _) => {
                let message = text::not_a_quantity(self.schema, schema, node, self.document)
                    .unwrap_or_else(|| wording::mismatch(wanted, node, self.document));
                self.add(node.line, path.clone(), message);
            }
        }
    }

    fn object(&mut self, node: &Node, members: &[(String, Node)], schema: &Json, path: &Path) {
        let known = schema.get("properties").and_then(Json::as_object);
        let additional = schema.get("additionalProperties").filter(|more| more.is_object());
        let mut set = HashMap::new();
        let mut empty = HashMap::new();
        for (key, member) in members {
            if set.contains_key(key.as_str()) {
                continue;
            }
            let inner = known.and_then(|known| known.get(key)).or(additional);
            let place = path.field(&shown(key));
            if inner.is_none() && !flag(schema, "x-kubernetes-preserve-unknown-fields") {
                let names: Vec<_> = known.into_iter().flat_map(|known| known.keys()).collect();
                let (message, meant) = wording::unknown(key, &names);
                let broken = meant.map(|meant| path.field(meant));
                self.add_breaking(broken, member.line, place, message);
                // The field that was probably meant counts as set, so that one mistake is one problem.
                if let Some(meant) = meant {
                    set.insert(meant, member.line);
                }
            } else if member.is_null() {
                empty.insert(key.as_str(), member.line);
            } else {
                set.insert(key.as_str(), member.line);
                if let Some(inner) = inner {
                    self.value(member, inner, &place);
                }
            }
        }
        for name in strings(schema.get("required")) {
            if !set.contains_key(name) {
                let line = empty.get(name).copied().unwrap_or(node.line);
                self.add(line, path.field(name), "is required; set it");
            }
        }
        if let Some(options) = schema.get("oneOf").and_then(Json::as_array) {
            let options: Vec<_> =
                options.iter().flat_map(|option| strings(option.get("required"))).collect();
            let chosen: Vec<_> =
                options.iter().copied().filter(|name| set.contains_key(name)).collect();
            let blank = options.iter().copied().find(|name| empty.contains_key(name));
            if let Some(message) = wording::not_exactly_one(&options, &chosen, blank) {
                self.add(node.line, path.clone(), message);
            }
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &Json, path: &Path) {
        let least = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
        let most = schema.get("maxItems").and_then(Json::as_u64).unwrap_or(u64::MAX);
        let length = items.len() as u64;
        if length < least {
            let message = "must not be empty; add at least one item";
            self.add(node.line, path.clone(), message);
        }
        if length > most {
            let message = format!("must have at most {most} items; it has {length}");
            self.add(node.line, path.clone(), message);
        }
        if let Some(inner) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(item, inner, &path.index(index));
            }
        }
        let keys: Vec<_> = strings(schema.get("x-kubernetes-list-map-keys")).collect();
        if let [key] = keys[..] {
            self.distinct(items, key, path);
        }
    }

    /// The items of a list must differ in this field.
    fn distinct(&mut self, items: &[Node], key: &str, path: &Path) {
        let mut seen = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let Some((member, value)) =
                item.member(key).and_then(|member| Some((member, member.as_text()?)))
            else {
                continue;
            };
            if let Some(first) = seen.get(value) {
                let message = format!(
                    "`{}` is already the {key} of item [{first}] of this list; choose another",
                    shown(value)
                );
                self.add_breaking(None, member.line, path.index(index).field(key), message);
            } else {
                seen.insert(value, index);
            }
        }
    }
}

/// What is wrong with an integer, and the nearest one with which nothing is.
#[expect(clippy::cast_possible_truncation, reason = "the schema's bounds are whole numbers")]
fn out_of_range(number: i128, schema: &Json) -> Option<(String, i128)> {
    let bound = |name: &str| schema.get(name).and_then(Json::as_f64).map(|bound| bound as i128);
    let (smallest, largest) = match schema.get("format").and_then(Json::as_str) {
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    let least = bound("minimum").unwrap_or(smallest);
    let most = bound("maximum").unwrap_or(largest);
    if number < least {
        Some((format!("must be at least {least}; found {number}"), least))
    } else if number > most {
        Some((format!("must be at most {most}; found {number}"), most))
    } else {
        None
    }
}

fn flag(schema: &Json, name: &str) -> bool {
    schema.get(name).and_then(Json::as_bool).unwrap_or(false)
}

fn strings(list: Option<&Json>) -> impl Iterator<Item = &str> {
    list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}
