//! The random law of the time between two lines of one stream.
//!
//! A draw is a [`Span`]: nanoseconds with 32 bits behind the point, so that a rate of three million
//! lines a second is one to nine digits, and adding draws up never loses any.

use visor_api::resolved::Interval;

use crate::random::Random;

/// A span of time, or a time since the epoch: nanoseconds in units of 2^-32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub(crate) i128);

impl Span {
    /// That many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self((nanos as i128) << 32)
    }

    /// Whole nanoseconds, cut, and held within 64 bits (years 1677 to 2262 of a time).
    pub const fn as_nanos(self) -> i64 {
        let nanos = self.0 >> 32;
        if nanos > i64::MAX as i128 {
            i64::MAX
        } else if nanos < i64::MIN as i128 {
            i64::MIN
        } else {
            nanos as i64
        }
    }

    /// The nearest span of that many nanoseconds; the conversion is exact to 53 bits.
    fn from_nanos_f64(nanos: f64) -> Self {
        Self((nanos * (1u64 << 32) as f64) as i128)
    }
}

/// The law of the time between two lines, ready to draw from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Law {
    /// Always the same.
    Fixed(Span),
    /// So many lines a second, evenly.
    Rate {
        /// The time between two lines, cut to a span.
        span: Span,
        /// What is cut off from it, in parts of a span's unit: so many ...
        cut: i64,
        /// ... of so many; this is the rate, too.
        lines_per_second: i64,
    },
    /// Evenly between `min` and `min + width`.
    Uniform {
        /// The shortest.
        min: Span,
        /// How much longer the longest is, in nanoseconds.
        width: u64,
    },
    /// Exponential with this mean in nanoseconds.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// Normal with these, in nanoseconds; drawn again while below 0.
    Normal {
        /// The middle.
        mean: f64,
        /// The width.
        standard_deviation: f64,
    },
    /// No time at all: the output alone sets the pace.
    Unlimited,
}

impl Law {
    /// The law that a document asks for.
    pub fn new(interval: &Interval) -> Self {
        let span = |duration: visor_api::quantity::Duration| {
            Span::from_nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
        };
        match interval {
            Interval::Fixed(every) => Self::Fixed(span(*every)),
            Interval::Uniform(law) => Self::Uniform {
                min: span(law.min),
                width: law.max.as_nanos().saturating_sub(law.min.as_nanos()),
            },
            Interval::Exponential(law) => Self::Exponential { mean: law.mean.as_nanos() as f64 },
            Interval::Normal(law) => Self::Normal {
                mean: law.mean.as_nanos() as f64,
                standard_deviation: law.standard_deviation.as_nanos() as f64,
            },
            Interval::Rate(lines_per_second) => {
                let second = Span::from_nanos(1_000_000_000).0;
                let lines_per_second = i64::from(lines_per_second.get());
                let span = Span(second / i128::from(lines_per_second));
                let cut = (second % i128::from(lines_per_second)) as i64;
                Self::Rate { span, cut, lines_per_second }
            }
            Interval::Unlimited => Self::Unlimited,
        }
    }

    /// Draws the time to the next line; never negative. That of a rate is the one that is cut.
    #[inline]
    pub fn draw(&self, random: &mut Random) -> Span {
        match *self {
            Self::Fixed(span) | Self::Rate { span, .. } => span,
            Self::Uniform { min, width } => {
                // 64 random bits behind the point times the width; 32 of them are kept.
                Span(min.0 + ((u128::from(random.bits()) * u128::from(width)) >> 32).cast_signed())
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
            Self::Unlimited => Span(0),
        }
    }
}

/// A draw of the normal law with mean 0 and deviation 1, by Marsaglia's polar method. The second
/// number that it yields is left, so that a law has no state.
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
    use crate::random::Seed;
    use statrs::distribution::{ContinuousCDF, Exp, Normal as NormalLaw};
    use visor_api::quantity::Duration;
    use visor_api::source::{self, Exponential, Normal, Uniform};

    const DRAWS: usize = 20_000;

    /// The Kolmogorov-Smirnov distance of seeded draws (in seconds) from the wanted law. For so
    /// many draws a distance above 1.95 / sqrt(n) has a chance of one in a thousand; the seed is
    /// fixed, so the test says the same on every run.
    fn assert_follows(interval: &source::Interval, wanted: impl Fn(f64) -> f64) {
        let law = Law::new(&match interval.clone() {
            source::Interval::Uniform(law) => Interval::Uniform(law),
            source::Interval::Exponential(law) => Interval::Exponential(law),
            source::Interval::Normal(law) => Interval::Normal(law),
            other => panic!("{other:?} is not drawn"),
        });
        let mut random = Seed::new(2024).child(&format!("{interval:?}")).random();
        let mut draws: Vec<f64> =
            (0..DRAWS).map(|_| law.draw(&mut random).as_nanos() as f64 / 1e9).collect();
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
    fn uniform_draws_follow_the_uniform_law() {
        let (min, max) = (Duration::from_millis(5), Duration::from_millis(50));
        assert_follows(&source::Interval::Uniform(Uniform { min, max }), |x| {
            ((x - 0.005) / 0.045).clamp(0.0, 1.0)
        });
    }

    #[test]
    fn exponential_draws_follow_the_exponential_law() {
        let wanted = Exp::new(50.0).unwrap();
        assert_follows(
            &source::Interval::Exponential(Exponential { mean: Duration::from_millis(20) }),
            |x| wanted.cdf(x),
        );
    }

    #[test]
    fn normal_draws_follow_the_normal_law_cut_at_zero() {
        for (mean, deviation) in [(50, 5), (5, 5), (0, 5)] {
            let wanted = NormalLaw::new(f64::from(mean) / 1e3, f64::from(deviation) / 1e3).unwrap();
            let below = wanted.cdf(0.0);
            assert_follows(
                &source::Interval::Normal(Normal {
                    mean: Duration::from_millis(mean as u64),
                    standard_deviation: Duration::from_millis(deviation as u64),
                }),
                |x| (wanted.cdf(x) - below) / (1.0 - below),
            );
        }
    }

    #[test]
    fn fixed_and_rate_are_exact_also_where_nanoseconds_are_too_coarse() {
        let mut random = Seed::new(1).random();
        let fixed = Law::new(&Interval::Fixed(Duration::from_secs(3)));
        assert_eq!(fixed.draw(&mut random), Span::from_nanos(3_000_000_000));
        let rate = Law::new(&Interval::Rate(3_000_000.try_into().unwrap()));
        let second: i128 = (0..3_000_000).map(|_| rate.draw(&mut random).0).sum();
        assert!((Span::from_nanos(1_000_000_000).0 - second) >> 32 == 0);
    }
}
