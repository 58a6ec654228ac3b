//! The documents of the command line: reading them, and detecting changes.
//!
//! Changes are detected by polling, not by file system notifications: those are a scarce resource
//! on the nodes of a cluster, and don't work on many network file systems. A Kubernetes `ConfigMap`
//! volume swaps a symbolic link, which is followed.

use std::{
    fs, io,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
};

use visor_api::{
    Problem, ResolvedSource,
    document::{self, DocumentProblem, Input},
};

/// The maximum size of an input in bytes: that of all inputs together.
const MAX_BYTES: u64 = document::MAX_BYTES as u64;

/// The documents of the command line.
pub(crate) struct Documents {
    inputs: Vec<DocumentSource>,
    texts: Vec<Input>,
    notes: Vec<DocumentProblem>,
}

/// The origin of a document.
enum DocumentSource {
    /// Standard input, which can be read only once.
    Stdin(String),
    File {
        path: PathBuf,
        seen: Option<FileIdentity>,
        stable: bool,
    },
}

/// What identifies the state of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// All problems of the documents.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub(crate) struct Problems(pub(crate) Vec<DocumentProblem>);

impl Documents {
    /// Opens the documents of these paths; `-` is standard input.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, Problems> {
        let mut stdin_is_read = false;
        let mut inputs = Vec::new();
        let mut problems = Vec::new();
        for path in paths {
            if path.as_os_str() != "-" {
                inputs.push(DocumentSource::File { path: path.clone(), seen: None, stable: true });
            } else if !stdin_is_read {
                stdin_is_read = true;
                match read_text(io::stdin().lock()) {
                    Ok(text) => inputs.push(DocumentSource::Stdin(text)),
                    Err(error) => problems.push(unreadable("<stdin>", &error)),
                }
            }
        }
        if problems.is_empty() {
            Ok(Self { inputs, texts: Vec::new(), notes: Vec::new() })
        } else {
            Err(Problems(problems))
        }
    }

    /// Reads and checks all of them.
    pub(crate) fn read(&mut self) -> Result<Vec<ResolvedSource>, Problems> {
        let mut texts = Vec::new();
        let mut problems = Vec::new();
        for input in &mut self.inputs {
            match input {
                DocumentSource::Stdin(text) => {
                    texts.push(Input { name: "<stdin>".to_owned(), text: text.clone() });
                }
                DocumentSource::File { path, seen, stable } => {
                    *seen = identity(path).ok();
                    *stable = true;
                    let name = path.display().to_string();
                    match fs::File::open(&*path).and_then(read_text) {
                        Ok(text) => texts.push(Input { name, text }),
                        Err(error) => problems.push(unreadable(&name, &error)),
                    }
                }
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let read = read_on_thread(&texts).map_err(Problems);
        self.texts = texts;
        let document::Read { sources, notes } = read?;
        self.notes = notes;
        Ok(sources)
    }

    /// The warnings of the last reading, once.
    pub(crate) fn take_notes(&mut self) -> Vec<DocumentProblem> {
        std::mem::take(&mut self.notes)
    }

    /// Logs the warnings.
    pub(crate) fn log_notes(&mut self) {
        for note in self.take_notes() {
            tracing::info!("{note}");
        }
    }

    /// Reads them again; `None` if their contents are the same as the last time.
    pub(crate) fn read_if_different(&mut self) -> Option<Result<Vec<ResolvedSource>, Problems>> {
        let earlier = std::mem::take(&mut self.texts);
        let sources = self.read();
        let same = |(one, other): (&Input, &Input)| one.text == other.text;
        let unchanged = sources.is_ok()
            && earlier.len() == self.texts.len()
            && earlier.iter().zip(&self.texts).all(same);
        (!unchanged).then_some(sources)
    }

    /// Whether a file has changed since it was read, and has been stable since the last call: a
    /// file that is still being written is left for later.
    pub(crate) fn changed(&mut self) -> bool {
        let mut changed = false;
        for input in &mut self.inputs {
            let DocumentSource::File { path, seen, stable } = input else { continue };
            // A file that is missing for a moment, as when an editor replaces it, is no change.
            let Ok(now) = identity(path) else { continue };
            if seen.as_ref() == Some(&now) {
                changed |= !std::mem::replace(stable, true);
            } else {
                *seen = Some(now);
                *stable = false;
            }
        }
        changed
    }
}

/// Reads documents on a separate thread. Many documents need a lot of memory for a moment, which
/// the allocator keeps for the thread. When that thread has ended, the next one reuses the memory:
/// the event loop, which needs as much for its streams.
fn read_on_thread(texts: &[Input]) -> Result<document::Read, Vec<DocumentProblem>> {
    thread::scope(|scope| scope.spawn(|| document::read(texts)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn read_text(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("larger than 4 MiB; split it into several files"));
    }
    Ok(text)
}

fn identity(path: &Path) -> io::Result<FileIdentity> {
    let metadata = fs::metadata(path)?;
    Ok(FileIdentity {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

fn unreadable(name: &str, error: &io::Error) -> DocumentProblem {
    DocumentProblem {
        file: name.to_owned(),
        line: 0,
        object: None,
        problem: Problem::new(visor_api::Path::root(), format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(rate: u32) -> String {
        format!(
            "{{apiVersion: visor.dev/v1alpha1, kind: FakeLogSource, metadata: {{name: shop}}, spec: \
             {{generators: [{{name: web, access: {{}}, streams: [{{name: requests, kind: Access, \
             interval: {{rate: {{linesPerSecond: {rate}}}}}}}]}}]}}}}"
        )
    }

    #[test]
    fn a_change_is_noticed_once_it_has_settled_and_a_touch_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shop.yaml");
        fs::write(&path, document(1)).unwrap();
        let mut documents = Documents::open(std::slice::from_ref(&path)).unwrap();
        documents.read().unwrap();
        assert!(!documents.changed());
        fs::write(&path, document(1000)).unwrap();
        assert!(!documents.changed() && documents.changed() && !documents.changed());
        assert!(matches!(documents.read_if_different(), Some(Ok(_))));
        fs::remove_file(&path).unwrap();
        assert!(!documents.changed());
        fs::write(&path, document(1000)).unwrap();
        assert!(documents.read_if_different().is_none());
    }

    #[test]
    fn a_swapped_symbolic_link_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (version, rate) in [("..1", 1), ("..2", 2)] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("shop.yaml"), document(rate)).unwrap();
        }
        std::os::unix::fs::symlink("..1", path("..data")).unwrap();
        std::os::unix::fs::symlink("..data/shop.yaml", path("shop.yaml")).unwrap();
        let mut documents = Documents::open(&[path("shop.yaml")]).unwrap();
        documents.read().unwrap();
        std::os::unix::fs::symlink("..2", path("..new")).unwrap();
        fs::rename(path("..new"), path("..data")).unwrap();
        assert!(!documents.changed() && documents.changed());
        assert!(matches!(documents.read_if_different(), Some(Ok(_))));
    }

    #[test]
    fn a_file_that_is_not_there_is_a_problem_with_its_name() {
        let mut documents = Documents::open(&[PathBuf::from("/nowhere/shop.yaml")]).unwrap();
        let problems = documents.read().unwrap_err().to_string();
        assert!(problems.contains("/nowhere/shop.yaml") && problems.contains("cannot be read"));
    }
}
