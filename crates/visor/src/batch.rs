//! Lines on their way to an output: their bytes, and the streams that they belong to. However much
//! of a batch is written, its complete lines are counted for their streams.

use std::sync::Arc;

use visor_engine::{text::Lines, time::Time};

use crate::{
    metrics::{OutputMeter, StreamMeter},
    output::WriteResult,
};

/// Lines of several streams, in order.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Lines,
    runs: Vec<StreamRun>,
    /// How many bytes of the first line have been written already.
    partial: usize,
}

/// Consecutive lines of one stream.
struct StreamRun {
    meter: Arc<StreamMeter>,
    lines: u64,
    /// The end of the lines in the bytes.
    end: usize,
    /// When the first line was due.
    due: Time,
}

impl Batch {
    /// The bytes: complete lines, unless a write has taken the start of the first one.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_bytes()
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of lines, including a partially written one.
    pub(crate) fn lines(&self) -> u64 {
        self.runs.iter().map(|run| run.lines).sum()
    }

    /// Has `write` append lines of a stream and return their number. `due` is when the first was
    /// due.
    pub(crate) fn append(
        &mut self,
        meter: &Arc<StreamMeter>,
        due: Time,
        write: impl FnOnce(&mut Lines) -> u64,
    ) {
        let lines = write(&mut self.bytes);
        let end = self.bytes.len();
        match self.runs.last_mut() {
            _ if lines == 0 => {}
            Some(last) if Arc::ptr_eq(&last.meter, meter) => {
                last.lines += lines;
                last.end = end;
            }
            _ => self.runs.push(StreamRun { meter: Arc::clone(meter), lines, end, due }),
        }
    }

    /// Counts the lines that the first `account_bytes` bytes complete, and removes these bytes.
    ///
    /// `now` is for measuring the lag; `None` if lines aren't written when they are due. The
    /// remaining bytes of a partially written line are kept; it is counted, with all its bytes,
    /// when they are written.
    fn account_bytes(&mut self, account_bytes: usize, now: Option<Time>) {
        if account_bytes == self.bytes.len() && self.partial == 0 {
            self.count_all(now);
            return;
        }
        let mut start = 0;
        for run in &mut self.runs {
            let taken = &self.bytes.as_bytes()[start..account_bytes.clamp(start, run.end)];
            let lines = memchr::memchr_iter(b'\n', taken).count() as u64;
            let whole = memchr::memrchr(b'\n', taken).map_or(0, |at| at + 1);
            if lines > 0 {
                run.count(lines, whole + std::mem::take(&mut self.partial), now);
                run.lines -= lines;
            }
            self.partial += taken.len() - whole;
            start = run.end;
        }
        self.bytes.remove_first(account_bytes);
        for run in &mut self.runs {
            run.end = run.end.saturating_sub(account_bytes);
        }
        self.runs.retain(|run| run.lines > 0);
    }

    /// Counts the result of a write to this output, and removes the written bytes.
    pub(crate) fn account(
        &mut self,
        result: &WriteResult,
        output: &OutputMeter,
        now: Option<Time>,
    ) {
        output.rotations.inc_by(result.rotations.into());
        self.account_bytes(result.bytes, now);
    }

    /// Releases memory beyond this many bytes. The batch must be empty.
    pub(crate) fn shrink_to(&mut self, capacity: usize) {
        self.bytes.shrink_to(capacity);
        self.runs.shrink_to(capacity / size_of::<StreamRun>());
    }

    /// Counts everything as written, without searching the bytes.
    fn count_all(&mut self, now: Option<Time>) {
        let mut start = 0;
        for run in &self.runs {
            run.count(run.lines, run.end - start, now);
            start = run.end;
        }
        self.bytes.clear();
        self.runs.clear();
    }
}

impl StreamRun {
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
                for (account_bytes, so_far) in [(first, first), (second - first, second)] {
                    batch.account_bytes(account_bytes, None);
                    let whole = text[..so_far].matches('\n').count() as u64;
                    assert_eq!(a.lines.get() + b.lines.get(), whole, "{first} {second}");
                }
                batch.account_bytes(text.len() - second, None);
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
        batch.account_bytes(batch.len(), None);
        assert_eq!((a.lines.get(), a.bytes.get()), (3, 14));
        assert!(batch.is_empty());
    }
}
