//! The directory of a log file. Others may write to it, and create anything there: so its entries
//! are accessed through the directory's descriptor, no link is followed, files are created
//! exclusively, and a file's type is checked after it is opened.
//!
//! It touches one directory, and creates its parents.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat, fcntl_setfl, fstat, mkdirat,
        openat, renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
};

use crate::output::OutputError;

/// How often a file is opened that others replace at the same time.
const MAX_ATTEMPTS: usize = 3;
/// How many entries with the same name can be set aside.
const MAX_SET_ASIDE: usize = 100;

/// The location of a log file: below a trusted directory, by a path of which others may have
/// created any part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FileLocation {
    trusted: PathBuf,
    below: PathBuf,
}

impl FileLocation {
    /// A file below this directory. Links up to the directory are followed, and none below it.
    pub(crate) fn new(trusted: &Path, below: impl Into<PathBuf>) -> Self {
        Self { trusted: trusted.to_owned(), below: below.into() }
    }

    pub(super) fn name(&self) -> &OsStr {
        self.below.file_name().unwrap_or_default()
    }
}

impl fmt::Display for FileLocation {
    /// Its path, from the working directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trusted.join(&self.below).display().fmt(f)
    }
}

/// An open directory. Clones share its descriptor.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    descriptor: Arc<OwnedFd>,
    path: PathBuf,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const UNFOLLOWED: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

impl Directory {
    /// Opens the directory of a file, and creates it with its parents if necessary.
    pub(super) fn of(location: &FileLocation) -> Result<Self, OutputError> {
        let mut path = location.trusted.clone();
        if path.as_os_str().is_empty() {
            path.push(".");
        }
        let failed =
            |path: &Path| OutputError::at("open the directory", path.display().to_string());
        fs::create_dir_all(&path)
            .map_err(OutputError::at("create the directory", path.display()))?;
        let mut descriptor = openat(CWD, &path, DIRECTORY, Mode::empty())
            .map_err(|error| failed(&path)(error.into()))?;
        let parents = location.below.parent().into_iter().flat_map(Path::components);
        for component in parents.filter(|component| *component != Component::CurDir) {
            path.push(component);
            let flags = DIRECTORY | OFlags::NOFOLLOW;
            let open = || openat(&descriptor, component.as_os_str(), flags, Mode::empty());
            let opened = match open() {
                Err(Errno::NOENT) => {
                    match mkdirat(&descriptor, component.as_os_str(), Mode::from_raw_mode(0o777)) {
                        // Another process was faster.
                        Ok(()) | Err(Errno::EXIST) => open(),
                        Err(error) => Err(error),
                    }
                }
                opened => opened,
            };
            descriptor = opened.map_err(|error| failed(&path)(error.into()))?;
        }
        Ok(Self { descriptor: Arc::new(descriptor), path })
    }

    /// The path of an entry, for messages.
    pub(super) fn show(&self, name: &OsStr) -> String {
        self.path.join(name).display().to_string()
    }

    /// The metadata of the entry with this name, without following a link; `None` if there is none.
    pub(super) fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match statat(&*self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is an entry with this name.
    pub(super) fn has(&self, name: &OsStr) -> bool {
        !matches!(self.stat(name), Ok(None))
    }

    /// Opens a log for appending, and for reading if it is a regular file; creates it if there is
    /// none. Pipes and devices are opened as well, without blocking.
    pub(super) fn open_log(&self, name: &OsStr) -> io::Result<File> {
        let append = OFlags::APPEND | UNFOLLOWED;
        let at_once = append | OFlags::NONBLOCK | OFlags::NOCTTY;
        for _ in 0..MAX_ATTEMPTS {
            // Not for reading yet: that would make this process the reader of a pipe.
            let first = match self.open(name, OFlags::WRONLY | at_once) {
                Ok(first) => first,
                Err(Errno::NOENT) => {
                    let new = OFlags::RDWR | append | OFlags::CREATE | OFlags::EXCL;
                    match self.open(name, new) {
                        Err(Errno::EXIST) => continue,
                        opened => return Ok(opened?),
                    }
                }
                Err(error) => return Err(error.into()),
            };
            let stat = fstat(&first)?;
            match FileType::from_raw_mode(stat.st_mode) {
                // Others may have created a hard link to another user's file.
                FileType::RegularFile if stat.st_nlink > 1 && stat.st_uid != own_user() => {
                    let why = "it is a hard link to a file of another user";
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                }
                FileType::RegularFile => {}
                FileType::BlockDevice => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "it is a block device",
                    ));
                }
                FileType::Fifo => return Ok(first),
                _ => {
                    fcntl_setfl(&first, OFlags::APPEND)?;
                    return Ok(first);
                }
            }
            let again = self.open(name, OFlags::RDWR | at_once)?;
            if FileId::of(&first)? == FileId::of(&again)? {
                fcntl_setfl(&again, OFlags::APPEND)?;
                return Ok(again);
            }
        }
        Err(io::Error::other("another process keeps replacing it"))
    }

    /// Opens a file for reading, if it is this very file.
    pub(super) fn open_to_read(&self, name: &OsStr, this: FileId) -> io::Result<File> {
        let file = self.open(name, OFlags::RDONLY | OFlags::NONBLOCK | UNFOLLOWED)?;
        if FileId::of(&file)? == this {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "another process has replaced it"))
        }
    }

    /// The regular file with this name, if it belongs to this user and has no other name.
    pub(super) fn own_file(&self, name: &OsStr) -> Option<RotatedFile> {
        let stat = self.stat(name).ok().flatten()?;
        let is_own = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_uid == own_user()
            && stat.st_nlink == 1;
        let size = u64::try_from(stat.st_size).ok()?;
        is_own.then_some(RotatedFile { id: FileId(stat.st_dev, stat.st_ino), size })
    }

    /// Whether a regular file has this name.
    pub(super) fn has_file(&self, name: &OsStr) -> bool {
        let stat = self.stat(name).ok().flatten();
        stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    /// Creates a file with a log's mode. An existing entry is removed, or set aside.
    pub(super) fn create(&self, name: &OsStr) -> Result<File, OutputError> {
        for _ in 0..MAX_ATTEMPTS {
            let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | UNFOLLOWED;
            match self.open(name, new) {
                Err(Errno::EXIST) => self.clear(name)?,
                opened => {
                    let failed = OutputError::at("create", self.show(name));
                    return opened.map_err(|error| failed(error.into()));
                }
            }
        }
        Err(self.failed("create", name)(Errno::EXIST.into()))
    }

    fn open(&self, name: &OsStr, flags: OFlags) -> Result<File, Errno> {
        openat(&*self.descriptor, name, flags, Mode::from_raw_mode(0o644)).map(File::from)
    }

    /// Removes the entry with this name: a file is deleted, everything else is set aside.
    pub(super) fn clear(&self, name: &OsStr) -> Result<(), OutputError> {
        match unlinkat(&*self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // The second is POSIX's error for directories.
            Err(Errno::ISDIR | Errno::PERM) => self.set_aside(name),
            Err(error) => Err(self.failed("remove", name)(error.into())),
        }
    }

    /// Sets the entry with this name aside unless it is a regular file: Visor creates only those.
    pub(super) fn set_aside_if_foreign(&self, name: &OsStr) -> Result<(), OutputError> {
        let stat = self.stat(name).map_err(self.failed("examine", name))?;
        match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            None | Some(FileType::RegularFile) => Ok(()),
            Some(_) => self.set_aside(name),
        }
    }

    /// Renames an entry, so that it isn't in the way.
    fn set_aside(&self, name: &OsStr) -> Result<(), OutputError> {
        for number in 0..MAX_SET_ASIDE {
            let mut aside = name.to_owned();
            aside.push(".aside");
            if number > 0 {
                aside.push(format!(".{number}"));
            }
            match self.rename_to_free(name, &aside) {
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(self.failed("set aside", name)(error.into())),
                Ok(()) => {
                    tracing::warn!(
                        "{} was not created by Visor; renamed it to {}",
                        self.show(name),
                        aside.display()
                    );
                    return Ok(());
                }
            }
        }
        Err(self.failed("set aside", name)(Errno::EXIST.into()))
    }

    fn rename_to_free(&self, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        let here = &*self.descriptor;
        match renameat_with(here, from, here, to, RenameFlags::NOREPLACE) {
            // The file system doesn't support it.
            Err(Errno::INVAL | Errno::NOSYS) if self.has(to) => Err(Errno::EXIST),
            Err(Errno::INVAL | Errno::NOSYS) => renameat(here, from, here, to),
            renamed => renamed,
        }
    }

    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), OutputError> {
        let here = &*self.descriptor;
        renameat(here, from, here, to).map_err(|error| self.failed("rename", from)(error.into()))
    }

    pub(super) fn rename_if_there(&self, from: &OsStr, to: &OsStr) -> Result<(), OutputError> {
        if self.has(from) { self.rename(from, to) } else { Ok(()) }
    }

    /// For `map_err`.
    pub(super) fn failed(
        &self,
        action: &'static str,
        name: &OsStr,
    ) -> impl FnOnce(io::Error) -> OutputError {
        OutputError::at(action, self.show(name))
    }

    /// Whether this very file has that name.
    pub(super) fn is_at(&self, file: &File, name: &OsStr) -> io::Result<bool> {
        let ours = FileId::of(file)?;
        let there = self.stat(name)?;
        Ok(there.is_some_and(|there| FileId(there.st_dev, there.st_ino) == ours))
    }
}

/// What identifies a file, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }
}

/// A rotated file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RotatedFile {
    pub(super) id: FileId,
    pub(super) size: u64,
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A name with a suffix.
pub(super) fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}
