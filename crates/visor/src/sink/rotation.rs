//! When a file makes room for a new one, and how: by rename or by copy-and-truncate.
//!
//! Each way is in an order in which an error at any step, or a kill after it, loses no line. It
//! touches the log file and those beside it whose names are made from its own.

use std::ffi::OsStr;

use jiff::Timestamp;
use visor_api::{
    quantity::Size,
    resolved::Rotation,
    source::{Compression, RotationMethod},
};

use super::{
    SinkError,
    compress::Compressor,
    directory::{Directory, FileId, FilePlace},
    first_line,
    names::Names,
    target::OpenTarget,
    whole_lines,
};

/// Seconds between a rotation that failed and the next attempt.
const PAUSE: u64 = 1;

/// A file that has so many bytes more than were written to it was made longer by somebody else.
const FOREIGN: u64 = 64 << 20;

/// Rotates one file by its rule, if it has one.
pub(super) struct Rotator {
    place: FilePlace,
    names: Names,
    rule: Option<Rotation>,
    compressor: Compressor,
    failed: Option<Timestamp>,
    tidied: bool,
}

impl Rotator {
    pub(super) fn new(place: &FilePlace, rule: Option<Rotation>) -> Self {
        let names = Names::new(place.name());
        let compressor = Compressor::default();
        Self { place: place.clone(), names, rule, compressor, failed: None, tidied: false }
    }

    pub(super) fn set_rule(&mut self, rule: Option<Rotation>) {
        self.rule = rule;
        self.failed = None;
    }

    /// Removes what a killed process may have left: a file that isn't whole, and one of which
    /// the compressed form is whole already. Once only: later ones are our own, and in use.
    pub(super) fn tidy(&mut self) {
        if self.tidied || self.rule.is_none() {
            return;
        }
        self.tidied = true;
        // What cannot be removed does no harm; a directory that is read-only is reported by the
        // write to come.
        let Ok(directory) = Directory::of(&self.place) else { return };
        let _ = directory.clear(&self.names.partial());
        let plain = self.names.plain(1);
        if directory.has_file(&self.names.compressed(1)) && directory.has_file(&plain) {
            let _ = directory.clear(&plain);
        }
    }

    /// Waits for a compression in progress.
    pub(super) fn wait(&mut self) {
        self.compressor.wait();
    }

    /// How many bytes of `rest`, as whole lines, may go into the file before it is to rotate;
    /// `None` if it is to rotate first. An empty file takes a line of any size.
    pub(super) fn room(&self, output: &OpenTarget, rest: &[u8], now: Timestamp) -> Option<usize> {
        let rule = match &self.rule {
            Some(rule) if !self.pauses(now) => rule,
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
        whole_lines(&rest[..room]).or_else(|| empty.then(|| first_line(rest)))
    }

    /// Whether a rotation has failed a moment ago. Either side of it: clocks are set back, too.
    fn pauses(&self, now: Timestamp) -> bool {
        self.failed.is_some_and(|at| now.duration_since(at).unsigned_abs().as_secs() < PAUSE)
    }

    /// Makes room now. Returns how many rotations that took: none where something else has taken
    /// the file away or emptied it, for then `output` already is what lines are to go into.
    ///
    /// # Errors
    ///
    /// When a step fails. `output` is then still good for lines, and nothing is missing.
    pub(super) fn rotate(
        &mut self,
        output: &mut OpenTarget,
        now: Timestamp,
    ) -> Result<u32, SinkError> {
        let result = self.attempt(output, now);
        self.failed = result.is_err().then_some(now);
        result
    }

    fn attempt(&mut self, output: &mut OpenTarget, now: Timestamp) -> Result<u32, SinkError> {
        let Some(rule) = &self.rule else { return Ok(0) };
        let Rotation { keep, method, compress, .. } = *rule;
        let live = self.names.live();
        // The names are about to shift under the compression.
        self.compressor.wait();
        let directory = Directory::of(&self.place)?;
        if !output.is_in(&directory, live).map_err(directory.failed("look at", live))? {
            *output = OpenTarget::open_file(&self.place, now)?;
            return Ok(0);
        }
        let known = output.size();
        if output.was_cut().map_err(directory.failed("look at", live))? {
            return Ok(0);
        }
        let size = output.size();
        // It would take for ever to copy what has no end, and nobody would want it.
        let is_ours = size - known <= FOREIGN && !output.has_hole();
        if !is_ours {
            tracing::warn!(
                "{} was made longer by somebody else; it is renamed as it is, and not compressed",
                directory.show(live)
            );
        }
        let rotated = match method {
            RotationMethod::CopyTruncate if is_ours => {
                by_copy(&directory, &self.names, keep, output)?
            }
            _ => Some(by_rename(&directory, &self.place, &self.names, keep, output, now)?),
        };
        if let Some(rotated) = rotated
            && keep > 0
            && compress == Compression::Gzip
            && is_ours
        {
            self.compressor.start(&directory, &self.names, rotated, size);
        }
        Ok(1)
    }
}

/// Returns which file generation 1 is then, if it is kept.
fn by_rename(
    directory: &Directory,
    place: &FilePlace,
    names: &Names,
    keep: u32,
    output: &mut OpenTarget,
    now: Timestamp,
) -> Result<FileId, SinkError> {
    let rotated = output.id().map_err(directory.failed("look at", names.live()))?;
    // What isn't kept goes only once the new file is there.
    let aside = if keep == 0 { names.partial() } else { names.plain(1) };
    names.make_room(directory, keep)?;
    directory.set_aside_if_foreign(&aside)?;
    directory.rename(names.live(), &aside)?;
    match OpenTarget::open_file(place, now) {
        Ok(new) => *output = new,
        Err(error) => {
            // Lines go on into the old file, under its old name if that can be had back.
            let _ = directory.rename(&aside, names.live());
            return Err(error);
        }
    }
    if keep == 0 {
        directory.clear(&aside)?;
    }
    Ok(rotated)
}

/// Returns which file generation 1 is then, if there is one.
fn by_copy(
    directory: &Directory,
    names: &Names,
    keep: u32,
    output: &mut OpenTarget,
) -> Result<Option<FileId>, SinkError> {
    let (partial, first) = (names.partial(), names.plain(1));
    // The names shift only once the copy is whole: on a full disk, attempts that fail again and
    // again must not push the older files out.
    let copied = if keep == 0 {
        names.make_room(directory, keep).map(|()| None)
    } else {
        copy_content(directory, output, names, &partial).and_then(|copy| {
            names.make_room(directory, keep)?;
            directory.rename(&partial, &first)?;
            Ok(Some(copy))
        })
    };
    if copied.is_err() {
        let _ = directory.clear(&partial);
        return copied;
    }
    output.truncate().map_err(|cause| {
        // The lines are still in the file; the copy would double them.
        if keep > 0 {
            let _ = directory.clear(&first);
        }
        directory.failed("empty", names.live())(cause)
    })?;
    copied
}

fn copy_content(
    directory: &Directory,
    output: &mut OpenTarget,
    names: &Names,
    to: &OsStr,
) -> Result<FileId, SinkError> {
    let mut copy = directory.create(to)?;
    let copied = output.copy_to(&mut copy).and_then(|()| FileId::of(&copy));
    copied.map_err(directory.failed("copy", names.live()))
}
