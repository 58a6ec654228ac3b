//! The rules for an object whose structure is broken in some places: they are checked for the
//! readable parts, so that all problems are reported at once. Pure.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{
    problem::{Path, Problem},
    rules,
    source::{FakeLogSourceSpec, Generator, Output, Stream},
};

/// The problems of the readable parts of an object. `broken` are the paths of broken values;
/// problems that may only result from them are left out.
pub(super) fn check(object: &Json, broken: &[Path]) -> Vec<Problem> {
    let path = Path::root().field("spec");
    let Some(spec) = object.get("spec") else { return Vec::new() };
    let mut problems = Vec::new();
    if let Some(name) = object.pointer("/metadata/name").and_then(Json::as_str) {
        rules::name(name, &mut problems);
    }
    let readable = own_fields(spec);
    if let Some(spec) = &readable {
        rules::own_fields(&path, spec, &mut problems);
    }
    // What generators have in common, unless it is broken.
    let is_common_known = ["server", "tokens"]
        .iter()
        .all(|field| !broken.iter().any(|broken| replace_within(broken, &path.field(field))));
    let common = readable.as_ref().map(FakeLogSourceSpec::common).unwrap_or_default();
    let generators = spec.get("generators").and_then(Json::as_array);
    let mut outputs = Vec::new();
    for (index, generator) in generators.into_iter().flatten().enumerate() {
        let path = path.field("generators").index(index);
        match read::<Generator>(generator) {
            Some(generator) if is_common_known => {
                rules::generator(&path, &generator, common, &mut problems);
            }
            _ => parts(&path, generator, &mut problems),
        }
        let name = generator.get("name").and_then(Json::as_str).unwrap_or_default();
        if let Some(output) = generator.get("output").and_then(read::<Output>) {
            outputs.push((index, name, output));
        }
    }
    let outputs = outputs.iter().map(|(index, name, output)| (*index, *name, output));
    problems.extend(rules::conflicts(outputs));
    problems.retain(|problem| !broken.iter().any(|broken| may_follow(&problem.path, broken)));
    problems
}

/// The spec's own fields, as far as they can be read.
fn own_fields(spec: &Json) -> Option<FakeLogSourceSpec> {
    let without_generators = Fields::from_iter([("generators".to_owned(), Json::Array(vec![]))]);
    readable(&without_generators, spec, false)
}

/// The parts of a generator that can't be read as a whole.
fn parts(path: &Path, generator: &Json, problems: &mut Vec<Problem>) {
    let without_streams = Fields::from_iter([
        ("name".to_owned(), Json::String(String::new())),
        ("streams".to_owned(), Json::Array(vec![])),
    ]);
    let Some(readable) = readable::<Generator>(&without_streams, generator, true) else { return };
    rules::log(path, &readable, problems);
    rules::output(&path.field("output"), &readable.output, problems);
    let streams = generator.get("streams").and_then(Json::as_array);
    for (index, stream) in streams.into_iter().flatten().enumerate() {
        if let Some(stream) = read::<Stream>(stream) {
            let path = path.field("streams").index(index);
            rules::stream(&path, &stream, readable.log(), problems);
        }
    }
}

type Fields = serde_json::Map<String, Json>;

/// An object of these fields and of those of `value` that can be read; with `parts`, also of the
/// readable fields of an object that can't be read as a whole.
fn readable<T: DeserializeOwned>(given: &Fields, value: &Json, parts: bool) -> Option<T> {
    let mut fields = given.clone();
    for (name, value) in value.as_object()? {
        if given.contains_key(name) {
            continue;
        }
        let is_readable = |value: Json| {
            let mut alone = given.clone();
            alone.insert(name.clone(), value);
            read::<T>(&Json::Object(alone)).is_some()
        };
        if is_readable(value.clone()) {
            fields.insert(name.clone(), value.clone());
        } else if parts && let Some(inner) = value.as_object() {
            let mut inner = inner.clone();
            inner.retain(|name, value| {
                let alone = Fields::from_iter([(name.clone(), value.clone())]);
                is_readable(Json::Object(alone))
            });
            let inner = Json::Object(inner);
            if is_readable(inner.clone()) {
                fields.insert(name.clone(), inner);
            }
        }
    }
    read(&Json::Object(fields))
}

/// Whether a problem may only result from a broken value: it is about that value, about what
/// contains it, about a part of it, or about a field next to it. Most fields of the spec are
/// independent of each other.
fn may_follow(problem: &Path, broken: &Path) -> bool {
    let spec = Path::root().field("spec");
    let beside = if problem.parent().as_ref() == Some(&spec) {
        *problem == spec.field("workload") && *broken == spec.field("stopAfter")
    } else {
        problem.parent() == broken.parent()
    };
    replace_within(problem, broken) || replace_within(broken, problem) || beside
}

/// Whether the value at `path` is the one at `outer` or a part of it.
fn replace_within(path: &Path, outer: &Path) -> bool {
    let below = path.as_str().strip_prefix(outer.as_str());
    below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
}

fn read<T: DeserializeOwned>(value: &Json) -> Option<T> {
    T::deserialize(value).ok()
}
