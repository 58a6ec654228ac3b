//! The names beside a log file: `access.log.1`, `access.log.2.gz`, and how they shift.
//!
//! It renames and removes files of these names, and touches no other.

use std::ffi::{OsStr, OsString};

use super::{
    SinkError,
    directory::{Directory, with_suffix},
};

/// A log file's name, and those made from it. Generation 1 is the youngest of the rotated files.
#[derive(Debug)]
pub(super) struct Names(OsString);

impl Names {
    pub(super) fn new(name: &OsStr) -> Self {
        Self(name.to_owned())
    }

    /// The log file itself.
    pub(super) fn live(&self) -> &OsStr {
        &self.0
    }

    /// `access.log.1`
    pub(super) fn plain(&self, generation: u32) -> OsString {
        with_suffix(&self.0, &format!(".{generation}"))
    }

    /// `access.log.1.gz`
    pub(super) fn compressed(&self, generation: u32) -> OsString {
        with_suffix(&self.0, &format!(".{generation}.gz"))
    }

    /// `.access.log.partial`: a file that isn't whole yet, or isn't wanted any more. One name is
    /// enough, for only one thing is ever under way: a rotation waits for the compression.
    pub(super) fn partial(&self) -> OsString {
        let mut name = OsString::from(".");
        name.push(&self.0);
        name.push(".partial");
        name
    }

    /// Makes generation 1 free: every older one moves on by one, and those beyond `keep` go. What isn't
    /// a file has none of these names afterwards.
    ///
    /// Only what is in the way moves, up to the first generation that is missing. So an attempt
    /// after one that failed, at whatever step, goes on where that ended and pushes nothing out.
    pub(super) fn make_room(&self, directory: &Directory, keep: u32) -> Result<(), SinkError> {
        for generation in
            (1..=keep + 1).take_while(|generation| self.exists(directory, *generation))
        {
            directory.set_aside_if_foreign(&self.plain(generation))?;
            directory.set_aside_if_foreign(&self.compressed(generation))?;
        }
        let there = |generation: &u32| self.exists(directory, *generation);
        let in_the_way = (1..=keep).take_while(there).last();
        for generation in (1..=in_the_way.unwrap_or(0)).rev() {
            for name in [Self::plain, Self::compressed] {
                directory.rename_if_there(&name(self, generation), &name(self, generation + 1))?;
            }
        }
        // More than one where a reload has made `keep` smaller.
        for generation in (keep + 1..).take_while(there) {
            directory.clear(&self.plain(generation))?;
            directory.clear(&self.compressed(generation))?;
        }
        Ok(())
    }

    fn exists(&self, directory: &Directory, generation: u32) -> bool {
        directory.has(&self.plain(generation)) || directory.has(&self.compressed(generation))
    }
}
