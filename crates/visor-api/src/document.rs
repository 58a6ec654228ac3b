//! The document reader: texts in, sources out, or every problem with its file, line and path.
//!
//! A text holds any number of YAML (or JSON) documents. Each is parsed into a tree that knows its
//! lines (`tree`), checked against the schema (`structure`), deserialized, and checked by the
//! [`rules`]. The result is all sources or none. Pure: no file is opened.

mod object;
mod partial;
mod split;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::{
    FakeLogSource,
    problem::{MAX_PROBLEMS, Path, Problem},
    resolved::ResolvedSource,
    rules,
    structure::Schema,
    tree::{Document, Value},
};
use object::Object;

/// The maximum size of all texts together: 4 MiB.
pub const MAX_BYTES: usize = 4 << 20;
/// The maximum number of documents in all texts together.
pub const MAX_DOCUMENTS: usize = 1000;

/// A text to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name in messages: a path, or `<stdin>`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A problem and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentProblem {
    /// The name of the input.
    pub file: String,
    /// The line, from 1; 0 if unknown.
    pub line: usize,
    /// The name of the object (`metadata.name`), where it has one.
    pub object: Option<String>,
    /// What is wrong, where in the object, and what to do.
    pub problem: Problem,
}

impl fmt::Display for DocumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.problem),
            line => write!(f, "{}:{line}: {}", self.file, self.problem),
        }
    }
}

/// The result of reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// The sources, in the order of the texts.
    pub sources: Vec<ResolvedSource>,
    /// Warnings: objects of other kinds, and values that may not be what was meant.
    pub notes: Vec<DocumentProblem>,
}

/// Reads the sources of all inputs once: see [`Reader::read`].
///
/// # Errors
///
/// Every problem of every input.
pub fn read(inputs: &[Input]) -> Result<Read, Vec<DocumentProblem>> {
    Reader::new().read(inputs)
}

/// Reads documents repeatedly. It holds the schema, some 400 kB.
pub struct Reader {
    schema: Schema,
}

impl Reader {
    /// Creates a reader.
    #[expect(
        clippy::new_without_default,
        reason = "it takes a millisecond; nothing is its default"
    )]
    pub fn new() -> Self {
        Self { schema: Schema::read() }
    }

    /// Reads the sources of all inputs. Objects of other APIs are skipped if there is a source
    /// among them, because manifests often contain both.
    ///
    /// # Errors
    ///
    /// Every problem of every input, in the order of inputs and lines, up to
    /// [`MAX_PROBLEMS`].
    pub fn read(&self, inputs: &[Input]) -> Result<Read, Vec<DocumentProblem>> {
        read_with(inputs, &self.schema)
    }
}

fn read_with(inputs: &[Input], schema: &Schema) -> Result<Read, Vec<DocumentProblem>> {
    let (mut problems, mut notes) = (Problems::default(), Problems::default());
    let mut objects = Vec::new();
    if let Some(input) = too_large(inputs) {
        let message = format!(
            "the documents are larger than {} MiB in total; read fewer at once",
            MAX_BYTES >> 20
        );
        problems.add(input, 0, Problem::new(Path::root(), message));
        return Err(problems.in_order(inputs));
    }
    for (index, input) in inputs.iter().enumerate() {
        read_objects(index, &input.text, &mut objects, &mut problems);
    }

    // If there is no source at all, they are reported as such.
    let is_mixed = objects.iter().any(|object| !object.is_foreign());
    let (foreign, own): (Vec<_>, Vec<_>) =
        objects.iter().partition(|object| is_mixed && object.is_foreign());
    for object in foreign {
        object.note_skipped(&mut notes);
    }
    let mut sources = Vec::new();
    let mut origins = Vec::new();
    for object in own {
        let before = problems.0.len();
        if let Some(source) = object.read(schema, &mut problems) {
            for note in rules::notes(&source) {
                object.add_problem(note, &mut notes);
            }
            sources.push(source);
            origins.push(object);
        }
        problems.0.iter_mut().skip(before).for_each(|entry| entry.object = object.name());
    }
    for (index, problem) in rules::check_together(&sources) {
        if let Some(object) = origins.get(index) {
            object.add_problem(problem, &mut problems);
        }
    }
    if problems.0.is_empty() {
        let sources = sources.into_iter().map(ResolvedSource::resolve).collect();
        Ok(Read { sources, notes: notes.in_order(inputs) })
    } else {
        Err(problems.in_order(inputs))
    }
}

/// Deserializes an object from the API server, which has checked its schema. Values that the schema
/// accepts and the types don't, such as a duration beyond all bounds, are reported with their path.
/// The rules are checked separately ([`rules::check`]).
///
/// # Errors
///
/// The first field that can't be deserialized.
pub fn from_json(mut json: serde_json::Value) -> Result<FakeLogSource, Problem> {
    if let Some(object) = json.as_object_mut() {
        object.remove("status");
    }
    object::deserialize(json)
}

/// The first input that exceeds the total size.
fn too_large(inputs: &[Input]) -> Option<usize> {
    let mut total: usize = 0;
    inputs.iter().position(|input| {
        total = total.saturating_add(input.text.len());
        total > MAX_BYTES
    })
}

/// The objects of one input; syntax errors are reported.
fn read_objects<'a>(
    input: usize,
    text: &'a str,
    objects: &mut Vec<Object<'a>>,
    problems: &mut Problems,
) {
    let (objects_before, problems_before) = (objects.len(), problems.0.len());
    for part in split::split(text) {
        match Document::parse(part.text) {
            Ok(document) if matches!(document.root.value, Value::Null) => {}
            Ok(document) => Object::new(input, part.lines_before, document).collect(objects),
            Err(error) => {
                let line = if error.line == 0 { 0 } else { part.lines_before + error.line };
                let message = format!("not YAML: {}", error.message);
                problems.add(input, line, Problem::new(Path::root(), message));
            }
        }
        if objects.len() > MAX_DOCUMENTS {
            let message = format!("more than {MAX_DOCUMENTS} documents; read fewer at once");
            problems.add(input, part.lines_before + 1, Problem::new(Path::root(), message));
            objects.truncate(MAX_DOCUMENTS);
            return;
        }
    }
    if objects.len() == objects_before && problems.0.len() == problems_before {
        let message = "no document found; write a FakeLogSource";
        problems.add(input, 0, Problem::new(Path::root(), message));
    }
}

/// The problems so far, in the order in which they were found.
#[derive(Default)]
struct Problems(Vec<PlacedProblem>);

struct PlacedProblem {
    input: usize,
    line: usize,
    object: Option<String>,
    problem: Problem,
}

impl Problems {
    fn add(&mut self, input: usize, line: usize, problem: Problem) {
        if self.0.len() == MAX_PROBLEMS {
            return;
        }
        self.0.push(PlacedProblem { input, line, object: None, problem });
    }

    fn in_order(mut self, inputs: &[Input]) -> Vec<DocumentProblem> {
        self.0.sort_by_key(|entry| (entry.input, entry.line));
        self.0
            .into_iter()
            .map(|PlacedProblem { input, line, object, problem }| DocumentProblem {
                file: inputs.get(input).map(|input| input.name.clone()).unwrap_or_default(),
                line,
                object,
                problem,
            })
            .collect()
    }
}
