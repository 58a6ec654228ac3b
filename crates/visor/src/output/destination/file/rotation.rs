//! Rotation of a file: when it is due, and what is compressed after it.
//!
//! The steps of each method are in an order in which an error at any step, or a kill after it,
//! loses no line. It touches the log file and the files with names derived from its name.

mod copy_truncate;
mod rename;

use std::mem;

use jiff::Timestamp;
use visor_api::{
    quantity::Size,
    resolved::Rotation,
    source::{Compression, RotationMethod},
};

use super::{
    compress::Compressor,
    directory::{Directory, FileLocation, RotatedFile},
    names::Names,
};
use crate::output::{OutputError, Records, destination::descriptor::Descriptor};

/// Seconds between a failed rotation and the next attempt.
const RETRY_SECONDS: u64 = 1;

/// If a file has this many more bytes than were written to it, another program has appended to it.
const MAX_FOREIGN_BYTES: u64 = 64 << 20;

/// Rotates one file by its rule, if it has one.
pub(super) struct Rotator {
    location: FileLocation,
    names: Names,
    rule: Option<Rotation>,
    compressor: Compressor,
    /// The latest rotated file, if it is to be compressed at the next rotation.
    uncompressed: Option<RotatedFile>,
    failed: Option<Timestamp>,
    cleaned_up: bool,
}

impl Rotator {
    pub(super) fn new(location: &FileLocation, rule: Option<Rotation>) -> Self {
        let names = Names::new(location.name());
        let compressor = Compressor::default();
        Self {
            location: location.clone(),
            names,
            rule,
            compressor,
            uncompressed: None,
            failed: None,
            cleaned_up: false,
        }
    }

    pub(super) fn set_rule(&mut self, rule: Option<Rotation>) {
        if !rule.as_ref().is_some_and(|rule| rule.delay_compress) {
            self.uncompressed = None;
        }
        self.rule = rule;
        self.failed = None;
    }

    /// Removes what a killed process may have left: a partial file, and files whose compressed form
    /// is complete. A file that it has rotated is compressed at the next rotation. Once only: later
    /// ones are this process's, and in use.
    pub(super) fn clean_up(&mut self) {
        let Some(rule) = self.rule.as_ref().filter(|_| !self.cleaned_up) else { return };
        self.cleaned_up = true;
        // What can't be removed does no harm; the next write reports a directory that is
        // read-only.
        let Ok(directory) = Directory::of(&self.location) else { return };
        let _ = directory.clear(&self.names.partial());
        for generation in [1, 2] {
            let plain = self.names.plain(generation);
            if directory.has_file(&self.names.compressed(generation)) && directory.has_file(&plain)
            {
                let _ = directory.clear(&plain);
            }
        }
        if rule.delay_compress {
            self.uncompressed = directory.own_file(&self.names.plain(1));
        }
    }

    /// Waits for a compression in progress.
    pub(super) fn wait(&mut self) {
        self.compressor.wait();
    }

    /// How many bytes of `rest`, as complete records, may be written before the next rotation;
    /// `None` if the file is to be rotated first. An empty file accepts a record of any size.
    pub(super) fn room(
        &self,
        output: &Descriptor,
        rest: Records<'_>,
        now: Timestamp,
    ) -> Option<usize> {
        let rule = match &self.rule {
            Some(rule) if !self.is_backing_off(now) => rule,
            _ => return Some(rest.len()),
        };
        let empty = output.size() == 0;
        let age = now.duration_since(output.since()).as_nanos();
        if !empty && rule.max_age.is_some_and(|most| age >= i128::from(most.as_nanos())) {
            return None;
        }
        let most = rule.max_size.map_or(u64::MAX, Size::as_bytes);
        let room = usize::try_from(most.saturating_sub(output.size())).unwrap_or(usize::MAX);
        if rest.len() <= room {
            return Some(rest.len());
        }
        rest.complete_within(room).or_else(|| empty.then(|| rest.first()))
    }

    /// Whether a rotation has just failed. In both directions, because the clock may be set back.
    fn is_backing_off(&self, now: Timestamp) -> bool {
        self.failed
            .is_some_and(|at| now.duration_since(at).unsigned_abs().as_secs() < RETRY_SECONDS)
    }

    /// Rotates now. Returns the number of rotations: 0 if something else has removed or truncated
    /// the file, because then `output` is already the file to write to.
    ///
    /// # Errors
    ///
    /// If a step fails. `output` can still be written to, and no line is lost.
    pub(super) fn rotate(
        &mut self,
        output: &mut Descriptor,
        now: Timestamp,
    ) -> Result<u32, OutputError> {
        let result = self.attempt(output, now);
        self.failed = result.is_err().then_some(now);
        result
    }

    fn attempt(&mut self, output: &mut Descriptor, now: Timestamp) -> Result<u32, OutputError> {
        let Some(rule) = &self.rule else { return Ok(0) };
        let Rotation { keep, method, compress, delay_compress, .. } = *rule;
        let live = self.names.live();
        // The compression must finish before the names shift.
        self.compressor.wait();
        let directory = Directory::of(&self.location)?;
        if !directory.is_at(output.file(), live).map_err(directory.failed("examine", live))? {
            *output = super::open(&self.location, now)?;
            return Ok(0);
        }
        let known = output.size();
        if output.was_cut().map_err(directory.failed("examine", live))? {
            return Ok(0);
        }
        let size = output.size();
        // Copying a file of unbounded size would take forever.
        let is_ours = size - known <= MAX_FOREIGN_BYTES && !output.has_hole();
        if !is_ours {
            tracing::warn!(
                "another program has appended to {}; renaming it without compression",
                directory.show(live)
            );
        }
        let rotated = match method {
            RotationMethod::CopyTruncate if is_ours => {
                copy_truncate::rotate(&directory, &self.names, keep, output)?
            }
            _ => {
                let rotated =
                    rename::rotate(&directory, &self.location, &self.names, keep, output, now);
                Some(rotated?)
            }
        };
        let rotated = rotated.filter(|_| is_ours).map(|id| RotatedFile { id, size });
        let (generation, file) = if delay_compress {
            (2, mem::replace(&mut self.uncompressed, rotated))
        } else {
            (1, rotated)
        };
        if let Some(file) = file
            && keep >= generation
            && compress == Compression::Gzip
            // A collector may have removed it since.
            && directory.has(&self.names.plain(generation))
        {
            self.compressor.start(&directory, &self.names, generation, file);
        }
        Ok(1)
    }
}
