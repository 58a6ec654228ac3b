//! Request targets, and the ranges of sizes and durations.

use std::ops::RangeInclusive;

use visor_logs::{error_format::DOCUMENT_ROOT, quantity::Duration, resolved};

use crate::{
    random::Random,
    server::traffic::{self, Class},
    uri,
};

/// A request target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestTarget {
    /// The path and the query as received.
    pub(super) text: String,
    /// The path, decoded and normalized by httpd.
    pub(super) path: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) class: usize,
    /// Whether it names a host.
    pub(super) has_authority: bool,
    pub(super) size: Option<Range>,
}

/// A range of integers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Range {
    pub(super) const fn of_sizes(sizes: &RangeInclusive<u64>) -> Self {
        Self { min: *sizes.start(), max: *sizes.end() }
    }

    /// In nanoseconds.
    pub(super) const fn of_durations(durations: &RangeInclusive<Duration>) -> Self {
        Self { min: durations.start().as_nanos(), max: durations.end().as_nanos() }
    }

    #[inline]
    pub(super) fn draw(self, random: &mut Random) -> u64 {
        random.between(self.min, self.max)
    }
}

impl RequestTarget {
    /// A configured target.
    pub(super) fn of(target: &resolved::RequestTarget) -> Self {
        let size = target.size.map(|size| Range { min: size, max: size });
        Self::new(&target.target, Class::Other as usize, size)
    }

    /// The target of a text.
    pub(super) fn new(text: &str, class: usize, size: Option<Range>) -> Self {
        let (path, _) = split_query(text);
        Self {
            text: text.to_owned(),
            path: uri::path(path.as_bytes()),
            content_type: traffic::content_type(path),
            class,
            has_authority: uri::authority(text.as_bytes()).is_some(),
            size,
        }
    }

    /// The file that httpd maps it to.
    pub(super) fn filename(&self) -> Vec<u8> {
        filename(&self.path)
    }

    /// The host and port that it names, if it does.
    pub(super) fn authority(&self) -> Option<&[u8]> {
        uri::authority(self.text.as_bytes())
    }

    /// The query with its `?`, or nothing.
    pub(super) fn query(&self) -> &str {
        split_query(&self.text).1
    }
}

/// The file that httpd maps a path to.
pub(super) fn filename(path: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    [DOCUMENT_ROOT.as_bytes(), separator, path].concat()
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}
