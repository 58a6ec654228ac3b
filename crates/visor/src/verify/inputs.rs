//! The inputs: standard input, files, and the files of directories, decompressed where they begin so.
//! A rotated set is read from its oldest file on, as it was written.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Cursor, Read},
    os::unix::fs::DirEntryExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use rustix::io::Errno;

/// How a compressed file begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// So often the files below a directory are opened anew because some have other names by then.
const TRIES: u32 = 100;

/// An input.
pub(super) enum Input {
    Stdin,
    File { path: PathBuf, file: Option<File> },
}

impl Input {
    /// A file that is opened when its turn comes.
    fn file(path: PathBuf) -> Self {
        Self::File { path, file: None }
    }

    /// Its name, for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "<stdin>".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// Its bytes on the disk; 0 if nobody knows.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Stdin => 0,
            Self::File { path, file } => {
                let metadata = file.as_ref().map_or_else(|| fs::metadata(path), File::metadata);
                metadata.map_or(0, |metadata| metadata.len())
            }
        }
    }

    /// Opens it. `progress` counts the bytes that are read.
    pub(super) fn open(self, progress: &ProgressBar) -> io::Result<Box<dyn Read>> {
        let mut read: Box<dyn Read> = match self {
            Self::Stdin => Box::new(progress.wrap_read(io::stdin())),
            Self::File { file: Some(file), .. } => Box::new(progress.wrap_read(file)),
            Self::File { path, file: None } => Box::new(progress.wrap_read(File::open(path)?)),
        };
        let mut start = Vec::new();
        (&mut read).take(GZIP.len() as u64).read_to_end(&mut start)?;
        let is_compressed = start == GZIP;
        let read = Cursor::new(start).chain(read);
        Ok(if is_compressed { Box::new(MultiGzDecoder::new(read)) } else { Box::new(read) })
    }
}

/// The inputs of these paths.
pub(super) fn all(paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut has_stdin = false;
    for path in paths {
        if path.as_os_str() == "-" {
            if std::mem::replace(&mut has_stdin, true) {
                bail!("standard input is named twice; remove one `-`");
            }
            inputs.push(Input::Stdin);
        } else if path.is_dir() {
            inputs.extend(files_below(path)?);
        } else {
            inputs.push(Input::file(path.clone()));
        }
    }
    Ok(inputs)
}

/// The files below a directory, those of a rotated set together, the oldest first. They are open
/// already: whatever rotates the set while it is read, each file is read once.
fn files_below(directory: &Path) -> anyhow::Result<Vec<Input>> {
    let mut files = names_below(directory)?;
    for _ in 0..TRIES {
        let opened: io::Result<Vec<_>> = files.keys().map(|file| open_now(&file.path)).collect();
        let names = names_below(directory)?;
        // Otherwise a rotation has moved files between being found and being opened.
        if names == files {
            return opened
                .with_context(|| format!("cannot read the files of {}", directory.display()));
        }
        files = names;
    }
    bail!(
        "the files below {} have other names whenever they are read; stop the rotation, or copy them",
        directory.display()
    )
}

fn open_now(path: &Path) -> io::Result<Input> {
    match File::open(path) {
        Ok(file) => Ok(Input::File { path: path.to_owned(), file: Some(file) }),
        // There are more files than this process may have open.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::MFILE) => {
            Ok(Input::file(path.to_owned()))
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// The inodes of the files below a directory. What [`is_unfinished`] is left out.
fn names_below(directory: &Path) -> anyhow::Result<BTreeMap<Place, u64>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let cannot = || format!("cannot read the directory {}", directory.display());
        for entry in fs::read_dir(&directory).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let kind = entry.file_type().with_context(cannot)?;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() && !is_unfinished(&entry.file_name()) {
                files.insert(place(entry.path()), entry.ino());
            }
        }
    }
    Ok(files)
}

/// Whether it is a file that the generator hasn't finished to compress, whose lines are still in
/// another one.
fn is_unfinished(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(b".partial")
}

/// A file by its place in its rotated set; the oldest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    set: PathBuf,
    age: Age,
    path: PathBuf,
}

/// How old a file of a rotated set is; the oldest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// `access.log.2.gz` is older than `access.log.1`.
    Number(Reverse<u64>),
    /// `access.log-20260102` is older than `access.log-20260103`.
    Date(String),
    /// `access.log` is the youngest.
    Current,
}

/// The rotated set of a file, and how old the file is.
fn place(path: PathBuf) -> Place {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let is_suffix = |at: &usize| {
        let suffix = &plain[at + 1..];
        suffix.starts_with(|first: char| first.is_ascii_digit())
            && suffix.chars().all(|c| c.is_ascii_digit() || "-_.:T".contains(c))
    };
    let mut separators = plain.match_indices(['.', '-']).map(|(at, _)| at);
    let (set, age) = match separators.find(is_suffix) {
        None => (plain, Age::Current),
        Some(at) => {
            let suffix = &plain[at + 1..];
            // A longer number is a time.
            let number = suffix.parse().ok().filter(|_| suffix.len() < 6);
            let age = number.map_or_else(
                || Age::Date(suffix.to_owned()),
                |number| Age::Number(Reverse(number)),
            );
            (&plain[..at], age)
        }
    };
    Place { set: path.with_file_name(set), age, path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_set_is_read_from_its_oldest_file_on() {
        let directory = tempfile::tempdir().unwrap();
        let in_order = [
            "access.log.10.gz",
            "access.log.2",
            "access.log.1",
            "access.log",
            "b.log-20260101.gz",
            "b.log-20260102-03",
            "b.log",
            "c.log.2026-01-01-00_00",
            "c.log.2026-01-02-00_00",
            "d-1.2.log",
            "e.log.1767225600",
            "e.log.1767312000",
            "e.log",
        ];
        for name in in_order.iter().rev().chain([&".access.log.partial"]) {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let files = files_below(directory.path()).unwrap();
        let prefix = format!("{}/", directory.path().display());
        let names: Vec<_> = files.iter().map(Input::name).collect();
        let names: Vec<_> = names.iter().filter_map(|name| name.strip_prefix(&prefix)).collect();
        assert_eq!(names, in_order);
    }
}
