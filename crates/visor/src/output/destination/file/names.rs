//! The names of rotated files: `access.log.1`, `access.log.2.gz`, and how they shift. It renames
//! and removes files with these names, and no others.

use std::ffi::{OsStr, OsString};

use super::directory::{Directory, with_suffix};
use crate::output::OutputError;

/// The name of a log file, and those derived from it. Generation 1 is the latest rotated file.
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

    /// `.access.log.partial`: a file that isn't complete yet, or isn't needed any more. One name is
    /// enough, because a rotation waits for the compression.
    pub(super) fn partial(&self) -> OsString {
        let mut name = OsString::from(".");
        name.push(&self.0);
        name.push(".partial");
        name
    }

    /// Frees generation 1: every older one moves on by one, and those beyond `keep` are removed.
    /// Entries with these names that aren't files are set aside.
    ///
    /// Only the files up to the first missing generation move. So a retry after a failure at any
    /// step continues from there, and removes nothing too early.
    pub(super) fn make_room(&self, directory: &Directory, keep: u32) -> Result<(), OutputError> {
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
        // More than one if a reload has reduced `keep`.
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
