//! The distribution of the time between two lines of a stream.

#![expect(clippy::cast_precision_loss, reason = "draws have 53 bits")]

use visor_logs::resolved::Interval;

use crate::{random::Random, time::Span};

/// The distribution of the time between two lines, prepared for sampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum IntervalDistribution {
    /// Always the same.
    Fixed(Span),
    /// Evenly spaced at a rate.
    Rate {
        /// The time between two lines, rounded down to a span.
        span: Span,
        /// The rounded-off part, as a fraction of a span's unit: the numerator.
        cut: i64,
        /// The denominator, which is the rate.
        lines_per_second: i64,
    },
    /// Evenly between `min` and `min + width`.
    Uniform {
        /// The shortest.
        min: Span,
        /// The difference to the maximum, in nanoseconds.
        width: u64,
    },
    /// Exponential with this mean in nanoseconds.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// Normal, in nanoseconds; negative samples are drawn again.
    Normal {
        /// The middle.
        mean: f64,
        /// The width.
        standard_deviation: f64,
    },
    /// No time: limited by the output alone.
    Unlimited,
}

impl IntervalDistribution {
    /// The distribution that a document configures.
    pub fn new(interval: &Interval) -> Self {
        match interval {
            Interval::Fixed(every) => Self::Fixed((*every).into()),
            Interval::Uniform(interval) => Self::Uniform {
                min: interval.min.into(),
                width: interval.max.as_nanos().saturating_sub(interval.min.as_nanos()),
            },
            Interval::Exponential(interval) => {
                Self::Exponential { mean: interval.mean.as_nanos() as f64 }
            }
            Interval::Normal(interval) => Self::Normal {
                mean: interval.mean.as_nanos() as f64,
                standard_deviation: interval.standard_deviation.as_nanos() as f64,
            },
            Interval::Rate(lines_per_second) => {
                let lines_per_second = i64::from(lines_per_second.get());
                let span = Span::SECOND / i128::from(lines_per_second);
                let cut = Span::SECOND.units() % i128::from(lines_per_second);
                // Less than the divisor.
                let cut = i64::try_from(cut).unwrap_or_default();
                Self::Rate { span, cut, lines_per_second }
            }
            Interval::Unlimited => Self::Unlimited,
        }
    }

    /// Samples the time to the next line; never negative. For a rate it is the rounded one.
    #[inline]
    pub fn draw(&self, random: &mut Random) -> Span {
        match *self {
            Self::Fixed(span) | Self::Rate { span, .. } => span,
            Self::Uniform { min, width } => {
                // A 64-bit random fraction times the width; 32 fractional bits are kept.
                let bits = (u128::from(random.bits()) * u128::from(width)) >> 32;
                min + Span::from_units(bits.cast_signed())
            }
            Self::Exponential { mean } => {
                Span::from_nanos_f64(-mean * libm::log(1.0 - random.fraction()))
            }
            Self::Normal { mean, standard_deviation } => loop {
                let nanos = mean + standard_deviation * standard_normal(random);
                if nanos >= 0.0 {
                    break Span::from_nanos_f64(nanos);
                }
            },
            Self::Unlimited => Span::ZERO,
        }
    }
}

/// A sample of the standard normal distribution, by Marsaglia's polar method. The second number
/// that it yields is discarded, so that no state is needed.
fn standard_normal(random: &mut Random) -> f64 {
    loop {
        let x = 2.0 * random.fraction() - 1.0;
        let y = 2.0 * random.fraction() - 1.0;
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * libm::sqrt(-2.0 * libm::log(square) / square);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{random::Seed, time::Time};
    use statrs::distribution::{ContinuousCDF, Exp, Normal as NormalDistribution};
    use visor_api::quantity::Duration;
    use visor_api::source::{self, Exponential, Normal, Uniform};

    const DRAWS: usize = 20_000;

    /// The Kolmogorov-Smirnov distance of seeded draws (in seconds) from the expected distribution.
    /// For this many samples a distance above 1.95 / sqrt(n) has a chance of one in a thousand; the
    /// seed is fixed, so the test is deterministic.
    fn assert_follows(interval: &source::Interval, wanted: impl Fn(f64) -> f64) {
        let distribution = IntervalDistribution::new(&interval.clone().into());
        let mut random = Seed::new(2024).child(&format!("{interval:?}")).random();
        let mut draws: Vec<f64> = (0..DRAWS)
            .map(|_| distribution.draw(&mut random).after_epoch().as_nanos() as f64 / 1e9)
            .collect();
        draws.sort_by(f64::total_cmp);
        let n = DRAWS as f64;
        let distance = draws.iter().enumerate().fold(0.0_f64, |worst, (i, draw)| {
            let cumulative = wanted(*draw);
            worst
                .max((cumulative - i as f64 / n).abs())
                .max(((i + 1) as f64 / n - cumulative).abs())
        });
        assert!(distance < 1.95 / n.sqrt(), "{interval:?}: {distance}");
        let mean = draws.iter().sum::<f64>() / n;
        let wanted = interval.mean_seconds();
        assert!((mean / wanted - 1.0).abs() < 0.03, "{interval:?}: mean {mean}, wanted {wanted}");
    }

    #[test]
    fn uniform_draws_have_the_uniform_distribution() {
        let (min, max) = (Duration::from_millis(5), Duration::from_millis(50));
        assert_follows(&source::Interval::Uniform(Uniform { min, max }), |x| {
            ((x - 0.005) / 0.045).clamp(0.0, 1.0)
        });
    }

    #[test]
    fn exponential_draws_have_the_exponential_distribution() {
        let wanted = Exp::new(50.0).unwrap();
        assert_follows(
            &source::Interval::Exponential(Exponential { mean: Duration::from_millis(20) }),
            |x| wanted.cdf(x),
        );
    }

    #[test]
    fn normal_draws_have_the_normal_distribution_truncated_at_zero() {
        for (mean, deviation) in [(50_u32, 5_u32), (5, 5), (0, 5)] {
            let wanted =
                NormalDistribution::new(f64::from(mean) / 1e3, f64::from(deviation) / 1e3).unwrap();
            let below = wanted.cdf(0.0);
            assert_follows(
                &source::Interval::Normal(Normal {
                    mean: Duration::from_millis(mean.into()),
                    standard_deviation: Duration::from_millis(deviation.into()),
                }),
                |x| (wanted.cdf(x) - below) / (1.0 - below),
            );
        }
    }

    #[test]
    fn fixed_and_rate_are_exact_also_where_nanoseconds_are_too_coarse() {
        let mut random = Seed::new(1).random();
        let fixed = IntervalDistribution::new(&Interval::Fixed(Duration::from_secs(3)));
        assert_eq!(fixed.draw(&mut random), Span::from_nanos(3_000_000_000));
        let rate = IntervalDistribution::new(&Interval::Rate(3_000_000.try_into().unwrap()));
        let mut second = Span::ZERO;
        (0..3_000_000).for_each(|_| second += rate.draw(&mut random));
        assert_eq!((Span::SECOND - second).after_epoch(), Time::EPOCH);
    }
}
