//! Merges many streams into one order of time: the lines of a live run, without waiting.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{stream::Stream, text::Lines, time::Time};

/// Merged streams: lines are in the order in which they are due, and lines due at the same
/// nanosecond in the order of the streams, so the result is deterministic.
#[derive(Debug)]
pub struct Merge {
    streams: Vec<Stream>,
    /// The next due time of each stream that has not ended.
    next: BinaryHeap<Reverse<(Time, usize)>>,
}

impl Merge {
    /// Merges these streams.
    pub fn new(streams: Vec<Stream>) -> Self {
        let next = streams.iter().enumerate().map(|(index, s)| Reverse((s.due(), index))).collect();
        Self { streams, next }
    }

    /// The due time and the stream of the next line; `None` when all streams have ended.
    #[inline]
    pub fn peek(&self) -> Option<(Time, usize)> {
        self.next.peek().map(|Reverse(next)| *next)
    }

    /// Writes the next lines of one stream, as long as they are due before those of all others and
    /// before `end`, at most `most` of them. Returns their number.
    #[inline]
    pub fn write(&mut self, end: Time, most: u64, out: &mut Lines) -> u64 {
        // The second item of a heap is one of the two children of the root.
        let rival = self.next.as_slice().iter().skip(1).take(2).max().map(|Reverse(next)| *next);
        let Some(mut next) = self.next.peek_mut() else { return 0 };
        let (mut due, index) = next.0;
        let stream = &mut self.streams[index];
        let mut lines = 0;
        while lines < most && due < end && rival.is_none_or(|rival| (due, index) < rival) {
            stream.write(0, out);
            due = stream.due();
            lines += 1;
        }
        next.0.0 = due;
        lines
    }

    /// Ends the stream of the next line; its line is not written.
    pub fn end_next(&mut self) {
        self.next.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::Source, random::Seed, testing};
    use proptest::prelude::*;
    use serde_json::json;

    /// Streams of a generator that come to the same nanosecond now and then.
    fn merge() -> Merge {
        let every = |name: &str, interval: &str| json!({"name": name, "kind": "Access", "interval": {"fixed": interval}});
        let generator = testing::generator(&json!({
            "name": "web",
            "access": {"format": "Custom", "logFormat": "%{usec}t %m"},
            "streams": [every("a", "10ms"), every("b", "70ms"), every("c", "10ms"), every("d", "1s")],
        }));
        let mut source = Source::new(jiff::tz::TimeZone::UTC, Seed::new(1));
        let streams = source.streams(&generator).unwrap();
        Merge::new(streams.into_iter().map(|stream| stream.start(Time::EPOCH)).collect())
    }

    proptest! {
        /// However many lines are written in a run, they are those that come one by one, and whose
        /// turn it is stays the same.
        #[test]
        fn a_run_of_lines_is_what_comes_line_by_line(runs in prop::collection::vec(1u64..40, 1..40)) {
            let (mut one_by_one, mut in_runs) = (merge(), merge());
            let (mut wanted, mut out) = (Lines::default(), Lines::default());
            for most in runs {
                let turn = in_runs.peek();
                let lines = in_runs.write(Time::from_nanos(1_000_000_000), most, &mut out);
                prop_assert!(lines <= most);
                for _ in 0..lines {
                    prop_assert_eq!(one_by_one.peek().map(|(_, stream)| stream), turn.map(|t| t.1));
                    one_by_one.write(Time::MAX, 1, &mut wanted);
                }
                prop_assert_eq!(one_by_one.peek(), in_runs.peek());
            }
            prop_assert_eq!(out.as_bytes(), wanted.as_bytes());
        }
    }

    #[test]
    fn a_single_stream_continues_until_the_end() {
        let mut merge = merge();
        for _ in 0..3 {
            merge.end_next();
        }
        let mut out = Lines::default();
        let (first, _) = merge.peek().unwrap();
        assert!(merge.write(Time::from_nanos(10_000_000_000), 1_000, &mut out) > 5);
        assert_eq!(merge.write(first, 1_000, &mut out), 0, "the end has passed");
        assert_eq!(merge.write(Time::MAX, 7, &mut out), 7);
    }
}
