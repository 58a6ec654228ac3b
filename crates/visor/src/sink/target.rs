//! A target that is open: appending to it, and knowing where its last whole line ends.
//!
//! It touches one file descriptor, and the directories above a file when it opens it.

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
    Patience, SinkError,
    directory::{Directory, FileId, FilePlace},
    patience::has_room,
    whole_lines,
};

/// A write to a pipe of up to this many bytes (Linux's `PIPE_BUF`) happens whole or not at all, and
/// at once if there is any room.
const ATOMIC_PIPE_WRITE: usize = 4096;

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// A file below the output directory.
    File(FilePlace),
}

impl Target {
    /// Where an output leads that is below this directory if it's a file.
    pub(crate) fn new(output: &resolved::Output, directory: &Path) -> Self {
        match output {
            resolved::Output::Stdout => Self::Stdout,
            resolved::Output::Stderr => Self::Stderr,
            resolved::Output::File { path, .. } => Self::File(FilePlace::new(directory, path)),
        }
    }

    /// Where the file is, if it is one.
    pub(crate) fn file(&self) -> Option<&FilePlace> {
        match self {
            Self::File(place) => Some(place),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(place) => place.path().display().fmt(f),
        }
    }
}

/// What kind of file a descriptor leads to, as far as writing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Regular,
    Pipe,
    /// Sockets and terminals.
    Stream,
    /// Other devices, such as /dev/null.
    Device,
}

/// An open target.
#[derive(Debug)]
pub(super) struct OpenTarget {
    file: File,
    kind: Kind,
    /// Whether the system can be told to write only if there is room, in one call. Linux can't for
    /// terminals, nor could older ones for pipes; they are asked for room first.
    tells_at_once: bool,
    /// Bytes in the file, as far as we know: others may have cut it.
    size: u64,
    /// Bytes after the last newline: of a line of which only the start could be written.
    unfinished: u64,
    /// When the file's first byte was written.
    since: Timestamp,
}

impl OpenTarget {
    /// Opens a target for appending. A file is created if it isn't there, with its directories.
    pub(super) fn open(target: &Target, now: Timestamp) -> Result<Self, SinkError> {
        match target {
            // A descriptor of our own: the standard library's buffers lines, and would split
            // batches at places of its choice.
            Target::Stdout => Self::standard(io::stdout().as_fd(), now),
            Target::Stderr => Self::standard(io::stderr().as_fd(), now),
            Target::File(place) => return Self::open_file(place, now),
        }
        .map_err(SinkError::at("open", target))
    }

    fn standard(stream: BorrowedFd<'_>, now: Timestamp) -> io::Result<Self> {
        Self::new(File::from(stream.try_clone_to_owned()?), now)
    }

    /// Opens a file for appending, as httpd does: mode 0644 less the umask. If it ends in the
    /// middle of a line (its writer was killed), that line is ended first.
    pub(super) fn open_file(place: &FilePlace, now: Timestamp) -> Result<Self, SinkError> {
        let directory = Directory::of(place)?;
        let name = place.name();
        let file = directory.open_log(name).map_err(|cause| {
            let is_pipe = || {
                let stat = directory.stat(name).ok().flatten();
                stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
            };
            if cause.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_pipe() {
                return SinkError::NoReader { place: directory.show(name) };
            }
            directory.failed("open", name)(cause)
        })?;
        let mut output = Self::new(file, now).map_err(directory.failed("look at", name))?;
        output.end_last_line(now).map_err(directory.failed("end the last line of", name))?;
        Ok(output)
    }

    /// An output from its descriptor. A file that already has bytes is as old as it says, unless
    /// that is later than `now`, as it may be where time is simulated.
    pub(super) fn new(file: File, now: Timestamp) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let kind = match metadata.file_type() {
            file_type if file_type.is_file() => Kind::Regular,
            file_type if file_type.is_fifo() => Kind::Pipe,
            file_type if file_type.is_socket() || file.is_terminal() => Kind::Stream,
            _ => Kind::Device,
        };
        let since = born(&metadata).map_or(now, |born| born.min(now));
        let size = metadata.len();
        Ok(Self { file, kind, tells_at_once: true, size, unfinished: 0, since })
    }

    /// As on a system that can't be told to write only if there is room.
    #[cfg(test)]
    pub(super) fn asking_first(self) -> Self {
        Self { tells_at_once: false, ..self }
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

    /// Writes `bytes`, and adds to `accepted` how many of them were taken, all or not. Says
    /// whether all were: not if there was no room until the patience was over.
    pub(super) fn append(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
        patience: &Patience,
        accepted: &mut usize,
    ) -> io::Result<bool> {
        if self.size == 0 {
            self.since = now;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.may_stall() && patience.is_over() {
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
                    patience.wait_for_room(&self.file)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// One write; where it may stall, only if there is room.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.may_stall() && self.tells_at_once {
            let from_here = u64::MAX;
            let bytes = [IoSlice::new(bytes)];
            match pwritev2(&self.file, &bytes, from_here, ReadWriteFlags::NOWAIT) {
                // The last two are what a sandbox answers that doesn't know or allow it.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                    self.tells_at_once = false;
                }
                written => return written.map_err(Into::into),
            }
        }
        if self.may_stall() && !has_room(&self.file)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.write(bytes)
    }

    /// The part of `rest` for one write: all of it, except that what may stall gets whole lines of at
    /// most as many bytes as go in at once. A process that ends while the reader has stalled then
    /// leaves no torn line behind; only a line that is longer goes in pieces, and may be torn.
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
            Some(end) => (taken.len() - end) as u64,
            None => self.unfinished + taken.len() as u64,
        };
    }

    /// Whether there is somebody at the other end, who may stall.
    fn may_stall(&self) -> bool {
        matches!(self.kind, Kind::Pipe | Kind::Stream)
    }

    /// Whether an error of a write says that a named pipe has lost its reader: another may come,
    /// and read on where that one stopped. That of a standard stream never does.
    pub(super) fn misses_its_reader(&self, target: &Target, error: &io::Error) -> bool {
        let is_named = target.file().is_some();
        is_named && self.kind == Kind::Pipe && error.kind() == io::ErrorKind::BrokenPipe
    }

    /// Bytes in a pipe that nobody will ever read, for nobody has it open for reading.
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

    /// Whether this is a file that can rotate and be cut.
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

    /// Which file it is.
    pub(super) fn id(&self) -> io::Result<FileId> {
        FileId::of(&self.file)
    }

    /// Whether a part of the file was never written: by us it all was.
    pub(super) fn has_hole(&self) -> bool {
        // A file system that knows of none says that there is one at the end.
        let hole = seek(&self.file, Place::Hole(0));
        self.size > 0 && hole.is_ok_and(|hole| hole < self.size)
    }

    /// Looks at the size again, and says whether something else has cut the file meanwhile.
    pub(super) fn was_cut(&mut self) -> io::Result<bool> {
        let known = self.size;
        self.size = self.file.metadata()?.len();
        Ok(self.size < known)
    }

    /// Copies the content into another file: as much as there was when its size was last looked at,
    /// for somebody else may be making it longer.
    pub(super) fn copy_to(&mut self, copy: &mut File) -> io::Result<()> {
        // Reading moves the position, but appending doesn't care.
        self.file.rewind()?;
        io::copy(&mut (&self.file).take(self.size), copy)?;
        Ok(())
    }

    /// Cuts the file to nothing.
    pub(super) fn truncate(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.size = 0;
        Ok(())
    }

    /// Cuts off the start of an unfinished line, unless something else has changed the file's
    /// size, and so perhaps its end. Returns how many bytes that was.
    pub(super) fn cut_back(&mut self) -> io::Result<u64> {
        let cut = self.unfinished;
        if cut == 0 || !self.is_regular() || self.file.metadata()?.len() != self.size {
            return Ok(0);
        }
        self.file.set_len(self.size - cut)?;
        // A descriptor that doesn't append, such as that of `> file`, would leave a hole.
        self.file.seek(SeekFrom::End(0))?;
        self.size -= cut;
        self.unfinished = 0;
        Ok(cut)
    }
}

/// When a file was created or, on a file system that doesn't say, last written to.
fn born(metadata: &Metadata) -> Option<Timestamp> {
    let time = metadata.created().or_else(|_| metadata.modified()).ok()?;
    Timestamp::try_from(time).ok()
}
