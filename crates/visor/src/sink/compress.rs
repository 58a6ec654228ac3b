//! Gzip of the youngest rotated file, on a thread of its own, so that lines needn't wait for it.
//!
//! It reads `access.log.1`, writes the hidden partial file, names that `access.log.1.gz` when it
//! is whole, and only then removes `access.log.1`. The bytes depend on the content alone: there is
//! no name and no time in them.

use std::{
    fs, io,
    path::Path,
    thread::{self, JoinHandle},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    SinkError,
    names::{Names, rename},
    target::create,
};

/// Compresses one file at a time.
#[derive(Default)]
pub(super) struct Compressor {
    running: Option<JoinHandle<Result<(), SinkError>>>,
    /// Whether the last compression failed, and that was said.
    failed: bool,
}

impl Compressor {
    /// Starts to compress generation 1. The names must not shift before [`Compressor::wait`].
    pub(super) fn start(&mut self, names: &Names) {
        let (plain, partial, whole) = (names.plain(1), names.partial(), names.compressed(1));
        let place = plain.clone();
        let spawned = thread::Builder::new()
            .name("gzip".to_owned())
            .spawn(move || compress(&plain, &partial, &whole));
        match spawned {
            Ok(thread) => self.running = Some(thread),
            Err(cause) => self.note(&Err(SinkError::at("compress", place.display())(cause))),
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

fn compress(plain: &Path, partial: &Path, whole: &Path) -> Result<(), SinkError> {
    let result = gzip(plain, partial)
        .map_err(SinkError::at("compress", plain.display()))
        .and_then(|()| rename(partial, whole));
    if result.is_err() {
        // Whatever it has, a full disk can use the room.
        let _ = fs::remove_file(partial);
        return result;
    }
    fs::remove_file(plain).map_err(SinkError::at("remove", plain.display()))
}

fn gzip(from: &Path, to: &Path) -> io::Result<()> {
    let mut plain = fs::File::open(from)?;
    // Fast rather than small: the next rotation waits for it.
    let mut encoder = GzEncoder::new(create(to)?, Compression::fast());
    io::copy(&mut plain, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
