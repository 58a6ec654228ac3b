//! A schedule that never drifts: each line is due so long after the last one was *due*, however
//! late that one was written. Surges modify it.

use visor_logs::{quantity::Duration, resolved};

use crate::{
    interval::IntervalDistribution,
    random::Random,
    time::{Span, Time},
};

/// The schedule of one stream.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval: IntervalDistribution,
    surges: Box<[Surge]>,
    /// The origin of the surges.
    origin: Span,
    /// The current segment, and how much of its internal time has elapsed.
    segment: Segment,
    used: Span,
    /// The accumulated rounding of a rate, in fractions of the shortest span: see
    /// [`IntervalDistribution::Rate`].
    cut: i64,
    due: Span,
}

/// A surge in the schedule's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Surge {
    every: Span,
    duration: Span,
    factor: i128,
}

/// A segment of time in which the factor of the surges is constant. Surges make the internal time
/// of the schedule run faster: an hour at factor 20 has 20 hours of internal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    start: Span,
    end: Span,
    factor: i128,
}

impl Segment {
    /// Its length in internal time.
    fn internal_time(self) -> Span {
        (self.end - self.start).saturating_mul(self.factor)
    }
}

/// The maximum product of the factors of overlapping surges.
const MAX_FACTOR: i128 = 1_000_000_000;

impl Schedule {
    /// A schedule that begins at `start`. Its first line is due `initial_delay` later. Without it,
    /// it is due one interval later, as if a line had just been written, or half of one if the
    /// interval is constant: then a rate of R for D seconds gives exactly R times D lines.  An
    /// unlimited one is due at once.
    pub fn new(
        interval: IntervalDistribution,
        surges: &[resolved::Surge],
        start: Time,
        initial_delay: Option<Duration>,
        random: &mut Random,
    ) -> Self {
        let origin = Span::to(start);
        let mut schedule = Self::from(interval, surges, origin, start);
        match initial_delay {
            Some(delay) => {
                schedule.due += delay.into();
                schedule.segment = schedule.segment_from(schedule.due);
            }
            None => schedule.begin(random),
        }
        schedule
    }

    /// A schedule at its start, before its first line.
    fn from(
        interval: IntervalDistribution,
        surges: &[resolved::Surge],
        origin: Span,
        start: Time,
    ) -> Self {
        let surges = surges.iter().map(|surge| Surge {
            every: Span::from(surge.every).max(Span::SHORTEST),
            duration: surge.duration.into(),
            factor: i128::from(surge.factor),
        });
        let due = Span::to(start);
        let segment = Segment { start: due, end: due, factor: 1 };
        let surges = surges.collect();
        let mut schedule =
            Self { interval, surges, origin, segment, used: Span::ZERO, cut: 0, due };
        schedule.segment = schedule.segment_from(due);
        schedule
    }

    /// When the next line is due.
    #[inline]
    pub fn due(&self) -> Time {
        self.due.after_epoch()
    }

    /// Whether lines are due all the time.
    pub fn is_unlimited(&self) -> bool {
        self.interval == IntervalDistribution::Unlimited
    }

    /// Advances to the first line.
    fn begin(&mut self, random: &mut Random) {
        match self.interval {
            IntervalDistribution::Fixed(span) => self.elapse(span / 2),
            IntervalDistribution::Rate { span, cut, .. } => {
                self.cut = cut / 2;
                self.elapse(span / 2);
            }
            _ => self.advance(random),
        }
    }

    /// Advances to the next line.
    #[inline]
    pub fn advance(&mut self, random: &mut Random) {
        let mut span = self.interval.draw(random);
        if let IntervalDistribution::Rate { cut, lines_per_second, .. } = self.interval {
            self.cut += cut;
            if self.cut >= lines_per_second {
                self.cut -= lines_per_second;
                span += Span::SHORTEST;
            }
        }
        self.elapse(span);
    }

    /// Advances by a span of internal time.
    #[inline]
    fn elapse(&mut self, span: Span) {
        if self.surges.is_empty() {
            self.due = self.due.saturating_add(span);
        } else {
            self.elapse_through_surges(span);
        }
    }

    /// Uses another distribution and other surges from `now` on; continues if they are the same.
    /// The origin of the surges doesn't change.
    pub fn change(
        &mut self,
        interval: IntervalDistribution,
        surges: &[resolved::Surge],
        now: Time,
        random: &mut Random,
    ) {
        let changed = Self::from(interval, surges, self.origin, now);
        if (&changed.interval, &changed.surges) != (&self.interval, &self.surges) {
            *self = changed;
            self.begin(random);
        }
    }

    /// Restarts at `now`, as after a suspension, without a backlog.
    pub fn resume(&mut self, now: Time, random: &mut Random) {
        self.due = Span::to(now);
        self.segment = self.segment_from(self.due);
        (self.used, self.cut) = (Span::ZERO, 0);
        self.begin(random);
    }

    /// Skips at most `most` lines that were due before `limit`, and returns their number.
    pub fn skip(&mut self, limit: Time, most: u64, random: &mut Random) -> u64 {
        let mut skipped = 0;
        while skipped < most && self.due() < limit && !self.is_unlimited() {
            self.advance(random);
            skipped += 1;
        }
        skipped
    }

    /// The span elapses segment by segment. Within a segment every time is computed from its start,
    /// so that rounding errors don't accumulate.
    fn elapse_through_surges(&mut self, span: Span) {
        self.used = self.used.saturating_add(span);
        while self.used >= self.segment.internal_time() {
            self.used -= self.segment.internal_time();
            self.segment = self.segment_from(self.segment.end);
        }
        self.due = self.segment.start.saturating_add(self.used / self.segment.factor);
    }

    /// The segment that starts at or contains a time.
    fn segment_from(&self, start: Span) -> Segment {
        let elapsed = start - self.origin;
        let (mut factor, mut until_change) = (1_i128, Span::MAX);
        for surge in &self.surges {
            let phase = elapsed.rem_euclid(surge.every);
            let surging = elapsed >= surge.every && phase < surge.duration;
            if surging {
                factor = (factor * surge.factor).min(MAX_FACTOR);
            }
            let change = if surging { surge.duration } else { surge.every };
            until_change = until_change.min(change - phase);
        }
        Segment { start, end: start.saturating_add(until_change), factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;
    use proptest::prelude::*;
    use visor_logs::resolved::{Interval, Surge, Uniform};

    const SECOND: i64 = 1_000_000_000;

    /// This many seconds after the epoch.
    fn at(seconds: i64) -> Time {
        Time::from_nanos(seconds * SECOND)
    }

    fn surge(every: u64, duration: u64, factor: u32) -> Surge {
        Surge { every: Duration::from_secs(every), duration: Duration::from_secs(duration), factor }
    }

    /// How many lines are due in each of the first `seconds` seconds.
    fn lines_per_second(
        schedule: &mut Schedule,
        random: &mut Random,
        seconds: usize,
    ) -> Vec<usize> {
        let mut counts = vec![0; seconds];
        while let Some(count) = counts.get_mut(usize::try_from(schedule.due().second()).unwrap()) {
            *count += 1;
            schedule.advance(random);
        }
        counts
    }

    fn rate(lines_per_second: u32) -> IntervalDistribution {
        IntervalDistribution::new(&Interval::Rate(lines_per_second.try_into().unwrap()))
    }

    #[test]
    fn a_day_of_lines_ends_where_it_should() {
        let mut random = Seed::new(1).random();
        let mut schedule = Schedule::new(rate(7), &[], Time::EPOCH, None, &mut random);
        for _ in 1..7 * 86_400 {
            schedule.advance(&mut random);
        }
        assert_eq!(schedule.due(), at(86_400).saturating_add(-SECOND / 14 - 1));
    }

    /// A rate of R for D seconds gives R times D lines, for every R and every surge.
    #[test]
    fn a_period_has_as_many_lines_as_its_rate() {
        let surges = [vec![], vec![surge(2, 1, 0)], vec![surge(3, 1, 7), surge(5, 2, 3)]];
        for (lines_per_second, surges) in [1, 2, 3, 7, 10, 333, 1000]
            .into_iter()
            .flat_map(|rate| surges.clone().map(|s| (rate, s)))
        {
            for initial_delay in [None, Some(Duration::from_secs(0))] {
                let mut random = Seed::new(1).random();
                let interval = rate(lines_per_second);
                let mut schedule =
                    Schedule::new(interval, &surges, Time::EPOCH, initial_delay, &mut random);
                let mut lines = 0;
                for second in 1..=20 {
                    while schedule.due() < at(second) {
                        schedule.advance(&mut random);
                        lines += 1;
                    }
                    let factor = |second: i64| -> i64 {
                        let surging = |s: &&Surge| {
                            let every = s.every.as_nanos().cast_signed() / SECOND;
                            let long = s.duration.as_nanos().cast_signed() / SECOND;
                            second >= every && second % every < long
                        };
                        surges.iter().filter(surging).map(|s| i64::from(s.factor)).product()
                    };
                    let wanted: i64 = (0..second).map(factor).sum();
                    assert_eq!(
                        lines,
                        wanted * i64::from(lines_per_second),
                        "{lines_per_second}/s, {surges:?}, {second} s, {initial_delay:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_surge_multiplies_and_the_first_comes_after_one_period() {
        let mut random = Seed::new(1).random();
        let mut schedule =
            Schedule::new(rate(10), &[surge(4, 1, 20)], Time::EPOCH, None, &mut random);
        let counts = lines_per_second(&mut schedule, &mut random, 10);
        assert_eq!(counts, [10, 10, 10, 10, 200, 10, 10, 10, 200, 10]);
    }

    #[test]
    fn a_factor_of_zero_is_silence_and_overlapping_surges_multiply() {
        let mut random = Seed::new(1).random();
        let surges = [surge(4, 2, 0), surge(3, 1, 5), surge(6, 1, 2)];
        let mut schedule = Schedule::new(rate(10), &surges, Time::EPOCH, None, &mut random);
        let counts = lines_per_second(&mut schedule, &mut random, 8);
        assert_eq!(counts, [10, 10, 10, 50, 0, 0, 100, 10]);
    }

    #[test]
    fn skipping_counts_what_it_passes_over() {
        let mut random = Seed::new(1).random();
        let mut schedule = Schedule::new(rate(10), &[], Time::EPOCH, None, &mut random);
        let skipped = schedule.skip(at(1), 4, &mut random) + schedule.skip(at(1), 100, &mut random);
        assert_eq!(skipped, 10);
        assert!(schedule.due() >= at(1));
    }

    #[test]
    fn a_change_counts_from_then_on_and_none_is_none() {
        let mut random = Seed::new(1).random();
        let mut schedule = Schedule::new(rate(1), &[], Time::EPOCH, None, &mut random);
        let due = schedule.due();
        schedule.change(rate(1), &[], at(0).saturating_add(1), &mut random);
        assert_eq!(schedule.due(), due);
        schedule.change(rate(10), &[], at(100), &mut random);
        assert_eq!(schedule.due().nanos_since(at(100)), SECOND / 20);
        let due = schedule.due();
        schedule.change(rate(10), &[surge(2, 1, 5)], at(100), &mut random);
        assert_ne!(schedule.due(), due);
    }

    #[test]
    fn a_suspended_schedule_resumes_without_a_backlog() {
        let mut random = Seed::new(1).random();
        let mut schedule = Schedule::new(rate(10), &[], Time::EPOCH, None, &mut random);
        schedule.resume(at(50), &mut random);
        assert!(schedule.due() > at(50) && schedule.due() <= at(51));
    }

    proptest! {
        #[test]
        fn a_schedule_never_goes_back(
            min in 0u64..1_000, width in 1u64..1_000, every in 1u64..20, factor in 0u32..50, seed: u64
        ) {
            let interval = IntervalDistribution::new(&Interval::Uniform(Uniform {
                min: Duration::from_millis(min), max: Duration::from_millis(min + width),
            }));
            let mut random = Seed::new(seed).random();
            let mut schedule = Schedule::new(interval, &[surge(every * 2, every, factor)], Time::EPOCH, None, &mut random);
            for _ in 0..100 {
                let before = schedule.due();
                schedule.advance(&mut random);
                prop_assert!(schedule.due() >= before);
            }
        }
    }
}
