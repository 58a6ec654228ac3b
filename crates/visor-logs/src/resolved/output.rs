//! The output of a generator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{Duration, Size};

/// The output of a generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file of this generator's own.
    File {
        /// Its path, below the output directory.
        path: String,
        /// When and how it is rotated; `None`: never.
        rotation: Option<Rotation>,
    },
}

/// When and how a file is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Before the file would exceed this size.
    pub max_size: Option<Size>,
    /// When the file has been written to for this long.
    pub max_age: Option<Duration>,
    /// The number of rotated files to keep.
    pub keep: u32,
    /// How the file is rotated.
    pub method: RotationMethod,
    /// How rotated files are compressed.
    pub compress: Compression,
    /// Whether a rotated file is compressed at the next rotation.
    pub delay_compress: bool,
}

/// A method of rotation.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RotationMethod {
    /// Rename the file, and create a new one
    #[default]
    Rename,
    /// Copy the file, then truncate it
    CopyTruncate,
}

/// How rotated files are compressed.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// No compression
    #[default]
    None,
    /// gzip: `access.log.1.gz`
    Gzip,
}

impl Output {
    /// The name in metrics: `stdout`, `stderr`, or the file's path below the output directory.
    pub fn name(&self) -> &str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::File { path, .. } => path,
        }
    }

    /// The rotation, if it is a file with one.
    pub const fn rotation(&self) -> Option<&Rotation> {
        match self {
            Self::File { rotation, .. } => rotation.as_ref(),
            _ => None,
        }
    }
}
