//! Where lines go.

use super::number::number;
use crate::{
    problem::{Path, Problem},
    quantity::{Duration, Size},
    source::{self, Compression, RotationMethod},
};

/// Where the lines of a generator go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file of this generator's own.
    File {
        /// Where it is, below the output directory.
        path: String,
        /// When and how it makes room for a new one; `None`: never.
        rotation: Option<Rotation>,
    },
}

/// When a file makes room for a new one, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Before it would grow beyond this size.
    pub max_size: Option<Size>,
    /// When it has been written to for this long.
    pub max_age: Option<Duration>,
    /// How many rotated files are kept.
    pub keep: u32,
    /// How the file makes room.
    pub method: RotationMethod,
    /// How rotated files are compressed.
    pub compress: Compression,
}

impl Output {
    pub(super) fn resolve(output: &source::Output, path: &Path) -> Result<Self, Problem> {
        let file = match output {
            source::Output::Stdout(_) => return Ok(Self::Stdout),
            source::Output::Stderr(_) => return Ok(Self::Stderr),
            source::Output::File(file) => file,
        };
        let path = path.field("file").field("rotation").field("keep");
        let rotation = file.rotation.as_ref().map(|rotation| {
            Ok(Rotation {
                max_size: rotation.max_size,
                max_age: rotation.max_age,
                keep: number(rotation.keep, &path)?,
                method: rotation.method,
                compress: rotation.compress,
            })
        });
        Ok(Self::File { path: file.path.clone(), rotation: rotation.transpose()? })
    }

    /// What metrics call it: `stdout`, `stderr`, or the file's path below the output directory.
    pub fn name(&self) -> &str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::File { path, .. } => path,
        }
    }

    /// When it makes room, if it's a file that does.
    pub const fn rotation(&self) -> Option<&Rotation> {
        match self {
            Self::File { rotation, .. } => rotation.as_ref(),
            _ => None,
        }
    }
}
