//! The rules for an object whose structure is broken in some places: they are checked for the
//! readable parts, so that all problems are reported at once. Pure.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use strum::IntoEnumIterator;

use crate::{
    problem::{Path, Problem},
    rules,
    source::{
        AccessLog, ErrorLog, FakeLogSourceSpec, Generator, LogKind, Output, RequestChoices, Stream,
    },
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
    own_fields(&path, spec, &mut problems);
    let generators = spec.get("generators").and_then(Json::as_array);
    let mut outputs = Vec::new();
    for (index, generator) in generators.into_iter().flatten().enumerate() {
        let path = path.field("generators").index(index);
        match read::<Generator>(generator) {
            Some(generator) => rules::generator(&path, &generator, &mut problems),
            None => parts(&path, generator, &mut problems),
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

/// The spec's own fields, one by one if they can't be read together.
fn own_fields(path: &Path, spec: &Json, problems: &mut Vec<Problem>) {
    let Some(fields) = spec.as_object() else { return };
    let mut readable = serde_json::Map::from_iter([("generators".to_owned(), Json::Array(vec![]))]);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "generators") {
        let before = readable.insert(name.clone(), value.clone());
        if before.is_none() && read::<FakeLogSourceSpec>(&Json::Object(readable.clone())).is_none()
        {
            readable.remove(name);
        }
    }
    if let Some(spec) = read::<FakeLogSourceSpec>(&Json::Object(readable)) {
        rules::own_fields(path, &spec, problems);
    }
}

/// The readable parts of a generator that can't be read as a whole.
fn parts(path: &Path, generator: &Json, problems: &mut Vec<Problem>) {
    let log = |kind: LogKind| generator.get(kind.field());
    for kind in LogKind::iter() {
        let Some(value) = log(kind) else { continue };
        let path = path.field(kind.field());
        match kind {
            LogKind::Access => {
                if let Some(access) = read::<AccessLog>(value) {
                    rules::access_log(&path, &access, problems);
                } else if let Some(content) = read::<RequestChoices>(value) {
                    rules::request_choices(&path, &content, problems);
                }
            }
            LogKind::Error => {
                if let Some(error) = read::<ErrorLog>(value) {
                    rules::error_log(&path, &error, problems);
                }
            }
        }
    }
    if let Some(output) = generator.get("output").and_then(read::<Output>) {
        rules::output(&path.field("output"), &output, problems);
    }
    let log = LogKind::only(|kind| log(kind).is_some());
    let streams = generator.get("streams").and_then(Json::as_array);
    for (index, stream) in streams.into_iter().flatten().enumerate() {
        if let Some(stream) = read::<Stream>(stream) {
            rules::stream(&path.field("streams").index(index), &stream, log, problems);
        }
    }
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
