//! Records on their way to an output: their bytes, and the streams that they belong to. However
//! much of a batch is written, its complete records are counted for their streams.

use std::sync::Arc;

use visor_engine::{text::Lines, time::Time};

use super::{Records, WriteResult};
use crate::{
    lanes::{LaneMeter, Numbering},
    metrics::{OutputMeter, StreamMeter},
};

/// Lines of several streams, in order.
#[derive(Default)]
pub(crate) struct Batch {
    lines: Lines,
    runs: Vec<StreamRun>,
    /// The first run whose tokens aren't complete.
    incomplete: Option<usize>,
    /// Those that are being completed; empty otherwise.
    completing: Vec<StreamRun>,
    /// How many bytes of the first line have been written already.
    partial: usize,
}

/// Consecutive lines of one stream.
struct StreamRun {
    meter: Arc<StreamMeter>,
    /// The number of lines in the batch up to the last one of these.
    end: usize,
    /// When the first line was due.
    due: Time,
    /// How often a line shows its token, at most, while the tokens aren't complete; then 0.
    tokens: usize,
    /// The lane of the lines, once they have tokens.
    lane: Option<Arc<LaneMeter>>,
}

impl Batch {
    /// The lines as records; the first may have lost its start.
    pub(crate) fn records(&self) -> Records<'_> {
        Records::new(self.lines.as_bytes(), self.lines.ends())
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of lines, including a partially written one.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.ends().len() as u64
    }

    /// Has `write` append lines of a stream. `due` is when the first was due; `tokens` is how often a
    /// line shows its token, at most.
    pub(crate) fn append<T>(
        &mut self,
        meter: &Arc<StreamMeter>,
        due: Time,
        tokens: usize,
        write: impl FnOnce(&mut Lines) -> T,
    ) -> T {
        let start = self.lines.ends().len();
        let result = write(&mut self.lines);
        let end = self.lines.ends().len();
        if end > start {
            let meter = Arc::clone(meter);
            add_run(&mut self.runs, StreamRun { meter, end, due, tokens, lane: None });
            if tokens > 0 {
                self.incomplete = self.incomplete.or(Some(self.runs.len() - 1));
            }
        }
        result
    }

    /// Completes the tokens of the lines that have been appended since the last time. `time` is when
    /// the output takes them.
    pub(crate) fn complete(&mut self, numbering: &mut Numbering, time: Time) {
        let Some(first) = self.incomplete.take() else { return };
        let Self { lines, runs, completing, .. } = self;
        // Taken from the end and taken back: the first one comes first again.
        while runs.len() > first
            && let Some(run) = runs.pop()
        {
            completing.push(run);
        }
        let mut start = runs.last().map_or(0, |run| run.end);
        while let Some(run) = completing.pop() {
            let lines_of_run = start..run.end;
            start = run.end;
            if run.tokens == 0 {
                add_run(runs, run);
                continue;
            }
            let StreamRun { meter, due, tokens, .. } = run;
            numbering.set_generator(&meter.name.source, &meter.name.generator);
            let mut end = lines_of_run.start;
            lines.change_records(lines_of_run, |record| {
                end += 1;
                let lane = numbering.complete(record, time, tokens);
                match runs.last_mut() {
                    Some(last)
                        if Arc::ptr_eq(&last.meter, &meter)
                            && last.tokens == 0
                            && last.lane.as_ref().map(Arc::as_ptr) == lane.map(Arc::as_ptr) =>
                    {
                        last.end = end;
                    }
                    _ => {
                        let (meter, lane) = (Arc::clone(&meter), lane.cloned());
                        runs.push(StreamRun { meter, end, due, tokens: 0, lane });
                    }
                }
            });
        }
    }

    /// Counts the result of a write to this output, and removes the written bytes. `now` is for
    /// measuring the lag; `None` if lines aren't written when they are due.
    pub(crate) fn account(
        &mut self,
        result: &WriteResult,
        output: &OutputMeter,
        now: Option<Time>,
    ) {
        output.rotations.inc_by(result.rotations.into());
        self.account_bytes(result.bytes, now);
    }

    /// Counts the lines that the first `length` bytes complete, and removes these bytes.
    ///
    /// A partially written line is kept; it is counted, with all its bytes, when its rest is
    /// written.
    fn account_bytes(&mut self, length: usize, now: Option<Time>) {
        let ends = self.lines.ends();
        let complete = ends.partition_point(|end| *end <= length);
        let (mut first, mut start) = (0, 0);
        for run in &mut self.runs {
            let last = run.end.min(complete);
            if last > first {
                let end = ends[last - 1];
                run.count(last - first, end - start + std::mem::take(&mut self.partial), now);
                (first, start) = (last, end);
            }
            run.end -= last;
        }
        self.partial += length - start;
        self.runs.retain(|run| run.end > 0);
        if complete == ends.len() {
            self.lines.clear();
        } else {
            self.lines.remove_first(length);
        }
    }

    /// Releases memory beyond this many bytes. The batch must be empty.
    pub(crate) fn shrink_to(&mut self, capacity: usize) {
        self.lines.shrink_to(capacity);
        self.runs.shrink_to(capacity / size_of::<StreamRun>());
    }
}

/// Adds lines of a stream.
fn add_run(runs: &mut Vec<StreamRun>, run: StreamRun) {
    match runs.last_mut() {
        Some(last)
            if Arc::ptr_eq(&last.meter, &run.meter)
                && last.tokens == run.tokens
                && last.lane.is_none() =>
        {
            last.end = run.end;
        }
        _ => runs.push(run),
    }
}

impl StreamRun {
    #[expect(clippy::cast_precision_loss, reason = "a lag is measured in buckets")]
    fn count(&self, lines: usize, bytes: usize, now: Option<Time>) {
        self.meter.lines.inc_by(lines as u64);
        self.meter.bytes.inc_by(bytes as u64);
        if let Some(lane) = &self.lane {
            lane.add_written(lines);
        }
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

    fn append(batch: &mut Batch, meter: &Arc<StreamMeter>, records: &[&str]) {
        batch.append(meter, Time::EPOCH, 0, |out| {
            for record in records {
                let mut line = out.line();
                line.extend(record.as_bytes());
                line.keep();
                out.end_record();
            }
        });
    }

    /// However a batch is cut into writes, in the end each stream has its records and its bytes;
    /// and at no time does a record count that isn't whole.
    #[test]
    fn every_way_of_writing_in_parts_counts_the_same() {
        let records = ["one\n", "two\n", "three\n\ttwice\n", "four\n", "five\n"];
        let all: usize = records.iter().map(|record| record.len()).sum();
        let complete_within = |length: usize| {
            let mut end = 0;
            let ends = records.iter().map(|record| {
                end += record.len();
                end
            });
            ends.filter(|end| *end <= length).count() as u64
        };
        for first in 0..=all {
            for second in first..=all {
                let metrics = Metrics::new().unwrap();
                let (a, b) = (meter(&metrics, "a"), meter(&metrics, "b"));
                let mut batch = Batch::default();
                append(&mut batch, &a, &records[..2]);
                append(&mut batch, &b, &records[2..4]);
                append(&mut batch, &a, &records[4..]);
                for (length, so_far) in [(first, first), (second - first, second)] {
                    batch.account_bytes(length, None);
                    let complete = complete_within(so_far);
                    assert_eq!(a.lines.get() + b.lines.get(), complete, "{first} {second}");
                    assert_eq!(batch.lines(), 5 - complete, "{first} {second}");
                }
                batch.account_bytes(all - second, None);
                assert!(batch.is_empty() && batch.lines() == 0 && batch.partial == 0);
                assert_eq!((a.lines.get(), a.bytes.get()), (3, 13), "{first} {second}");
                assert_eq!((b.lines.get(), b.bytes.get()), (2, 18), "{first} {second}");
            }
        }
    }
}
