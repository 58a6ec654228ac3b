//! Gzip of the youngest rotated file, on a thread of its own, so that lines needn't wait for it.
//!
//! It reads `access.log.1`, writes the hidden partial file, names that `access.log.1.gz` when it
//! is whole, and only then removes `access.log.1`. The bytes depend on the content alone: there is
//! no name and no time in them.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    thread::{self, JoinHandle},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    SinkError,
    directory::{Directory, FileId},
    names::Names,
};

/// Compresses one file at a time.
#[derive(Default)]
pub(super) struct Compressor {
    running: Option<JoinHandle<Result<(), SinkError>>>,
    /// Whether the last compression failed, and that was said.
    failed: bool,
}

impl Compressor {
    /// Starts to compress generation 1, which is this file of so many bytes. The names must not shift
    /// before [`Compressor::wait`].
    pub(super) fn start(&mut self, directory: &Directory, names: &Names, this: FileId, size: u64) {
        let (plain, partial, whole) = (names.plain(1), names.partial(), names.compressed(1));
        let place = directory.show(&plain);
        let directory = directory.clone();
        let spawned = thread::Builder::new()
            .name("gzip".to_owned())
            .spawn(move || compress(&directory, &plain, &partial, &whole, (this, size)));
        match spawned {
            Ok(thread) => self.running = Some(thread),
            Err(cause) => self.note(&Err(SinkError::at("compress", place)(cause))),
        }
    }

    /// Waits until the compression in progress, if any, has ended.
    pub(super) fn wait(&mut self) {
        if let Some(thread) = self.running.take()
            && let Ok(result) = thread.join()
        {
            self.note(&result);
        }
    }

    /// A file that couldn't be compressed is kept as it is. That is said at the first of several
    /// failures in a row.
    fn note(&mut self, result: &Result<(), SinkError>) {
        if let Err(error) = result
            && !self.failed
        {
            tracing::warn!("{error}; the rotated file is kept uncompressed");
        }
        self.failed = result.is_err();
    }
}

fn compress(
    directory: &Directory,
    plain: &OsStr,
    partial: &OsStr,
    whole: &OsStr,
    (this, size): (FileId, u64),
) -> Result<(), SinkError> {
    let failed = || directory.failed("compress", plain);
    let file = directory.open_to_read(plain, this).map_err(failed())?;
    let result = directory
        .create(partial)
        .and_then(|partial| gzip(&file, partial, size).map_err(failed()))
        .and_then(|()| directory.set_aside_if_foreign(whole))
        .and_then(|()| directory.rename(partial, whole));
    if result.is_err() {
        // Whatever it has, a full disk can use the room.
        let _ = directory.clear(partial);
        return result;
    }
    directory.clear(plain)
}

/// No more than its size was: somebody else may be making it longer.
fn gzip(from: &File, to: File, size: u64) -> io::Result<()> {
    // Fast rather than small: the next rotation waits for it.
    let mut encoder = GzEncoder::new(to, Compression::fast());
    io::copy(&mut from.take(size), &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
