//! A stream: a pace and a content of its own. One kind of line.

use visor_api::resolved;

use crate::{
    access_log, error_log,
    law::Law,
    pace::Pace,
    random::{Random, Seed},
    text::Lines,
    time::Time,
};

/// One kind of line in a log: when its next line is due, and what it says.
#[derive(Debug, Clone)]
pub struct Stream {
    pace: Pace,
    /// Two kinds of chance, so that lines that are skipped or paced otherwise say the same.
    timing: Random,
    drawing: Random,
    content: Content,
}

/// What a stream's lines say, and how they are written.
#[derive(Debug, Clone)]
pub enum Content {
    /// Lines of an access log.
    Access {
        /// What they tell of.
        subject: access_log::Subject,
        /// How they are written.
        writer: access_log::Writer,
        /// What was drawn for the last one.
        picks: access_log::Picks,
    },
    /// Messages of an error log.
    Error {
        /// What they say.
        content: error_log::Content,
        /// How they are written.
        format: error_log::Format,
    },
}

impl Stream {
    /// A stream whose schedule begins at `start`.
    pub fn new(pace: &resolved::Pace, content: Content, seed: Seed, start: Time) -> Self {
        let mut timing = seed.child("timing").random();
        let law = Law::new(&pace.interval);
        let pace = Pace::new(law, &pace.surges, start, pace.initial_delay, &mut timing);
        Self { pace, timing, drawing: seed.child("content").random(), content }
    }

    /// When the next line is due.
    #[inline]
    pub fn due(&self) -> Time {
        self.pace.due()
    }

    /// Whether lines are due all the time.
    pub fn is_unlimited(&self) -> bool {
        self.pace.is_unlimited()
    }

    /// Writes the next line, stamped with the time it was due, and goes on to the one after it.
    ///
    /// `correction` (nanoseconds) is added to the stamp: how far the clock on the wall has been
    /// set since the schedule began. 0 where there is no clock.
    #[inline]
    pub fn write(&mut self, correction: i64, out: &mut Lines) {
        let due = self.pace.due();
        self.write_at(due.saturating_add(correction), out);
        self.pace.advance(&mut self.timing);
    }

    /// Writes a line stamped with this time; the schedule stays as it is. For unlimited streams,
    /// whose lines are due when they are written.
    #[inline]
    pub fn write_at(&mut self, time: Time, out: &mut Lines) {
        let random = &mut self.drawing;
        match &mut self.content {
            Content::Access { subject, writer, picks } => {
                let request = subject.draw(time, writer.uses(), random, picks);
                writer.write(&request, out);
            }
            Content::Error { content, format } => content.write(time, format, random, out),
        }
    }

    /// Passes over lines that were due before `limit`, at most `most` of them, and says how many.
    /// What later lines say doesn't depend on it.
    pub fn skip(&mut self, limit: Time, most: u64) -> u64 {
        self.pace.skip(limit, most, &mut self.timing)
    }

    /// Begins anew at `now`, as after a suspension, without a backlog.
    pub fn resume(&mut self, now: Time) {
        self.pace.resume(now, &mut self.timing);
    }

    /// Becomes what a document says now: with another pace from `now` on, and another content or
    /// format from the next line on.
    pub fn change(&mut self, pace: &resolved::Pace, content: Content, now: Time) {
        self.pace.change(Law::new(&pace.interval), &pace.surges, now, &mut self.timing);
        self.content = content;
    }
}
