//! A stream: one kind of line, with a schedule and a model of its own.

use visor_logs::resolved;

use crate::{
    interval::IntervalDistribution,
    log::{LineModel, NamedStream},
    random::{Random, Seed},
    schedule::Schedule,
    text::Lines,
    time::Time,
};

/// One kind of line in a log: its schedule and its model.
#[derive(Debug, Clone)]
pub struct Stream {
    schedule: Schedule,
    /// Separate random numbers for times and contents, so that skipped lines or another interval
    /// don't change what later lines contain.
    time_random: Random,
    content_random: Random,
    model: LineModel,
}

impl NamedStream {
    /// The stream, with a schedule that begins at `start`.
    pub fn start(self, start: Time) -> Stream {
        Stream::new(&self.timing, self.model, self.seed, start)
    }
}

impl Stream {
    /// A stream whose schedule begins at `start`.
    pub fn new(timing: &resolved::Timing, model: LineModel, seed: Seed, start: Time) -> Self {
        let mut time_random = seed.child("timing").random();
        let interval = IntervalDistribution::new(&timing.interval);
        let schedule =
            Schedule::new(interval, &timing.surges, start, timing.initial_delay, &mut time_random);
        Self { schedule, time_random, content_random: seed.child("content").random(), model }
    }

    /// When the next line is due.
    #[inline]
    pub fn due(&self) -> Time {
        self.schedule.due()
    }

    /// Whether lines are due all the time.
    pub fn is_unlimited(&self) -> bool {
        self.schedule.is_unlimited()
    }

    /// Writes the next line, stamped with the time it was due, and advances to the following one.
    ///
    /// `correction` (nanoseconds) is added to the stamp: the offset of the system's clock, if it
    /// has been set since the start. 0 without a clock.
    #[inline]
    pub fn write(&mut self, correction: i64, out: &mut Lines) {
        let due = self.schedule.due();
        self.write_at(due.saturating_add(correction), out);
        self.schedule.advance(&mut self.time_random);
    }

    /// Writes a line stamped with this time, without advancing the schedule. For unlimited streams,
    /// whose lines are due when they are written.
    #[inline]
    pub fn write_at(&mut self, time: Time, out: &mut Lines) {
        self.model.write(time, &mut self.content_random, out);
        out.end_record();
    }

    /// Skips at most `most` lines that were due before `limit`, and returns their number. The
    /// content of later lines doesn't depend on it.
    pub fn skip(&mut self, limit: Time, most: u64) -> u64 {
        self.schedule.skip(limit, most, &mut self.time_random)
    }

    /// Restarts at `now`, as after a suspension, without a backlog.
    pub fn resume(&mut self, now: Time) {
        self.schedule.resume(now, &mut self.time_random);
    }

    /// Follows a changed document: with another timing from `now` on, and another model or format
    /// from the next line on.
    pub fn change(&mut self, timing: &resolved::Timing, model: LineModel, now: Time) {
        self.schedule.change(
            IntervalDistribution::new(&timing.interval),
            &timing.surges,
            now,
            &mut self.time_random,
        );
        self.model = model;
    }
}
