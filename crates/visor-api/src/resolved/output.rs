//! The output of a generator.

use crate::{
    quantity::{Duration, Size},
    source::{self, Compression, RotationMethod},
};

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

impl Output {
    pub(super) fn resolve(output: &source::Output) -> Self {
        let file = match output {
            source::Output::Stdout(_) => return Self::Stdout,
            source::Output::Stderr(_) => return Self::Stderr,
            source::Output::File(file) => file,
        };
        let rotation = file.rotation.as_ref().map(|rotation| Rotation {
            max_size: rotation.max_size,
            max_age: rotation.max_age,
            keep: rotation.keep.get(),
            method: rotation.method,
            compress: rotation.compress,
            delay_compress: rotation.delay_compress,
        });
        Self::File { path: file.path.clone(), rotation }
    }

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
