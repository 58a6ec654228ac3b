//! One object of an input: from its tree to a source, or to its problems.

use std::mem;

use kube::Resource;
use serde::{Deserialize as _, Deserializer};
use serde_path_to_error::Segment;

use super::{Problems, partial};
use crate::{
    FakeLogSource,
    message::{one_line, shown},
    problem::{Path, Problem},
    rules,
    structure::{self, LocatedProblem, Schema},
    tree::{Document, Node, Value},
};

/// An object and its location.
pub(super) struct Object<'a> {
    input: usize,
    lines_before: usize,
    document: Document<'a>,
}

impl<'a> Object<'a> {
    pub(super) fn new(input: usize, lines_before: usize, document: Document<'a>) -> Self {
        Self { input, lines_before, document }
    }

    /// The object itself, or its items if it is a `List` as `kubectl get -o yaml` prints it.
    pub(super) fn collect(mut self, objects: &mut Vec<Self>) {
        match self.document.take_items() {
            Some(items) => {
                let (input, lines_before) = (self.input, self.lines_before);
                for item in items {
                    Self::new(input, lines_before, item).collect(objects);
                }
            }
            None => objects.push(self),
        }
    }

    /// The object's name, if it is readable.
    pub(super) fn name(&self) -> Option<String> {
        self.document.root.member("metadata")?.member("name")?.as_text().map(shown)
    }

    /// Whether this is an object of another API, as manifests often contain. An object whose kind
    /// or group is ours is meant as a source, however wrong it is.
    pub(super) fn is_foreign(&self) -> bool {
        let root = &self.document.root;
        let text = |name| root.member(name).and_then(Node::as_text);
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else { return false };
        let group = version.split_once('/').map_or("", |(group, _)| group);
        group != FakeLogSource::group(&()) && kind != FakeLogSource::kind(&())
    }

    /// Adds a note that this object is skipped.
    pub(super) fn note_skipped(&self, notes: &mut Problems) {
        let kind = self.document.root.member("kind").and_then(Node::as_text).map(shown);
        let name = self.name().map(|name| format!(" `{name}`")).unwrap_or_default();
        let message = format!("skipped: {}{name}", kind.unwrap_or_default());
        self.add_problem(Problem::new(Path::root(), message), notes);
    }

    /// Adds a problem of this object at the line of its path.
    pub(super) fn add_problem(&self, problem: Problem, problems: &mut Problems) {
        let line = self.document.root.line_of(problem.path.as_str());
        problems.add(self.input, self.lines_before + line, problem);
    }

    /// The source, if it can be deserialized. Its problems are added.
    pub(super) fn read(&self, schema: &Schema, problems: &mut Problems) -> Option<FakeLogSource> {
        if let Some(problem) = self.foreign() {
            self.add_problem(problem, problems);
            return None;
        }
        let misshapen = structure::check(&self.document, schema);
        if !misshapen.is_empty() {
            let json = serde_json::Value::deserialize(self.document.root.without_status());
            let mut json = json.unwrap_or_default();
            for LocatedProblem { problem, within_bounds, .. } in &misshapen {
                let place = json.pointer_mut(&problem.path.to_json_pointer());
                if let (Some(place), Some(bound)) = (place, within_bounds) {
                    *place = (*bound).into();
                }
            }
            let broken: Vec<_> =
                misshapen.iter().filter_map(|located| located.broken.clone()).collect();
            for problem in partial::check(&json, &broken) {
                self.add_problem(problem, problems);
            }
            for LocatedProblem { line, problem, .. } in misshapen {
                problems.add(self.input, self.lines_before + line, problem);
            }
            return None;
        }
        match deserialize(self.document.root.without_status()) {
            Ok(source) => {
                for problem in rules::check(&source) {
                    self.add_problem(problem, problems);
                }
                Some(source)
            }
            Err(problem) => {
                self.add_problem(problem, problems);
                None
            }
        }
    }

    /// An object of another kind: reporting its missing fields would not help.
    fn foreign(&self) -> Option<Problem> {
        let root = &self.document.root;
        if let Some(kind) = root.member("kind").and_then(Node::as_text)
            && kind != FakeLogSource::kind(&())
        {
            let message = format!("must be {}; found `{}`", FakeLogSource::kind(&()), shown(kind));
            return Some(Problem::new(Path::root().field("kind"), message));
        }
        None
    }
}

impl Document<'_> {
    /// The items of a list of objects as documents of their own; `None` if it isn't such a list.
    fn take_items(&mut self) -> Option<Vec<Self>> {
        let kind = self.root.member("kind")?.as_text()?;
        if kind != "List" && kind.strip_suffix("List") != Some(&FakeLogSource::kind(&())) {
            return None;
        }
        let Value::Map(members) = &mut self.root.value else { return None };
        let (_, items) = members.iter_mut().find(|(key, _)| key == "items")?;
        let Value::List(items) = &mut items.value else { return None };
        let text = self.text;
        Some(mem::take(items).into_iter().map(|root| Self { root, text }).collect())
    }
}

/// Deserializes an object without its status; fails with the first field that can't be
/// deserialized.
pub(super) fn deserialize<'de>(
    object: impl Deserializer<'de, Error = serde_json::Error>,
) -> Result<FakeLogSource, Problem> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = path_of(error.path());
        Problem::new(path, one_line(&error.into_inner().to_string()))
    })
}

fn path_of(path: &serde_path_to_error::Path) -> Path {
    path.iter().fold(Path::root(), |path, segment| match segment {
        Segment::Seq { index } => path.index(*index),
        Segment::Map { key } => path.field(key),
        Segment::Enum { variant } => path.field(variant),
        Segment::Unknown => path,
    })
}
