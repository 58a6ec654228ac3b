//! The names beside a log file: `access.log.1`, `access.log.2.gz`, and how they shift.
//!
//! It renames and removes files of these names, and touches no other.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::SinkError;

/// A log file's name, and those made from it. Generation 1 is the youngest of the rotated files.
#[derive(Debug)]
pub(super) struct Names {
    path: PathBuf,
}

impl Names {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The log file itself.
    pub(super) fn live(&self) -> &Path {
        &self.path
    }

    /// `access.log.1`
    pub(super) fn plain(&self, generation: u32) -> PathBuf {
        self.with_suffix(&format!(".{generation}"))
    }

    /// `access.log.1.gz`
    pub(super) fn compressed(&self, generation: u32) -> PathBuf {
        self.with_suffix(&format!(".{generation}.gz"))
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// `.access.log.partial`: a file that isn't whole yet, or isn't wanted any more. One name is
    /// enough, for only one thing is ever under way: a rotation waits for the compression.
    pub(super) fn partial(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".partial");
        self.path.with_file_name(name)
    }

    /// Makes generation 1 free: every older one moves on by one, and those beyond `keep` go.
    ///
    /// Only what is in the way moves, up to the first generation that is missing. So an attempt
    /// after one that failed, at whatever step, goes on where that ended and pushes nothing out.
    pub(super) fn make_room(&self, keep: u32) -> Result<(), SinkError> {
        let in_the_way = (1..=keep).take_while(|generation| self.exists(*generation)).last();
        for generation in (1..=in_the_way.unwrap_or(0)).rev() {
            rename_if_there(&self.plain(generation), &self.plain(generation + 1))?;
            rename_if_there(&self.compressed(generation), &self.compressed(generation + 1))?;
        }
        // More than one where a reload has made `keep` smaller.
        for generation in (keep + 1..).take_while(|generation| self.exists(*generation)) {
            remove_if_there(&self.plain(generation))?;
            remove_if_there(&self.compressed(generation))?;
        }
        Ok(())
    }

    fn exists(&self, generation: u32) -> bool {
        is_there(&self.plain(generation)) || is_there(&self.compressed(generation))
    }
}

/// Whether something has this name, be it a symbolic link that leads nowhere.
pub(super) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), SinkError> {
    fs::rename(from, to).map_err(SinkError::at("rename", from.display()))
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), SinkError> {
    unless_missing(fs::remove_file(path)).map_err(SinkError::at("remove", path.display()))
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), SinkError> {
    unless_missing(fs::rename(from, to)).map_err(SinkError::at("rename", from.display()))
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
