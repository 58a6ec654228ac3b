//! What a generator has written: its lanes, and how many lines each has.

use serde::{Deserialize, Serialize};

use crate::lane::Lane;

/// The version of the report.
pub const VERSION: u32 = 1;

/// What a generator has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Emitted {
    /// The version of the report: [`VERSION`].
    pub version: u32,
    /// The name of the pod, or of what else runs the generator.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// Whether the generator has ended: nothing more will be written.
    pub ended: bool,
    /// The lines that have been written, with tokens or without.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The lanes, in the order in which they began.
    pub lanes: Vec<EmittedLane>,
    /// What isn't in `lanes`, because there are too many.
    #[serde(default)]
    pub omitted: Omitted,
}

/// What is written of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmittedLane {
    /// The lane.
    pub lane: Lane,
    /// The output, as metrics name it.
    pub output: String,
    /// The generators whose lines it has, each as `SOURCE/GENERATOR`.
    pub sources: Vec<String>,
    /// When it began, in RFC 3339.
    pub begun: String,
    /// The number of lines that are written: all numbers below it.
    pub lines: u32,
    /// The number of lines that the output has taken. Those from `lines` on may be written or not.
    pub handed_over: u32,
    /// Whether it has ended: no line follows.
    pub ended: bool,
    /// The bytes that were in a pipe when its output was closed: its reader may have left them there.
    #[serde(default)]
    pub unread: u64,
}

impl EmittedLane {
    /// When it began, in milliseconds since the epoch; `None` if that can't be read.
    pub(crate) fn begun_milliseconds(&self) -> Option<u64> {
        let begun: jiff::Timestamp = self.begun.parse().ok()?;
        u64::try_from(begun.as_millisecond()).ok()
    }
}

/// Lanes without an entry of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Omitted {
    /// Their number.
    pub lanes: u64,
    /// Their written lines.
    pub lines: u64,
}
