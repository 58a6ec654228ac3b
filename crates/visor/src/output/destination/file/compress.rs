//! Gzip of a rotated file, on a thread of its own, so that lines don't wait for it.
//!
//! It reads `access.log.1`, writes a hidden partial file, renames that to `access.log.1.gz` when it
//! is complete, and only then removes `access.log.1`. The result depends on the content alone: it
//! contains no name and no time.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    thread::{self, JoinHandle},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    directory::{Directory, RotatedFile},
    names::Names,
};
use crate::output::OutputError;

/// Compresses one file at a time.
#[derive(Default)]
pub(super) struct Compressor {
    running: Option<JoinHandle<Result<(), OutputError>>>,
    /// Whether the last compression failed, and that was logged.
    failed: bool,
}

impl Compressor {
    /// Starts compressing this file of this generation. The names must not shift before
    /// [`Compressor::wait`].
    pub(super) fn start(
        &mut self,
        directory: &Directory,
        names: &Names,
        generation: u32,
        this: RotatedFile,
    ) {
        let plain = names.plain(generation);
        let (partial, whole) = (names.partial(), names.compressed(generation));
        let location = directory.show(&plain);
        let directory = directory.clone();
        let spawned = thread::Builder::new()
            .name("gzip".to_owned())
            .spawn(move || compress(&directory, &plain, &partial, &whole, this));
        match spawned {
            Ok(thread) => self.running = Some(thread),
            Err(cause) => self.note(&Err(OutputError::at("compress", location)(cause))),
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

    /// A file that can't be compressed is kept as it is. Of consecutive failures only the first is
    /// logged.
    fn note(&mut self, result: &Result<(), OutputError>) {
        if let Err(error) = result
            && !self.failed
        {
            tracing::warn!("{error}; keeping the rotated file uncompressed");
        }
        self.failed = result.is_err();
    }
}

fn compress(
    directory: &Directory,
    plain: &OsStr,
    partial: &OsStr,
    whole: &OsStr,
    this: RotatedFile,
) -> Result<(), OutputError> {
    let failed = || directory.failed("compress", plain);
    let file = directory.open_to_read(plain, this.id).map_err(failed())?;
    let result = directory
        .create(partial)
        .and_then(|partial| gzip(&file, partial, this.size).map_err(failed()))
        .and_then(|()| directory.set_aside_if_foreign(whole))
        .and_then(|()| directory.rename(partial, whole));
    if result.is_err() {
        // The partial file only takes room.
        let _ = directory.clear(partial);
        return result;
    }
    directory.clear(plain)
}

/// No more than `size`: another program may be appending to it.
fn gzip(from: &File, to: File, size: u64) -> io::Result<()> {
    // Fast rather than small: the next rotation waits for it.
    let mut encoder = GzEncoder::new(to, Compression::fast());
    io::copy(&mut from.take(size), &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
