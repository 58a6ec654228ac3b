//! Lines on their way to an output: their bytes, and whose they are.
//!
//! However much of a batch gets written, whole lines can be counted for the streams they are of.

use std::sync::Arc;

use visor_engine::{text::Lines, time::Time};

use crate::{
    metrics::{OutputMeter, StreamMeter},
    sink::Progress,
};

/// Lines of several streams, in the order in which they were written.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Lines,
    streaks: Vec<Streak>,
    /// How many bytes of the first line have been written already.
    begun: usize,
}

/// Lines of one stream that stand together.
struct Streak {
    meter: Arc<StreamMeter>,
    lines: u64,
    /// Where the streak ends in the bytes.
    end: usize,
    /// When its oldest line was due.
    due: Time,
}

impl Batch {
    /// The bytes, all of whole lines except where a write has taken the beginning of one.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_bytes()
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many lines there are, whole or begun.
    pub(crate) fn lines(&self) -> u64 {
        self.streaks.iter().map(|streak| streak.lines).sum()
    }

    /// Has `write` append lines of a stream and say how many. `due` is when the first was due.
    pub(crate) fn append(
        &mut self,
        meter: &Arc<StreamMeter>,
        due: Time,
        write: impl FnOnce(&mut Lines) -> u64,
    ) {
        let lines = write(&mut self.bytes);
        let end = self.bytes.len();
        match self.streaks.last_mut() {
            _ if lines == 0 => {}
            Some(last) if Arc::ptr_eq(&last.meter, meter) => {
                last.lines += lines;
                last.end = end;
            }
            _ => self.streaks.push(Streak { meter: Arc::clone(meter), lines, end, due }),
        }
    }

    /// Counts the lines that the first `written` bytes complete, and keeps the rest.
    ///
    /// `now` is what the lag is measured by; `None` where lines aren't written when they are due.
    /// A line that was begun is kept as the bytes that it still lacks; it counts when they are
    /// written, and all its bytes with it.
    fn written(&mut self, written: usize, now: Option<Time>) {
        if written == self.bytes.len() && self.begun == 0 {
            self.count_all(now);
            return;
        }
        let mut start = 0;
        for streak in &mut self.streaks {
            let taken = &self.bytes.as_bytes()[start..written.clamp(start, streak.end)];
            let lines = memchr::memchr_iter(b'\n', taken).count() as u64;
            let whole = memchr::memrchr(b'\n', taken).map_or(0, |at| at + 1);
            if lines > 0 {
                streak.count(lines, whole + std::mem::take(&mut self.begun), now);
                streak.lines -= lines;
            }
            self.begun += taken.len() - whole;
            start = streak.end;
        }
        self.bytes.remove_first(written);
        for streak in &mut self.streaks {
            streak.end = streak.end.saturating_sub(written);
        }
        self.streaks.retain(|streak| streak.lines > 0);
    }

    /// Counts what a write into this output has done, and keeps the rest, as
    /// [`written`](Self::written) does.
    pub(crate) fn account(&mut self, progress: &Progress, output: &OutputMeter, now: Option<Time>) {
        output.rotations.inc_by(progress.rotations.into());
        self.written(progress.bytes, now);
    }

    /// Gives memory back beyond this many bytes. The batch is empty.
    pub(crate) fn shrink_to(&mut self, capacity: usize) {
        self.bytes.shrink_to(capacity);
        self.streaks.shrink_to(capacity / size_of::<Streak>());
    }

    /// Counts everything as written, without looking at the bytes.
    fn count_all(&mut self, now: Option<Time>) {
        let mut start = 0;
        for streak in &self.streaks {
            streak.count(streak.lines, streak.end - start, now);
            start = streak.end;
        }
        self.bytes.clear();
        self.streaks.clear();
    }
}

impl Streak {
    #[expect(clippy::cast_precision_loss, reason = "a lag is measured in buckets")]
    fn count(&self, lines: u64, bytes: usize, now: Option<Time>) {
        self.meter.lines.inc_by(lines);
        self.meter.bytes.inc_by(bytes as u64);
        if let Some(now) = now {
            self.meter.lag.observe(now.nanos_since(self.due).max(0) as f64 / 1e9);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metrics, StreamName};

    fn meter(metrics: &Metrics, stream: &str) -> Arc<StreamMeter> {
        metrics.stream(&StreamName {
            source: "shop".to_owned(),
            generator: "web".to_owned(),
            stream: stream.to_owned(),
            kind: "access",
        })
    }

    fn append(batch: &mut Batch, meter: &Arc<StreamMeter>, lines: &str) {
        batch.append(meter, Time::EPOCH, |out| {
            let mut line = out.line();
            line.extend(lines.as_bytes());
            line.keep();
            lines.matches('\n').count() as u64
        });
    }

    /// However a batch is cut into writes, in the end each stream has its lines and its bytes; and
    /// at no time does a line count that isn't whole.
    #[test]
    fn every_way_of_writing_in_parts_counts_the_same() {
        let text = "one\ntwo\nthree\nfour\nfive\n";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let metrics = Metrics::new().unwrap();
                let (a, b) = (meter(&metrics, "a"), meter(&metrics, "b"));
                let mut batch = Batch::default();
                append(&mut batch, &a, "one\ntwo\n");
                append(&mut batch, &b, "three\nfour\n");
                append(&mut batch, &a, "five\n");
                for (written, so_far) in [(first, first), (second - first, second)] {
                    batch.written(written, None);
                    let whole = text[..so_far].matches('\n').count() as u64;
                    assert_eq!(a.lines.get() + b.lines.get(), whole, "{first} {second}");
                }
                batch.written(text.len() - second, None);
                assert!(batch.is_empty() && batch.lines() == 0);
                assert_eq!((a.lines.get(), a.bytes.get()), (3, 13), "{first} {second}");
                assert_eq!((b.lines.get(), b.bytes.get()), (2, 11), "{first} {second}");
            }
        }
    }

    #[test]
    fn a_batch_that_is_written_at_once_counts_the_same() {
        let metrics = Metrics::new().unwrap();
        let a = meter(&metrics, "a");
        let mut batch = Batch::default();
        append(&mut batch, &a, "one\ntwo\n");
        append(&mut batch, &a, "three\n");
        batch.written(batch.len(), None);
        assert_eq!((a.lines.get(), a.bytes.get()), (3, 14));
        assert!(batch.is_empty());
    }
}
