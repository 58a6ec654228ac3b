//! Rules for files: each is below the output directory, its rotated files have free names next to it, and
//! no two generators use the same one. Only names are checked; no file is accessed.

use std::collections::HashMap;

use kube::ResourceExt;

use crate::{
    FakeLogSource,
    message::shown,
    messages,
    problem::{Path, Problem},
    quantity::{Duration, Size},
    source::{FileOutput, Output},
};

/// The maximum length of a name of a file or directory in bytes: the limit of file systems (255),
/// less the suffix of a rotated file, such as `.1000.gz`.
const MAX_NAME_BYTES: usize = 240;
const MIN_FILE_SIZE: Size = Size::from_bytes(1024);
const MIN_FILE_AGE: Duration = Duration::from_secs(1);

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
    if let Some(size) = rotation.max_size.filter(|size| *size < MIN_FILE_SIZE) {
        let message = format!("must be at least {MIN_FILE_SIZE}; found {size}");
        problems.push(Problem::new(path.field("maxSize"), message));
    }
    if let Some(age) = rotation.max_age.filter(|age| *age < MIN_FILE_AGE) {
        let message = format!("must be at least {MIN_FILE_AGE}; found {age}");
        problems.push(Problem::new(path.field("maxAge"), message));
    }
}

/// Parts of a path that are literal here, although other programs would replace them.
pub(super) fn notes(path: &Path, output: &Output, notes: &mut Vec<Problem>) {
    let Output::File(file) = output else { return };
    for message in literal_parts(&file.path) {
        notes.push(Problem::new(path.field("file").field("path"), message));
    }
}

/// What is literal in the path of a log file, although a shell, rotatelogs, Kubernetes or another
/// system would replace it.
pub fn literal_parts(path: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let conversion = path.split('%').skip(1).find(|text| text.starts_with(char::is_alphabetic));
    if let Some(letter) = conversion.and_then(|text| text.chars().next()) {
        notes.push(format!(
            "`%{letter}` is literal here, not replaced by a date; \
             for a new file each day use `rotation` with `maxAge: 24h`"
        ));
    }
    if path.starts_with('~') {
        notes.push("`~` is literal here, not a home directory".to_owned());
    }
    for (part, meaning) in [
        ("$(", "a variable or the output of a command"),
        ("${", "a variable"),
        ("{{", "a template"),
        ("*", "a pattern"),
    ] {
        if path.contains(part) {
            notes.push(format!("`{part}` is literal here, not {meaning}"));
        }
    }
    if path.contains('`') {
        notes.push("a backquote is literal here, not the output of a command".to_owned());
    }
    let is_variable = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if path.split('$').skip(1).any(is_variable) {
        notes.push("`$` is literal here, not a variable".to_owned());
    }
    if path.contains('\\') {
        notes.push("`\\` is literal here, not between directories; that is `/`".to_owned());
    }
    let compressed = [".gz", ".bz2", ".xz", ".zst"].into_iter().find(|end| path.ends_with(end));
    if let Some(end) = compressed {
        notes.push(format!(
            "the file is not compressed, although its name ends with `{end}`; rotated files are, \
             by `rotation` with `compress: Gzip`"
        ));
    }
    if path.trim() != path {
        notes.push("the name has blanks at its ends".to_owned());
    }
    if [('"', '"'), ('\'', '\'')].into_iter().any(|(a, b)| path.starts_with(a) && path.ends_with(b))
    {
        notes.push("the quotes are part of the name".to_owned());
    }
    notes
}

/// Whether a path is the URL of something else than a file.
pub fn is_url(path: &str) -> bool {
    let scheme = path.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn name(path: &str) -> Result<(), String> {
    if is_url(path) {
        return Err("is a URL, but lines are written to files only; write a path".into());
    }
    if path.starts_with('/') {
        return Err("must be relative; it is below the output directory (`--output-dir`)".into());
    }
    if path.chars().any(char::is_control) {
        return Err("must not contain control characters; remove them".into());
    }
    for component in path.split('/') {
        match component {
            ".." => return Err("must not leave the output directory; remove `..`".into()),
            "" | "." => {
                return Err(
                    "must be names separated by a single `/`, such as `shop/access.log`".into()
                );
            }
            _ if component.len() > MAX_NAME_BYTES => {
                return Err(format!(
                    "each name must have at most {MAX_NAME_BYTES} bytes; found {}",
                    component.len()
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A generator and the file that it writes.
struct FileUser<'a> {
    source: usize,
    generator: usize,
    /// Its title in messages.
    title: String,
    file: &'a FileOutput,
}

impl<'a> FileUser<'a> {
    /// The user at this position (source, generator); `None` if it writes no file, or its path is
    /// invalid.
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

/// Conflicts between generators of one source, each given by its index and its name.
pub(crate) fn conflicts<'a>(
    outputs: impl Iterator<Item = (usize, &'a str, &'a Output)>,
) -> Vec<Problem> {
    let users: Vec<_> = outputs
        .filter_map(|(index, name, output)| FileUser::new((0, index), output, || title(name)))
        .collect();
    between(&users, |_, _| true).into_iter().map(|(_, problem)| problem).collect()
}

/// Conflicts between generators of different sources, with the index of the source.
pub(super) fn conflicts_between(sources: &[FakeLogSource]) -> Vec<(usize, Problem)> {
    let mut users = Vec::new();
    for (position, source) in sources.iter().enumerate() {
        for (index, generator) in source.spec.generators.iter().enumerate() {
            users.extend(FileUser::new((position, index), &generator.output, || {
                format!("{} of `{}`", title(&generator.name), source.name_any())
            }));
        }
    }
    between(&users, |one, other| one.source != other.source)
}

fn title(name: &str) -> String {
    format!("generator `{}`", shown(name))
}

/// Conflicts between those pairs that are `relevant`. Each is reported for the later one, or for
/// the one that uses a name of the other's.
fn between(
    users: &[FileUser<'_>],
    relevant: impl Fn(&FileUser<'_>, &FileUser<'_>) -> bool,
) -> Vec<(usize, Problem)> {
    let mut first: HashMap<&str, &FileUser<'_>> = HashMap::new();
    let mut problems = Vec::new();
    for user in users {
        match first.get(user.file.path.as_str()) {
            Some(other) if relevant(user, other) => {
                let message = format!("{} writes to the same file; choose another", other.title);
                problems.push((user.source, Problem::new(user.path(), message)));
            }
            Some(_) => {}
            None => {
                first.insert(&user.file.path, user);
            }
        }
    }
    for user in users {
        let path = user.file.path.as_str();
        let directories = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
        for other in directories.filter_map(|directory| first.get(directory)) {
            if relevant(user, other) {
                let message = format!(
                    "`{}` would be a directory, but it is the file of {}; choose another",
                    other.file.path, other.title
                );
                problems.push((user.source, Problem::new(user.path(), message)));
            }
        }
        if let Some(other) = rotated_from(path).and_then(|original| first.get(original))
            && other.file.rotation.is_some()
            && relevant(user, other)
        {
            let message = format!(
                "this is the name of a rotated file of `{}` of {}; choose another",
                other.file.path, other.title
            );
            problems.push((user.source, Problem::new(user.path(), message)));
        }
    }
    problems
}

/// The file whose rotated file has this name: `access.log` for `access.log.2.gz`.
fn rotated_from(path: &str) -> Option<&str> {
    let (original, number) = path.strip_suffix(".gz").unwrap_or(path).rsplit_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !original.is_empty()).then_some(original)
}
