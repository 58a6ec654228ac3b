//! A schedule that never drifts: each line is due so long after the last one was *due*, however
//! late that one was written. Surges bend it.

use visor_api::{quantity::Duration, resolved};

use crate::{
    law::Law,
    random::Random,
    time::{Span, Time},
};

/// The schedule of one stream.
#[derive(Debug, Clone)]
pub struct Pace {
    law: Law,
    surges: Box<[Surge]>,
    /// Surges are counted from here.
    origin: Span,
    /// The stretch of time that the schedule has come to, and how much of its own time is used.
    stretch: Stretch,
    used: Span,
    /// What a rate's spans have been cut by, in parts of the shortest span: see [`Law::Rate`].
    cut: i64,
    due: Span,
}

/// A surge in the schedule's own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Surge {
    every: Span,
    duration: Span,
    factor: i128,
}

/// A stretch of time in which the surges don't change. They make time run faster for the schedule:
/// an hour at factor 20 holds what 20 hours hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    start: Span,
    end: Span,
    factor: i128,
}

impl Stretch {
    /// How much of the schedule's own time it holds.
    fn holds(self) -> Span {
        (self.end - self.start).saturating_mul(self.factor)
    }
}

/// Beyond this, overlapping surges stop multiplying: a thousand million times as fast.
const LARGEST_FACTOR: i128 = 1_000_000_000;

impl Pace {
    /// A schedule that begins at `start`. Its first line is due
    /// `initial_delay` later. If that isn't given, it is due one draw later, as if one had just been
    /// written, but half of it where all draws are the same: then R lines a second for D seconds
    /// are R times D, whatever the borders. An unlimited one is due at once.
    pub fn new(
        law: Law,
        surges: &[resolved::Surge],
        start: Time,
        initial_delay: Option<Duration>,
        random: &mut Random,
    ) -> Self {
        let origin = Span::to(start);
        let mut pace = Self::from(law, surges, origin, start);
        match initial_delay {
            Some(delay) => {
                pace.due += delay.into();
                pace.stretch = pace.stretch_from(pace.due);
            }
            None => pace.begin(random),
        }
        pace
    }

    /// A schedule at its start, before its first line.
    fn from(law: Law, surges: &[resolved::Surge], origin: Span, start: Time) -> Self {
        let surges = surges.iter().map(|surge| Surge {
            every: Span::from(surge.every).max(Span::SHORTEST),
            duration: surge.duration.into(),
            factor: i128::from(surge.factor),
        });
        let due = Span::to(start);
        let stretch = Stretch { start: due, end: due, factor: 1 };
        let surges = surges.collect();
        let mut pace = Self { law, surges, origin, stretch, used: Span::ZERO, cut: 0, due };
        pace.stretch = pace.stretch_from(due);
        pace
    }

    /// When the next line is due.
    #[inline]
    pub fn due(&self) -> Time {
        self.due.after_epoch()
    }

    /// Whether lines are due all the time.
    pub fn is_unlimited(&self) -> bool {
        self.law == Law::Unlimited
    }

    /// Goes on to the first line.
    fn begin(&mut self, random: &mut Random) {
        match self.law {
            Law::Fixed(span) => self.spend(span / 2),
            Law::Rate { span, cut, .. } => {
                self.cut = cut / 2;
                self.spend(span / 2);
            }
            _ => self.advance(random),
        }
    }

    /// Goes on to the line after the next.
    #[inline]
    pub fn advance(&mut self, random: &mut Random) {
        let mut span = self.law.draw(random);
        if let Law::Rate { cut, lines_per_second, .. } = self.law {
            self.cut += cut;
            if self.cut >= lines_per_second {
                self.cut -= lines_per_second;
                span += Span::SHORTEST;
            }
        }
        self.spend(span);
    }

    /// Goes on by so much of the schedule's own time.
    #[inline]
    fn spend(&mut self, span: Span) {
        if self.surges.is_empty() {
            self.due = self.due.saturating_add(span);
        } else {
            self.spend_through_surges(span);
        }
    }

    /// Takes another law and other surges from `now` on; goes on as before if they are the same.
    /// Surges go on being counted from the same origin.
    pub fn change(&mut self, law: Law, surges: &[resolved::Surge], now: Time, random: &mut Random) {
        let changed = Self::from(law, surges, self.origin, now);
        if (&changed.law, &changed.surges) != (&self.law, &self.surges) {
            *self = changed;
            self.begin(random);
        }
    }

    /// Begins anew at `now`, as after a suspension: what would have been due meanwhile is not made
    /// up for.
    pub fn resume(&mut self, now: Time, random: &mut Random) {
        self.due = Span::to(now);
        self.stretch = self.stretch_from(self.due);
        (self.used, self.cut) = (Span::ZERO, 0);
        self.begin(random);
    }

    /// Passes over lines that were due before `limit`, at most `most` of them, and says how many.
    pub fn skip(&mut self, limit: Time, most: u64, random: &mut Random) -> u64 {
        let mut skipped = 0;
        while skipped < most && self.due() < limit && !self.is_unlimited() {
            self.advance(random);
            skipped += 1;
        }
        skipped
    }

    /// The span is spent piece by piece, from one change of the factor to the next. Within a
    /// stretch every time is reckoned from its start, so that nothing is cut off twice.
    fn spend_through_surges(&mut self, span: Span) {
        self.used = self.used.saturating_add(span);
        while self.used >= self.stretch.holds() {
            self.used -= self.stretch.holds();
            self.stretch = self.stretch_from(self.stretch.end);
        }
        self.due = self.stretch.start.saturating_add(self.used / self.stretch.factor);
    }

    /// The stretch that begins at a time, or goes on from there.
    fn stretch_from(&self, start: Span) -> Stretch {
        let elapsed = start - self.origin;
        let (mut factor, mut until_change) = (1_i128, Span::MAX);
        for surge in &self.surges {
            let phase = elapsed.rem_euclid(surge.every);
            let surging = elapsed >= surge.every && phase < surge.duration;
            if surging {
                factor = (factor * surge.factor).min(LARGEST_FACTOR);
            }
            let change = if surging { surge.duration } else { surge.every };
            until_change = until_change.min(change - phase);
        }
        Stretch { start, end: start.saturating_add(until_change), factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;
    use proptest::prelude::*;
    use visor_api::{
        resolved::{Interval, Surge},
        source::Uniform,
    };

    const SECOND: i64 = 1_000_000_000;

    /// So many seconds after the epoch.
    fn at(seconds: i64) -> Time {
        Time::from_nanos(seconds * SECOND)
    }

    fn surge(every: u64, duration: u64, factor: u32) -> Surge {
        Surge { every: Duration::from_secs(every), duration: Duration::from_secs(duration), factor }
    }

    /// How many lines are due in each of the first `seconds` seconds.
    fn lines_per_second(pace: &mut Pace, random: &mut Random, seconds: usize) -> Vec<usize> {
        let mut counts = vec![0; seconds];
        while let Some(count) = counts.get_mut(usize::try_from(pace.due().second()).unwrap()) {
            *count += 1;
            pace.advance(random);
        }
        counts
    }

    fn rate(lines_per_second: u32) -> Law {
        Law::new(&Interval::Rate(lines_per_second.try_into().unwrap()))
    }

    #[test]
    fn a_day_of_lines_ends_where_it_should() {
        let mut random = Seed::new(1).random();
        let mut pace = Pace::new(rate(7), &[], Time::EPOCH, None, &mut random);
        for _ in 1..7 * 86_400 {
            pace.advance(&mut random);
        }
        assert_eq!(pace.due(), at(86_400).saturating_add(-SECOND / 14 - 1));
    }

    /// R lines a second for D seconds are R times D, whatever R is, and wherever surges begin.
    #[test]
    fn a_span_of_time_has_as_many_lines_as_its_rate_says() {
        let surges = [vec![], vec![surge(2, 1, 0)], vec![surge(3, 1, 7), surge(5, 2, 3)]];
        for (lines_per_second, surges) in [1, 2, 3, 7, 10, 333, 1000]
            .into_iter()
            .flat_map(|rate| surges.clone().map(|s| (rate, s)))
        {
            for initial_delay in [None, Some(Duration::from_secs(0))] {
                let mut random = Seed::new(1).random();
                let law = rate(lines_per_second);
                let mut pace = Pace::new(law, &surges, Time::EPOCH, initial_delay, &mut random);
                let mut lines = 0;
                for second in 1..=20 {
                    while pace.due() < at(second) {
                        pace.advance(&mut random);
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
        let mut pace = Pace::new(rate(10), &[surge(4, 1, 20)], Time::EPOCH, None, &mut random);
        let counts = lines_per_second(&mut pace, &mut random, 10);
        assert_eq!(counts, [10, 10, 10, 10, 200, 10, 10, 10, 200, 10]);
    }

    #[test]
    fn a_factor_of_zero_is_silence_and_overlapping_surges_multiply() {
        let mut random = Seed::new(1).random();
        let surges = [surge(4, 2, 0), surge(3, 1, 5), surge(6, 1, 2)];
        let mut pace = Pace::new(rate(10), &surges, Time::EPOCH, None, &mut random);
        let counts = lines_per_second(&mut pace, &mut random, 8);
        assert_eq!(counts, [10, 10, 10, 50, 0, 0, 100, 10]);
    }

    #[test]
    fn skipping_counts_what_it_passes_over() {
        let mut random = Seed::new(1).random();
        let mut pace = Pace::new(rate(10), &[], Time::EPOCH, None, &mut random);
        let skipped = pace.skip(at(1), 4, &mut random) + pace.skip(at(1), 100, &mut random);
        assert_eq!(skipped, 10);
        assert!(pace.due() >= at(1));
    }

    #[test]
    fn a_change_counts_from_then_on_and_none_is_none() {
        let mut random = Seed::new(1).random();
        let mut pace = Pace::new(rate(1), &[], Time::EPOCH, None, &mut random);
        let due = pace.due();
        pace.change(rate(1), &[], at(0).saturating_add(1), &mut random);
        assert_eq!(pace.due(), due);
        pace.change(rate(10), &[], at(100), &mut random);
        assert_eq!(pace.due().nanos_since(at(100)), SECOND / 20);
        let due = pace.due();
        pace.change(rate(10), &[surge(2, 1, 5)], at(100), &mut random);
        assert_ne!(pace.due(), due);
    }

    #[test]
    fn a_suspended_schedule_resumes_without_a_backlog() {
        let mut random = Seed::new(1).random();
        let mut pace = Pace::new(rate(10), &[], Time::EPOCH, None, &mut random);
        pace.resume(at(50), &mut random);
        assert!(pace.due() > at(50) && pace.due() <= at(51));
    }

    proptest! {
        #[test]
        fn a_schedule_never_goes_back(
            min in 0u64..1_000, width in 1u64..1_000, every in 1u64..20, factor in 0u32..50, seed: u64
        ) {
            let law = Law::new(&Interval::Uniform(Uniform {
                min: Duration::from_millis(min), max: Duration::from_millis(min + width),
            }));
            let mut random = Seed::new(seed).random();
            let mut pace = Pace::new(law, &[surge(every * 2, every, factor)], Time::EPOCH, None, &mut random);
            for _ in 0..100 {
                let before = pace.due();
                pace.advance(&mut random);
                prop_assert!(pace.due() >= before);
            }
        }
    }
}
