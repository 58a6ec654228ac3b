//! An open descriptor: appends records to it, and knows where its last complete one ends. It touches
//! this descriptor alone.

use std::{
    fs::{File, Metadata},
    io::{self, IoSlice, IsTerminal, Read as _, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, FileTypeExt},
};

use jiff::Timestamp;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{SeekFrom as Place, seek},
    io::{Errno, ReadWriteFlags, pwritev2},
};

use super::CloseResult;
use crate::output::{Cancellation, Records, cancellation::has_room};

/// A write of up to this many bytes to a pipe (Linux's `PIPE_BUF`) is atomic, and succeeds at once
/// if there is any room.
const ATOMIC_PIPE_WRITE: usize = 4096;

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

/// An open descriptor.
#[derive(Debug)]
pub(super) struct Descriptor {
    file: File,
    kind: Kind,
    /// Whether the system supports writes that never block (`RWF_NOWAIT`). Linux doesn't for
    /// terminals, and older versions don't for pipes; these are polled for room first.
    supports_nowait: bool,
    /// Bytes in the file, as far as known: others may have truncated it.
    size: u64,
    /// Bytes after the last complete record.
    incomplete: u64,
    /// When the file's first byte was written.
    since: Timestamp,
}

impl Descriptor {
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
        Ok(Self { file, kind, supports_nowait: true, size, incomplete: 0, since })
    }

    /// As on a system that doesn't support writes that never block.
    #[cfg(test)]
    pub(super) fn without_nowait(self) -> Self {
        Self { supports_nowait: false, ..self }
    }

    /// Ends the last line of a file, if its writer was killed within it.
    pub(super) fn end_last_line(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if self.is_regular() && self.size > 0 {
            self.file.read_exact_at(&mut last, self.size - 1)?;
        }
        if last != [b'\n'] {
            self.file.write_all(b"\n")?;
            self.size += 1;
        }
        Ok(())
    }

    /// Writes records, and adds to `accepted` how many bytes were written, whether all or not.
    /// Returns whether all were: not if the write was canceled while it waited for room.
    pub(super) fn append(
        &mut self,
        records: Records<'_>,
        now: Timestamp,
        cancellation: &Cancellation,
        accepted: &mut usize,
    ) -> io::Result<bool> {
        if self.size == 0 {
            self.since = now;
        }
        let mut rest = records;
        while !rest.is_empty() {
            if self.may_stall() && cancellation.is_canceled() {
                return Ok(false);
            }
            match self.write(self.one_write(rest)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    self.account(rest, length);
                    *accepted += length;
                    rest = rest.after(length);
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

    /// The part of `rest` for one write: all of it or, if the destination may block, complete
    /// records within one atomic write. A process that ends while the reader stalls then leaves no
    /// incomplete record; only a longer one is written in pieces, and may be incomplete.
    fn one_write<'a>(&self, rest: Records<'a>) -> &'a [u8] {
        if !self.may_stall() || rest.len() <= ATOMIC_PIPE_WRITE {
            return rest.bytes();
        }
        &rest.bytes()[..rest.complete_within(ATOMIC_PIPE_WRITE).unwrap_or(ATOMIC_PIPE_WRITE)]
    }

    /// Notes that the first `length` bytes of `records` have been written.
    fn account(&mut self, records: Records<'_>, length: usize) {
        self.size += length as u64;
        self.incomplete = match records.complete_within(length) {
            Some(complete) => (length - complete) as u64,
            None => self.incomplete + length as u64,
        };
    }

    /// Whether the reader at the other end may stall.
    fn may_stall(&self) -> bool {
        matches!(self.kind, Kind::Pipe | Kind::Stream)
    }

    /// Whether this is a pipe.
    pub(super) fn is_pipe(&self) -> bool {
        self.kind == Kind::Pipe
    }

    /// Bytes in a pipe.
    fn in_pipe(&self) -> u64 {
        let is_pipe = self.kind == Kind::Pipe;
        if is_pipe { rustix::io::ioctl_fionread(&self.file).unwrap_or(0) } else { 0 }
    }

    /// Whether no process has a pipe open for reading.
    fn has_no_reader(&self) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut pipe = [PollFd::new(&self.file, PollFlags::OUT)];
        let has_answer = self.kind == Kind::Pipe && poll(&mut pipe, Some(&at_once)) == Ok(1);
        has_answer && pipe[0].revents().contains(PollFlags::ERR)
    }

    /// Whether this is a file that can be rotated and truncated.
    pub(super) fn is_regular(&self) -> bool {
        self.kind == Kind::Regular
    }

    /// Bytes in the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it ends with an incomplete record.
    pub(super) fn is_within_a_record(&self) -> bool {
        self.incomplete > 0
    }

    /// When the file's first byte was written.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// The file itself, to identify it.
    pub(super) fn file(&self) -> &File {
        &self.file
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

    /// What is to be done before it is closed: an incomplete record is removed. What a pipe has of
    /// one doesn't count as unread, because it didn't count as written.
    pub(super) fn finish(&mut self) -> io::Result<CloseResult> {
        // In this order: what a reader leaves stays there.
        let has_no_reader = self.has_no_reader();
        let in_pipe = self.in_pipe().saturating_sub(self.incomplete);
        let unread = if has_no_reader { in_pipe } else { 0 };
        Ok(CloseResult { cut: self.cut_back()?, unread, in_pipe })
    }

    /// Removes an incomplete record, unless something else has changed the file's size, and so
    /// perhaps its end. Returns how many bytes that were.
    fn cut_back(&mut self) -> io::Result<u64> {
        let cut = self.incomplete;
        if cut == 0 || !self.is_regular() || self.file.metadata()?.len() != self.size {
            return Ok(0);
        }
        self.file.set_len(self.size - cut)?;
        // A descriptor that doesn't append, as with `> file`, would leave a hole.
        self.file.seek(SeekFrom::End(0))?;
        self.size -= cut;
        self.incomplete = 0;
        Ok(cut)
    }
}

/// When a file was created or, if the file system doesn't know, last modified.
fn created_at(metadata: &Metadata) -> Option<Timestamp> {
    let time = metadata.created().or_else(|_| metadata.modified()).ok()?;
    Timestamp::try_from(time).ok()
}
