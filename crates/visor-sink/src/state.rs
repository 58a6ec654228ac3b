//! The state in a file: a log of what changed, each change in a line of JSON. It is written before the
//! sender is answered, so whoever has an answer finds it again after a restart. When the log has
//! grown, a snapshot takes its place.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use visor_proof::{Emitted, delivery::Change};

/// The version of the form.
pub(crate) const VERSION: u32 = 1;
/// What to do about a file that can't be read.
const WHAT_TO_DO: &str = "name another file with --state, or delete this one";
/// The maximum number of bytes of a line.
const MAX_LINE: u64 = 512 << 20;
/// A log with fewer bytes than this is not worth a snapshot.
const MIN_LOG: u64 = 1 << 20;
/// A log with more bytes than so many snapshots becomes one.
const SNAPSHOTS: u64 = 4;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Entry {
    /// The first line.
    #[serde(rename_all = "camelCase")]
    Begin {
        version: u32,
        /// Since when the delivery is watched, in milliseconds since the epoch.
        since: u64,
    },
    /// What changed of the delivery.
    Change(Change),
    /// What a place said that was emitted, with the lanes that changed.
    Emitted { place: String, report: Emitted },
}

/// The file.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    file: File,
    /// The bytes of the file, and of the snapshot at its start.
    length: u64,
    snapshot: u64,
    buffer: Vec<u8>,
    has_unsynced: bool,
    /// Whether it may end with half a line: nothing is written behind that.
    is_broken: bool,
}

impl StateFile {
    /// Opens a file that no other program has open, or creates it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let path = path.to_owned();
        let file =
            lock(&path).with_context(|| format!("cannot open the state {}", path.display()))?;
        let buffer = Vec::new();
        let (has_unsynced, is_broken) = (false, false);
        Ok(Self { path, file, length: 0, snapshot: 0, buffer, has_unsynced, is_broken })
    }

    /// Reads all entries. A last line without an end was being written when the program was killed.
    pub(crate) fn read(&self, mut each: impl FnMut(Entry)) -> anyhow::Result<()> {
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let place = || format!("{}:{number}", self.path.display());
            reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).with_context(place)?;
            let Some(text) = line.strip_suffix(b"\n") else {
                if line.len() as u64 == MAX_LINE {
                    bail!("{}: it is no state: the line is too long; {WHAT_TO_DO}", place());
                }
                break;
            };
            match (number, serde_json::from_slice(text)) {
                (1, Ok(Entry::Begin { version, .. })) if version != VERSION => bail!(
                    "{}: it is of another version of the sink: {version}, and not {VERSION}; {WHAT_TO_DO}",
                    place()
                ),
                (1, Ok(entry @ Entry::Begin { .. })) => each(entry),
                (1, Ok(_)) => {
                    bail!("{}: it is no state: its beginning is missing; {WHAT_TO_DO}", place())
                }
                (_, Ok(entry)) => each(entry),
                (_, Err(error)) => bail!("{}: it is no state: {error}; {WHAT_TO_DO}", place()),
            }
        }
        Ok(())
    }

    /// Adds entries at the end.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("it could not be written before"));
        }
        self.buffer.clear();
        for entry in entries {
            write_line(&mut self.buffer, entry)?;
        }
        self.is_broken = true;
        self.file.write_all(&self.buffer)?;
        self.is_broken = false;
        self.length += self.buffer.len() as u64;
        self.has_unsynced = true;
        // A large request is no reason to hold its memory.
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    /// Whether a snapshot would be much smaller than the log.
    pub(crate) const fn is_long(&self) -> bool {
        self.length > MIN_LOG && self.length > SNAPSHOTS * self.snapshot
    }

    /// Puts these entries in place of all others.
    pub(crate) fn replace(&mut self, entries: impl Iterator<Item = Entry>) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let mut file = File::create(&name)?;
        file.lock()?;
        let mut writer = BufWriter::new(&mut file);
        for entry in entries {
            write_line(&mut writer, &entry)?;
        }
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        fs::rename(&name, &self.path)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
        self.length = file.metadata()?.len();
        (self.snapshot, self.file, self.has_unsynced) = (self.length, file, false);
        Ok(())
    }

    /// The file, if it has bytes that the machine may still lose.
    pub(crate) fn take_unsynced(&mut self) -> io::Result<Option<File>> {
        if std::mem::take(&mut self.has_unsynced) {
            self.file.try_clone().map(Some)
        } else {
            Ok(None)
        }
    }
}

fn write_line(writer: &mut impl Write, entry: &Entry) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, entry)?;
    writer.write_all(b"\n")
}

/// Opens the file of this path, and locks it.
fn lock(path: &Path) -> anyhow::Result<File> {
    loop {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another program uses it"),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // Another program may have put a new file in its place just now.
        let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
        let is_same = fs::metadata(path).is_ok_and(|metadata| {
            file.metadata().is_ok_and(|own| identity(&own) == identity(&metadata))
        });
        if is_same {
            return Ok(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(path: &Path) -> anyhow::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        StateFile::open(path)?.read(|entry| entries.push(entry))?;
        Ok(entries)
    }

    #[test]
    fn what_is_written_is_read_again_except_for_half_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let begin = Entry::Begin { version: VERSION, since: 7 };
        let change = Entry::Change(Change::default());
        let mut state = StateFile::open(&path).unwrap();
        state.replace([begin.clone()].into_iter()).unwrap();
        state.append(&[change.clone(), change.clone()]).unwrap();
        assert!(state.take_unsynced().unwrap().is_some());
        assert!(state.take_unsynced().unwrap().is_none());
        let error = StateFile::open(&path).unwrap_err();
        assert!(format!("{error:#}").ends_with("another program uses it"), "{error:#}");
        state.file.write_all(b"{\"change\":{").unwrap();
        drop(state);
        assert_eq!(entries(&path).unwrap(), [begin, change.clone(), change]);
        assert!(!directory.path().join("state.new").exists());
    }

    #[test]
    fn nothing_is_written_behind_half_a_line() {
        let mut state = StateFile::open(Path::new("/dev/full")).unwrap();
        let change = [Entry::Change(Change::default())];
        assert_eq!(state.append(&change).unwrap_err().kind(), io::ErrorKind::StorageFull);
        state.file = tempfile::tempfile().unwrap();
        assert!(state.append(&change).is_err());
        assert_eq!(state.file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn what_is_no_state_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        for (text, wanted) in [
            ("a line\n", ":1: it is no state: expected value"),
            ("{\"change\":{}}\n", ":1: it is no state: its beginning is missing"),
            ("{\"begin\":{\"version\":2,\"since\":0}}\n", ":1: it is of another version"),
            (
                "{\"begin\":{\"version\":1,\"since\":0}}\n{\"change\":{\"a\":1}}\n",
                ":2: it is no state",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", entries(&path).unwrap_err());
            assert!(error.contains(wanted), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
