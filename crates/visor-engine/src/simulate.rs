//! Many streams merged into one order of time: what a live run would have written, without the
//! waiting.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{stream::Stream, text::Lines, time::Time};

/// Streams whose lines come out in the order in which they are due. Lines that are due at the same
/// nanosecond come in the order of the streams, so the order is the same on every run.
#[derive(Debug)]
pub struct Merge {
    streams: Vec<Stream>,
    /// The next due time of each stream that isn't over.
    next: BinaryHeap<Reverse<(Time, usize)>>,
}

impl Merge {
    /// Merges these streams.
    pub fn new(streams: Vec<Stream>) -> Self {
        let next = streams.iter().enumerate().map(|(index, s)| Reverse((s.due(), index))).collect();
        Self { streams, next }
    }

    /// When the next line is due and which stream's it is; `None` when all streams are over.
    #[inline]
    pub fn peek(&self) -> Option<(Time, usize)> {
        self.next.peek().map(|Reverse(next)| *next)
    }

    /// Writes the next line, and says which stream's it is.
    #[inline]
    pub fn write(&mut self, out: &mut Lines) -> Option<usize> {
        let mut next = self.next.peek_mut()?;
        let index = next.0.1;
        let stream = &mut self.streams[index];
        stream.write(0, out);
        next.0.0 = stream.due();
        Some(index)
    }

    /// Ends the stream of the next line; its line is not written.
    pub fn end_next(&mut self) {
        self.next.pop();
    }
}
