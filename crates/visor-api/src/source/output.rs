//! The output: standard output, standard error, or a file that is rotated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use visor_logs::resolved;
pub use visor_logs::resolved::{Compression, RotationMethod};

use crate::{
    bounded::Bounded,
    quantity::{Duration, Size},
};

/// The output of a generator's lines. Exactly one field is set.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Output {
    /// Standard output. Generators share it line by line.
    Stdout(StandardStream),
    /// Standard error. Generators share it line by line.
    Stderr(StandardStream),
    /// A file of this generator's own.
    File(FileOutput),
}

impl From<&Output> for resolved::Output {
    fn from(output: &Output) -> Self {
        let file = match output {
            Output::Stdout(_) => return Self::Stdout,
            Output::Stderr(_) => return Self::Stderr,
            Output::File(file) => file,
        };
        let rotation = file.rotation.as_ref().map(|rotation| resolved::Rotation {
            max_size: rotation.max_size,
            max_age: rotation.max_age,
            keep: rotation.keep.get(),
            method: rotation.method,
            compress: rotation.compress,
            delay_compress: rotation.delay_compress,
        });
        Self::File { path: file.path.clone(), rotation }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::Stdout(StandardStream {})
    }
}

/// A standard stream of the process, without settings.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
pub struct StandardStream {}

/// A log file.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FileOutput {
    /// The path below the output directory (`--output-dir`; /var/log/visor in a pod), such as
    /// `access.log` or `shop/access.log`. Each name in it has at most 240 bytes.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// When and how the file is rotated. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// A number of rotated files.
pub type Keep = Bounded<u32, 0, 1000>;

/// Rotation of a file: `access.log` becomes `access.log.1`, which becomes `access.log.2`, and so
/// on.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Rotate before the file would exceed this size. At least 1Ki.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
    /// Rotate when the file has been written to for this long. At least 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// The number of rotated files to keep.
    #[serde(default = "five")]
    pub keep: Keep,
    /// How the file is rotated.
    #[serde(default)]
    pub method: RotationMethod,
    /// How rotated files are compressed.
    #[serde(default)]
    pub compress: Compression,
    /// Compress a rotated file at the next rotation, as `delaycompress` of logrotate does: so
    /// `access.log.1` is never compressed, and a collector that is late can still read it.
    #[serde(default)]
    pub delay_compress: bool,
}

fn five() -> Keep {
    Keep::of::<5>()
}
