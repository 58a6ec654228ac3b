//! An open destination: appends to it, and knows where its last complete line ends. It touches one
//! file descriptor, and the directories of a file when it opens it.

use std::{
    ffi::OsStr,
    fmt,
    fs::{File, Metadata},
    io::{self, IoSlice, IsTerminal, Read as _, Seek, SeekFrom, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt, FileTypeExt},
    },
    path::Path,
};

use jiff::Timestamp;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, SeekFrom as Place, seek},
    io::{Errno, ReadWriteFlags, pwritev2},
};
use visor_api::resolved;

use super::{
    Cancellation, OutputError,
    cancellation::has_room,
    directory::{Directory, FileId, FileLocation},
    whole_lines,
};

/// A write of up to this many bytes to a pipe (Linux's `PIPE_BUF`) is atomic, and succeeds at once
/// if there is any room.
const ATOMIC_PIPE_WRITE: usize = 4096;

/// The destination of lines.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Destination {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// A file below the output directory.
    File(FileLocation),
}

impl Destination {
    /// The destination of an output, below this directory if it is a file.
    pub(crate) fn new(output: &resolved::Output, directory: &Path) -> Self {
        match output {
            resolved::Output::Stdout => Self::Stdout,
            resolved::Output::Stderr => Self::Stderr,
            resolved::Output::File { path, .. } => Self::File(FileLocation::new(directory, path)),
        }
    }

    /// The location of the file, if it is one.
    pub(crate) fn file(&self) -> Option<&FileLocation> {
        match self {
            Self::File(location) => Some(location),
            _ => None,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(location) => location.path().display().fmt(f),
        }
    }
}

/// The type of a file, as far as writing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Regular,
    Pipe,
    /// Sockets and terminals.
    Stream,
    /// Other devices, such as /dev/null.
    Device,
}

/// An open destination.
#[derive(Debug)]
pub(super) struct OpenDestination {
    file: File,
    kind: Kind,
    /// Whether the system supports writes that never block (`RWF_NOWAIT`). Linux doesn't for
    /// terminals, and older versions don't for pipes; these are polled for room first.
    supports_nowait: bool,
    /// Bytes in the file, as far as known: others may have truncated it.
    size: u64,
    /// Bytes after the last newline: of a partial line.
    unfinished: u64,
    /// When the file's first byte was written.
    since: Timestamp,
}

impl OpenDestination {
    /// Opens a destination for appending. A file is created with its directories if necessary.
    pub(super) fn open(destination: &Destination, now: Timestamp) -> Result<Self, OutputError> {
        match destination {
            // A descriptor of its own: the standard library's buffers lines, and would split
            // batches anywhere.
            Destination::Stdout => Self::standard(io::stdout().as_fd(), now),
            Destination::Stderr => Self::standard(io::stderr().as_fd(), now),
            Destination::File(location) => return Self::open_file(location, now),
        }
        .map_err(OutputError::at("open", destination))
    }

    fn standard(stream: BorrowedFd<'_>, now: Timestamp) -> io::Result<Self> {
        Self::new(File::from(stream.try_clone_to_owned()?), now)
    }

    /// Opens a file for appending, as httpd does: mode 0644 less the umask. If it ends with a
    /// partial line (its writer was killed), that line is ended first.
    pub(super) fn open_file(location: &FileLocation, now: Timestamp) -> Result<Self, OutputError> {
        let directory = Directory::of(location)?;
        let name = location.name();
        let file = directory.open_log(name).map_err(|cause| {
            let is_pipe = || {
                let stat = directory.stat(name).ok().flatten();
                stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
            };
            if cause.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_pipe() {
                return OutputError::NoReader { location: directory.show(name) };
            }
            directory.failed("open", name)(cause)
        })?;
        let mut output = Self::new(file, now).map_err(directory.failed("examine", name))?;
        output.end_last_line(now).map_err(directory.failed("end the last line of", name))?;
        Ok(output)
    }

    /// Wraps a descriptor. A file with content is as old as its metadata say, unless that is later
    /// than `now`, which is possible if time is simulated.
    pub(super) fn new(file: File, now: Timestamp) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let kind = match metadata.file_type() {
            file_type if file_type.is_file() => Kind::Regular,
            file_type if file_type.is_fifo() => Kind::Pipe,
            file_type if file_type.is_socket() || file.is_terminal() => Kind::Stream,
            _ => Kind::Device,
        };
        let since = created_at(&metadata).map_or(now, |created_at| created_at.min(now));
        let size = metadata.len();
        Ok(Self { file, kind, supports_nowait: true, size, unfinished: 0, since })
    }

    /// As on a system that doesn't support writes that never block.
    #[cfg(test)]
    pub(super) fn without_nowait(self) -> Self {
        Self { supports_nowait: false, ..self }
    }

    fn end_last_line(&mut self, now: Timestamp) -> io::Result<()> {
        let mut last = [b'\n'];
        if self.is_regular() && self.size > 0 {
            self.file.read_exact_at(&mut last, self.size - 1)?;
        }
        if last == [b'\n'] {
            return Ok(());
        }
        if self.size == 0 {
            self.since = now;
        }
        self.file.write_all(b"\n")?;
        self.account(b"\n");
        Ok(())
    }

    /// Writes `bytes`, and adds to `accepted` how many of them were written, whether all or not.
    /// Returns whether all were: not if the write was canceled while it waited for room.
    pub(super) fn append(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
        cancellation: &Cancellation,
        accepted: &mut usize,
    ) -> io::Result<bool> {
        if self.size == 0 {
            self.since = now;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.may_stall() && cancellation.is_canceled() {
                return Ok(false);
            }
            match self.write(self.one_write(rest)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.account(&rest[..taken]);
                    *accepted += taken;
                    rest = &rest[taken..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.may_stall() => {
                    cancellation.wait_for_room(&self.file)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// One write; if it may block, only if there is room.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.may_stall() && self.supports_nowait {
            let from_here = u64::MAX;
            let bytes = [IoSlice::new(bytes)];
            match pwritev2(&self.file, &bytes, from_here, ReadWriteFlags::NOWAIT) {
                // The last two are the errors of a sandbox that doesn't support or allow it.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                    self.supports_nowait = false;
                }
                written => return written.map_err(Into::into),
            }
        }
        if self.may_stall() && !has_room(&self.file)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.write(bytes)
    }

    /// The part of `rest` for one write: all of it or, if the destination may block, complete lines
    /// within one atomic write. A process that ends while the reader stalls then leaves no partial
    /// line; only a longer line is written in pieces, and may be partial.
    fn one_write<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        if !self.may_stall() || rest.len() <= ATOMIC_PIPE_WRITE {
            return rest;
        }
        let piece = &rest[..ATOMIC_PIPE_WRITE];
        &piece[..whole_lines(piece).unwrap_or(piece.len())]
    }

    fn account(&mut self, taken: &[u8]) {
        self.size += taken.len() as u64;
        self.unfinished = match whole_lines(taken) {
            Some(cancel) => (taken.len() - cancel) as u64,
            None => self.unfinished + taken.len() as u64,
        };
    }

    /// Whether the reader at the other end may stall.
    fn may_stall(&self) -> bool {
        matches!(self.kind, Kind::Pipe | Kind::Stream)
    }

    /// Whether a write error means that a named pipe has lost its reader: another one may follow,
    /// and continue where that one stopped. For a standard stream none follows.
    pub(super) fn has_lost_reader(&self, destination: &Destination, error: &io::Error) -> bool {
        let is_named = destination.file().is_some();
        is_named && self.kind == Kind::Pipe && error.kind() == io::ErrorKind::BrokenPipe
    }

    /// Bytes in a pipe that will never be read, because no process has it open for reading.
    pub(super) fn unread(&self) -> u64 {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut pipe = [PollFd::new(&self.file, PollFlags::OUT)];
        let has_answer = self.kind == Kind::Pipe && poll(&mut pipe, Some(&at_once)) == Ok(1);
        if has_answer && pipe[0].revents().contains(PollFlags::ERR) {
            rustix::io::ioctl_fionread(&self.file).unwrap_or(0)
        } else {
            0
        }
    }

    /// Whether this is a file that can be rotated and truncated.
    pub(super) fn is_regular(&self) -> bool {
        self.kind == Kind::Regular
    }

    /// Bytes in the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes after the last newline.
    pub(super) fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// When the file's first byte was written.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether this very file still has that name.
    pub(super) fn is_in(&self, directory: &Directory, name: &OsStr) -> io::Result<bool> {
        directory.is_at(&self.file, name)
    }

    /// The identity of the file.
    pub(super) fn id(&self) -> io::Result<FileId> {
        FileId::of(&self.file)
    }

    /// Whether a part of the file was never written: this process writes all of it.
    pub(super) fn has_hole(&self) -> bool {
        // A file system without holes reports one at the end.
        let hole = seek(&self.file, Place::Hole(0));
        self.size > 0 && hole.is_ok_and(|hole| hole < self.size)
    }

    /// Updates the size, and returns whether something else has truncated the file.
    pub(super) fn was_cut(&mut self) -> io::Result<bool> {
        let known = self.size;
        self.size = self.file.metadata()?.len();
        Ok(self.size < known)
    }

    /// Copies the content into another file: as much as there was at the last update of the size,
    /// because another program may be appending to it.
    pub(super) fn copy_to(&mut self, copy: &mut File) -> io::Result<()> {
        // Reading moves the position, which appending ignores.
        self.file.rewind()?;
        io::copy(&mut (&self.file).take(self.size), copy)?;
        Ok(())
    }

    /// Truncates the file.
    pub(super) fn truncate(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.size = 0;
        Ok(())
    }

    /// Removes a partial line, unless something else has changed the file's size, and so perhaps
    /// its end. Returns how many bytes that were.
    pub(super) fn cut_back(&mut self) -> io::Result<u64> {
        let cut = self.unfinished;
        if cut == 0 || !self.is_regular() || self.file.metadata()?.len() != self.size {
            return Ok(0);
        }
        self.file.set_len(self.size - cut)?;
        // A descriptor that doesn't append, as with `> file`, would leave a hole.
        self.file.seek(SeekFrom::End(0))?;
        self.size -= cut;
        self.unfinished = 0;
        Ok(cut)
    }
}

/// When a file was created or, if the file system doesn't know, last modified.
fn created_at(metadata: &Metadata) -> Option<Timestamp> {
    let time = metadata.created().or_else(|_| metadata.modified()).ok()?;
    Timestamp::try_from(time).ok()
}
