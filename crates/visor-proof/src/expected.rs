//! Which lines should have arrived by now: those that were written, or that a later one has shown to be
//! written, longer ago than the grace time. Collectors look at quiet files and send again what failed
//! only after a while, so a line that isn't there yet isn't missing.

use std::collections::{HashMap, VecDeque};

use crate::{delivery::Delivery, emitted::EmittedLane, lane::Lane};

/// So many times within the grace time it is noted how far the lanes are.
const STEPS: u64 = 8;

/// Which lines of each lane should have arrived.
#[derive(Debug)]
pub struct Expected {
    /// Milliseconds since the epoch.
    since: u64,
    /// Milliseconds.
    grace: u64,
    lanes: HashMap<Lane, Progress>,
}

/// How far a lane has come.
#[derive(Debug, Default)]
struct Progress {
    /// Whether it began before the delivery was watched.
    began_before: bool,
    /// When each step began, in milliseconds since the epoch, and which number the next line had at its
    /// end; the oldest first.
    steps: VecDeque<(u64, u32)>,
    /// The lines below should have arrived.
    settled: u32,
}

impl Expected {
    /// Of a delivery that is watched since then, in milliseconds since the epoch, with this grace time
    /// in milliseconds.
    pub fn new(since: u64, grace: u64) -> Self {
        Self { since, grace, lanes: HashMap::new() }
    }

    /// Notes how far the lanes are, at a time in milliseconds since the epoch.
    pub fn note(&mut self, now: u64, delivery: &Delivery, emitted: &[&EmittedLane]) {
        for (lane, received) in delivery.lanes() {
            self.note_lane(lane, now, received.next());
        }
        for lane in emitted {
            self.note_lane(lane.lane, now, lane.lines);
            let began_before = lane.begun_milliseconds().is_none_or(|begun| begun < self.since);
            self.lanes.entry(lane.lane).or_default().began_before = began_before;
        }
    }

    fn note_lane(&mut self, lane: Lane, now: u64, next: u32) {
        // Who isn't told about a lane doesn't know when it began.
        let progress = self
            .lanes
            .entry(lane)
            .or_insert_with(|| Progress { began_before: true, ..Progress::default() });
        let step = self.grace / STEPS;
        match progress.steps.back_mut() {
            // What comes within a step is settled together with its end.
            Some((at, number)) if now < *at + step => *number = next.max(*number),
            Some((_, number)) if next <= *number => {}
            None if next <= progress.settled => {}
            _ => progress.steps.push_back((now, next)),
        }
        while let Some((at, number)) = progress.steps.front()
            && at + step + self.grace <= now
        {
            progress.settled = *number;
            progress.steps.pop_front();
        }
    }

    /// Says that all lines that were written should have arrived.
    pub fn settle(&mut self) {
        for progress in self.lanes.values_mut() {
            if let Some((_, number)) = progress.steps.drain(..).next_back() {
                progress.settled = number;
            }
        }
    }

    /// The lines below should have arrived.
    pub(crate) fn settled(&self, lane: Lane) -> u32 {
        self.lanes.get(&lane).map_or(0, |progress| progress.settled)
    }

    /// Whether lines of a lane may have gone elsewhere, before the delivery was watched.
    pub(crate) fn began_before(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_none_or(|progress| progress.began_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(lines: u32, begun: &str) -> EmittedLane {
        let lane = Lane::live(7);
        EmittedLane {
            lane,
            output: "access.log".to_owned(),
            sources: Vec::new(),
            begun: begun.to_owned(),
            lines,
            handed_over: lines,
            ended: false,
            unread: 0,
        }
    }

    #[test]
    fn lines_are_settled_a_grace_time_after_they_were_written() {
        let mut expected = Expected::new(1_000, 8_000);
        let delivery = Delivery::default();
        let begun = "1970-01-01T00:00:02Z";
        for (now, lines, settled) in [
            (2_000, 10, 0),
            (2_999, 20, 0),
            (3_000, 30, 0),
            (10_999, 30, 0),
            (11_000, 40, 20),
            (12_000, 40, 30),
            (20_000, 40, 40),
            (20_001, 41, 40),
        ] {
            expected.note(now, &delivery, &[&lane(lines, begun)]);
            assert_eq!(expected.settled(Lane::live(7)), settled, "at {now}");
        }
        expected.settle();
        assert_eq!(expected.settled(Lane::live(7)), 41);
    }

    #[test]
    fn a_lane_may_have_begun_before_the_delivery_was_watched() {
        for (begun, wanted) in
            [("1970-01-01T00:00:00.999Z", true), ("1970-01-01T00:00:01Z", false), ("soon", true)]
        {
            let mut expected = Expected::new(1_000, 8_000);
            expected.note(5_000, &Delivery::default(), &[&lane(1, begun)]);
            assert_eq!(expected.began_before(Lane::live(7)), wanted, "{begun}");
        }
    }
}
