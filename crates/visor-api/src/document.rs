//! The document reader: texts in, sources out, or every problem with its file, line and path.
//!
//! A text holds any number of YAML (or JSON) documents. Each goes through the same steps: a tree
//! that knows its lines (`tree`), the schema (`structure`), the types, the rules between
//! fields ([`rules`]). Whoever asks gets all sources or none: nothing is done by halves. Pure: the
//! texts are given, and no file is opened.

mod object;
mod partial;
mod split;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::{
    FakeLogSource,
    problem::{MOST_PROBLEMS, Path, Problem},
    resolved::ResolvedSource,
    rules,
    structure::Schema,
    tree::{Document, Value},
};
use object::Object;

/// Most bytes of all texts together: 4 MiB.
pub const MOST_BYTES: usize = 4 << 20;
/// Most documents in all texts together.
pub const MOST_DOCUMENTS: usize = 1000;

/// A text to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name in messages: a path, or `<stdin>`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A problem and where it was written.
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

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// The sources, in the order they are written.
    pub sources: Vec<ResolvedSource>,
    /// What is no problem, but may not be what was meant: objects of other kinds, and such.
    pub notes: Vec<DocumentProblem>,
}

/// Reads the sources of all inputs, once: see [`Reader::read`].
///
/// # Errors
///
/// Every problem of every input.
pub fn read(inputs: &[Input]) -> Result<Read, Vec<DocumentProblem>> {
    Reader::new().read(inputs)
}

/// What reads documents, again and again. It holds the schema, some 400 kB.
pub struct Reader {
    schema: Schema,
}

impl Reader {
    /// Makes one.
    #[expect(
        clippy::new_without_default,
        reason = "it takes a millisecond; nothing is its default"
    )]
    pub fn new() -> Self {
        Self { schema: Schema::read() }
    }

    /// Reads the sources of all inputs. Objects that are none of Visor's are passed over, as they
    /// come in what is applied to a cluster together, if there is a source among them.
    ///
    /// # Errors
    ///
    /// Every problem of every input, in the order of inputs and lines; but no more than
    /// [`MOST_PROBLEMS`].
    pub fn read(&self, inputs: &[Input]) -> Result<Read, Vec<DocumentProblem>> {
        read_with(inputs, &self.schema)
    }
}

fn read_with(inputs: &[Input], schema: &Schema) -> Result<Read, Vec<DocumentProblem>> {
    let (mut problems, mut notes) = (Problems::default(), Problems::default());
    let mut objects = Vec::new();
    if let Some(input) = too_large(inputs) {
        let message = format!(
            "the documents are larger than {} MiB in all; read fewer at once",
            MOST_BYTES >> 20
        );
        problems.add(input, 0, Problem::new(Path::root(), message));
        return Err(problems.in_order(inputs));
    }
    for (index, input) in inputs.iter().enumerate() {
        read_objects(index, &input.text, &mut objects, &mut problems);
    }

    // If there is nothing else, one of them was meant.
    let is_mixed = objects.iter().any(|object| !object.is_foreign());
    let (foreign, own): (Vec<_>, Vec<_>) =
        objects.iter().partition(|object| is_mixed && object.is_foreign());
    for object in foreign {
        object.pass_over(&mut notes);
    }
    let mut sources = Vec::new();
    let mut origins = Vec::new();
    for object in own {
        let before = problems.0.len();
        if let Some(source) = object.read(schema, &mut problems) {
            for note in rules::notes(&source) {
                object.tell(note, &mut notes);
            }
            sources.push(source);
            origins.push(object);
        }
        problems.0.iter_mut().skip(before).for_each(|entry| entry.object = object.name());
    }
    for (index, problem) in rules::check_together(&sources) {
        if let Some(object) = origins.get(index) {
            object.tell(problem, &mut problems);
        }
    }
    let mut resolved = Vec::new();
    if problems.0.is_empty() {
        for (source, object) in sources.into_iter().zip(&origins) {
            match ResolvedSource::resolve(source) {
                Ok(source) => resolved.push(source),
                Err(problem) => object.tell(problem, &mut problems),
            }
        }
    }
    if problems.0.is_empty() {
        Ok(Read { sources: resolved, notes: notes.in_order(inputs) })
    } else {
        Err(problems.in_order(inputs))
    }
}

/// A source from an object as the API server has it, which has checked its schema. What that let
/// through all the same, such as a duration beyond all bounds, is told with its path. The rules are
/// another step ([`rules::check`]).
///
/// # Errors
///
/// The first field that can't be read.
pub fn from_json(mut json: serde_json::Value) -> Result<FakeLogSource, Problem> {
    if let Some(object) = json.as_object_mut() {
        object.remove("status");
    }
    object::deserialize(json)
}

/// The first input with which all of them are too much.
fn too_large(inputs: &[Input]) -> Option<usize> {
    let mut total: usize = 0;
    inputs.iter().position(|input| {
        total = total.saturating_add(input.text.len());
        total > MOST_BYTES
    })
}

/// The objects of one input; what is not YAML is told.
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
        if objects.len() > MOST_DOCUMENTS {
            let message = format!("more than {MOST_DOCUMENTS} documents; read fewer at once");
            problems.add(input, part.lines_before + 1, Problem::new(Path::root(), message));
            objects.truncate(MOST_DOCUMENTS);
            return;
        }
    }
    if objects.len() == objects_before && problems.0.len() == problems_before {
        let message = "no document in here; write a FakeLogSource";
        problems.add(input, 0, Problem::new(Path::root(), message));
    }
}

/// The problems so far, in the order they were found.
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
        if self.0.len() == MOST_PROBLEMS {
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
