//! Files: each below the output directory, each with room for its rotated ones, and no two
//! generators in each other's way. Only names are looked at; no file is touched.

use std::collections::HashMap;

use kube::ResourceExt;

use super::messages;
use crate::{
    FakeLogSource,
    message::shown,
    problem::{Path, Problem},
    quantity::{Duration, Size},
    source::{FileOutput, Output},
};

/// Longest name of a file or directory in bytes: what file systems take (255), less room for
/// what a rotated file's name has more, such as `.1000.gz`.
const LONGEST_NAME: usize = 240;
const SMALLEST_FILE: Size = Size::from_bytes(1024);
const SHORTEST_AGE: Duration = Duration::from_secs(1);

pub(crate) fn output(path: &Path, output: &Output, problems: &mut Vec<Problem>) {
    let Output::File(file) = output else { return };
    let path = path.field("file");
    if let Err(message) = name(&file.path) {
        problems.push(Problem::new(path.field("path"), message));
    }
    let Some(rotation) = &file.rotation else { return };
    let path = path.field("rotation");
    if rotation.max_size.is_none() && rotation.max_age.is_none() {
        problems.push(Problem::new(path.clone(), messages::NEVER_ROTATES));
    }
    if let Some(size) = rotation.max_size.filter(|size| *size < SMALLEST_FILE) {
        let message = format!("must be at least {SMALLEST_FILE}; found {size}");
        problems.push(Problem::new(path.field("maxSize"), message));
    }
    if let Some(age) = rotation.max_age.filter(|age| *age < SHORTEST_AGE) {
        let message = format!("must be at least {SHORTEST_AGE}; found {age}");
        problems.push(Problem::new(path.field("maxAge"), message));
    }
}

/// What of a path is taken as it is written, although a shell or rotatelogs would not.
pub(super) fn notes(path: &Path, output: &Output, notes: &mut Vec<Problem>) {
    let Output::File(file) = output else { return };
    let mut note = |message: String| {
        notes.push(Problem::new(path.field("file").field("path"), message));
    };
    let conversion =
        file.path.split('%').skip(1).find(|text| text.starts_with(char::is_alphabetic));
    if let Some(letter) = conversion.and_then(|text| text.chars().next()) {
        note(format!(
            "`%{letter}` stands in the file's name as it is written, and no date takes its place; \
             for a new file each day use rotation with `maxAge: 24h`"
        ));
    }
    if file.path.starts_with('~') {
        note("`~` is the name of a directory as it is written, not anybody's home".to_owned());
    }
}

fn name(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        return Err("must be relative; it is below the output directory (`--output-dir`)".into());
    }
    if path.chars().any(char::is_control) {
        return Err("must not contain control characters; remove them".into());
    }
    for component in path.split('/') {
        match component {
            ".." => return Err("must not climb out of the output directory; remove `..`".into()),
            "" | "." => {
                return Err(
                    "must be names with one `/` between two; write `shop/access.log`".into()
                );
            }
            _ if component.len() > LONGEST_NAME => {
                return Err(format!(
                    "each name must have at most {LONGEST_NAME} bytes; one has {}",
                    component.len()
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A generator and the file that it writes.
struct Writer<'a> {
    source: usize,
    generator: usize,
    /// As messages call it.
    title: String,
    file: &'a FileOutput,
}

impl<'a> Writer<'a> {
    /// The writer at this place (source, generator); `None` if it writes no file, or none that
    /// could be.
    fn new(
        (source, generator): (usize, usize),
        output: &'a Output,
        title: impl Fn() -> String,
    ) -> Option<Self> {
        let Output::File(file) = output else { return None };
        name(&file.path).ok()?;
        Some(Self { source, generator, title: title(), file })
    }

    fn path(&self) -> Path {
        let generator = Path::root().field("spec").field("generators").index(self.generator);
        generator.field("output").field("file").field("path")
    }
}

/// Where the generators of one source are in each other's way: each has its index and its name.
pub(crate) fn conflicts<'a>(
    outputs: impl Iterator<Item = (usize, &'a str, &'a Output)>,
) -> Vec<Problem> {
    let writers: Vec<_> = outputs
        .filter_map(|(index, name, output)| Writer::new((0, index), output, || title(name)))
        .collect();
    between(&writers, |_, _| true).into_iter().map(|(_, problem)| problem).collect()
}

/// Where generators of different sources are in each other's way, with the position of the source.
pub(super) fn conflicts_between(sources: &[FakeLogSource]) -> Vec<(usize, Problem)> {
    let mut writers = Vec::new();
    for (position, source) in sources.iter().enumerate() {
        for (index, generator) in source.spec.generators.iter().enumerate() {
            writers.extend(Writer::new((position, index), &generator.output, || {
                format!("{} of `{}`", title(&generator.name), source.name_any())
            }));
        }
    }
    between(&writers, |one, other| one.source != other.source)
}

fn title(name: &str) -> String {
    format!("generator `{}`", shown(name))
}

/// Conflicts among writers, of those pairs that are `relevant`. Each is told of the writer that
/// comes later, or that needs the other's name for something else.
fn between(
    writers: &[Writer<'_>],
    relevant: impl Fn(&Writer<'_>, &Writer<'_>) -> bool,
) -> Vec<(usize, Problem)> {
    let mut first: HashMap<&str, &Writer<'_>> = HashMap::new();
    let mut problems = Vec::new();
    for writer in writers {
        match first.get(writer.file.path.as_str()) {
            Some(other) if relevant(writer, other) => {
                let message = format!("{} writes to this file too; choose another", other.title);
                problems.push((writer.source, Problem::new(writer.path(), message)));
            }
            Some(_) => {}
            None => {
                first.insert(&writer.file.path, writer);
            }
        }
    }
    for writer in writers {
        let path = writer.file.path.as_str();
        let directories = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
        for other in directories.filter_map(|directory| first.get(directory)) {
            if relevant(writer, other) {
                let message = format!(
                    "`{}` would be a directory, but is the file of {}; choose another",
                    other.file.path, other.title
                );
                problems.push((writer.source, Problem::new(writer.path(), message)));
            }
        }
        if let Some(other) = rotated_from(path).and_then(|original| first.get(original))
            && other.file.rotation.is_some()
            && relevant(writer, other)
        {
            let message = format!(
                "this is what `{}` of {} is called once rotated; choose another",
                other.file.path, other.title
            );
            problems.push((writer.source, Problem::new(writer.path(), message)));
        }
    }
    problems
}

/// The file whose rotated one would have this name: `access.log` for `access.log.2.gz`.
fn rotated_from(path: &str) -> Option<&str> {
    let (original, number) = path.strip_suffix(".gz").unwrap_or(path).rsplit_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !original.is_empty()).then_some(original)
}
