//! What is asked for: resources, and the ranges that sizes and times are drawn from.

use std::ops::RangeInclusive;

use visor_api::{quantity::Duration, resolved};

use crate::{
    random::Random,
    server::traffic::{self, Class},
    uri,
};

/// Something that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    /// The path and the query as they are asked for.
    pub(super) target: String,
    /// The path as httpd understands it.
    pub(super) path: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) class: usize,
    pub(super) size: Option<Range>,
}

/// A range of whole numbers, both ends included.
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

impl Resource {
    /// A resource of a document.
    pub(super) fn of(resource: &resolved::Resource) -> Self {
        let size = resource.size.map(|size| Range { min: size, max: size });
        Self::new(&resource.target, Class::Other as usize, size)
    }

    /// The resource of a request target.
    pub(super) fn new(target: &str, class: usize, size: Option<Range>) -> Self {
        let (path, _) = split_query(target);
        Self {
            target: target.to_owned(),
            path: uri::path(path.as_bytes()),
            content_type: traffic::content_type(path),
            class,
            size,
        }
    }

    /// The query with its `?`, or nothing.
    pub(super) fn query(&self) -> &str {
        split_query(&self.target).1
    }
}

fn split_query(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}
