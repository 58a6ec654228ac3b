//! How outputs end.

/// How an output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputEnd {
    /// Everything is written.
    Complete,
    /// The reader has gone for good: the program ends, without an error.
    ReaderGone,
    /// It failed, and has logged why.
    Failed,
    /// It was canceled.
    Canceled,
}

/// An output of which not all lines have been written, or not all have been read.
#[derive(Debug)]
pub(crate) struct UnfinishedOutput {
    /// The output's name.
    pub(crate) output: String,
    /// The number of unwritten lines.
    pub(crate) lines: u64,
    /// How it ended. `None` if a write is still in progress: then some of the lines may have been
    /// written, although none is counted.
    pub(crate) end: Option<OutputEnd>,
    /// The number of bytes that were written and counted, and that will never be read.
    pub(crate) unread: u64,
}
