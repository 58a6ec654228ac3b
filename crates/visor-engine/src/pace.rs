//! A schedule that never drifts: each line is due so long after the last one was *due*, however
//! late that one was written. Surges bend it.

use visor_api::source::Surge;

use crate::{
    law::{Law, Span},
    random::Random,
};

/// The schedule of one stream.
#[derive(Debug, Clone)]
pub struct Pace {
    law: Law,
    surges: Box<[Bend]>,
    /// Surges are counted from here.
    origin: Span,
    due: Span,
}

/// A surge in the schedule's own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bend {
    every: i128,
    duration: i128,
    factor: i128,
}

/// Beyond this, overlapping surges stop multiplying: a thousand million times as fast.
const LARGEST_FACTOR: i128 = 1_000_000_000;

impl Pace {
    /// A schedule that begins at `start`, in nanoseconds since the epoch. Its first line is due one
    /// draw later, as if one had just been written; an unlimited one is due at once.
    pub fn new(law: Law, surges: &[Surge], start: i64, random: &mut Random) -> Self {
        let span = |duration: visor_api::quantity::Duration| i128::from(duration.as_nanos()) << 32;
        let bends = surges.iter().map(|surge| Bend {
            every: span(surge.every).max(1),
            duration: span(surge.duration),
            factor: i128::from(surge.factor),
        });
        let start = Span::from_nanos(start);
        let mut pace = Self { law, surges: bends.collect(), origin: start, due: start };
        pace.advance(random);
        pace
    }

    /// When the next line is due, in nanoseconds since the epoch.
    #[inline]
    pub fn due(&self) -> i64 {
        self.due.as_nanos()
    }

    /// Whether lines are due all the time.
    pub fn is_unlimited(&self) -> bool {
        self.law == Law::Unlimited
    }

    /// Goes on to the line after the next.
    #[inline]
    pub fn advance(&mut self, random: &mut Random) {
        let span = self.law.draw(random);
        if self.surges.is_empty() {
            self.due.0 = self.due.0.saturating_add(span.0);
        } else {
            self.advance_through_surges(span.0);
        }
    }

    /// Takes another law and other surges from `now` on. Surges go on being counted from the same
    /// origin.
    pub fn change(&mut self, law: Law, surges: &[Surge], now: i64, random: &mut Random) {
        let origin = self.origin;
        *self = Self::new(law, surges, now, random);
        self.origin = origin;
    }

    /// Begins anew at `now`, as after a suspension: what would have been due meanwhile is not made
    /// up for.
    pub fn resume(&mut self, now: i64, random: &mut Random) {
        self.due = Span::from_nanos(now);
        self.advance(random);
    }

    /// Passes over lines that were due before `limit`, at most `most` of them, and says how many.
    pub fn skip(&mut self, limit: i64, most: u64, random: &mut Random) -> u64 {
        let mut skipped = 0;
        while skipped < most && self.due() < limit && !self.is_unlimited() {
            self.advance(random);
            skipped += 1;
        }
        skipped
    }

    /// Surges make time run faster for the schedule: an hour at factor 20 holds what 20 hours hold.
    /// So the draw is spent piece by piece, from one change of the factor to the next.
    fn advance_through_surges(&mut self, mut rest: i128) {
        loop {
            let (factor, until_change) = self.factor();
            let holds = until_change.saturating_mul(factor);
            if factor > 0 && rest <= holds {
                self.due.0 = self.due.0.saturating_add(rest / factor);
                return;
            }
            rest -= holds;
            self.due.0 = self.due.0.saturating_add(until_change);
        }
    }

    /// The factor at the time that the schedule has come to, and how long it holds from there.
    fn factor(&self) -> (i128, i128) {
        let elapsed = self.due.0 - self.origin.0;
        let (mut factor, mut until_change) = (1_i128, i128::MAX);
        for surge in &self.surges {
            let phase = elapsed.rem_euclid(surge.every);
            let surging = elapsed >= surge.every && phase < surge.duration;
            if surging {
                factor = (factor * surge.factor).min(LARGEST_FACTOR);
            }
            let change = if surging { surge.duration } else { surge.every };
            until_change = until_change.min(change - phase);
        }
        (factor, until_change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;
    use proptest::prelude::*;
    use visor_api::{
        quantity::Duration,
        source::{Interval, Rate, Uniform},
    };

    const SECOND: i64 = 1_000_000_000;

    fn surge(every: u64, duration: u64, factor: i32) -> Surge {
        Surge { every: Duration::from_secs(every), duration: Duration::from_secs(duration), factor }
    }

    /// How many lines are due in each of the first `seconds` seconds.
    fn lines_per_second(pace: &mut Pace, random: &mut Random, seconds: usize) -> Vec<usize> {
        let mut counts = vec![0; seconds];
        while let Some(count) = counts.get_mut(usize::try_from(pace.due() / SECOND).unwrap()) {
            *count += 1;
            pace.advance(random);
        }
        counts
    }

    fn rate(lines_per_second: i32) -> Law {
        Law::new(&Interval::Rate(Rate { lines_per_second }))
    }

    #[test]
    fn a_day_of_lines_ends_where_it_should() {
        let mut random = Seed::new(1).random();
        let mut pace = Pace::new(rate(7), &[], 0, &mut random);
        for _ in 1..7 * 86_400 {
            pace.advance(&mut random);
        }
        assert!((pace.due() - 86_400 * SECOND).abs() <= 1_000, "{}", pace.due());
    }

    #[test]
    fn a_surge_multiplies_and_the_first_comes_after_one_period() {
        let mut random = Seed::new(1).random();
        let mut pace = Pace::new(rate(10), &[surge(4, 1, 20)], 0, &mut random);
        let counts = lines_per_second(&mut pace, &mut random, 10);
        // Line k is due at the end of its own share, so a share on the border counts beyond it.
        for (second, count) in counts.iter().enumerate() {
            let wanted = if [4, 8].contains(&second) { 200 } else { 10 };
            assert!(count.abs_diff(wanted) <= 1, "{second}: {count} in {counts:?}");
        }
    }

    #[test]
    fn a_factor_of_zero_is_silence_and_overlapping_surges_multiply() {
        let mut random = Seed::new(1).random();
        let surges = [surge(4, 2, 0), surge(3, 1, 5), surge(6, 1, 2)];
        let mut pace = Pace::new(rate(10), &surges, 0, &mut random);
        let counts = lines_per_second(&mut pace, &mut random, 8);
        for (second, wanted) in [10, 10, 10, 50, 0, 0, 100, 10].into_iter().enumerate() {
            assert!(counts[second].abs_diff(wanted) <= 1, "{second}: {counts:?}");
        }
    }

    #[test]
    fn skipping_counts_what_it_passes_over() {
        let mut random = Seed::new(1).random();
        let mut pace = Pace::new(rate(10), &[], 0, &mut random);
        let skipped = pace.skip(SECOND, 4, &mut random) + pace.skip(SECOND, 100, &mut random);
        assert_eq!(skipped, 9);
        assert!(pace.due() >= SECOND);
    }

    #[test]
    fn a_suspended_schedule_resumes_without_a_backlog() {
        let mut random = Seed::new(1).random();
        let mut pace = Pace::new(rate(10), &[], 0, &mut random);
        pace.resume(50 * SECOND, &mut random);
        assert!(pace.due() > 50 * SECOND && pace.due() <= 51 * SECOND);
    }

    proptest! {
        #[test]
        fn a_schedule_never_goes_back(
            min in 0u64..1_000, width in 1u64..1_000, every in 1u64..20, factor in 0i32..50, seed: u64
        ) {
            let law = Law::new(&Interval::Uniform(Uniform {
                min: Duration::from_millis(min), max: Duration::from_millis(min + width),
            }));
            let mut random = Seed::new(seed).random();
            let mut pace = Pace::new(law, &[surge(every * 2, every, factor)], 0, &mut random);
            for _ in 0..100 {
                let before = pace.due();
                pace.advance(&mut random);
                prop_assert!(pace.due() >= before);
            }
        }
    }
}
