//! Times, and spans between them.

use std::ops::{Add, AddAssign, Div, Sub, SubAssign};

use jiff::Timestamp;
use visor_logs::quantity::Duration;

/// A time: nanoseconds since the epoch, in the years 1677 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

impl Time {
    /// Nanoseconds in a second.
    pub const NANOS_PER_SECOND: i64 = 1_000_000_000;
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The latest time: later than any event.
    pub const MAX: Self = Self(i64::MAX);

    /// That many nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The time that many nanoseconds later, or earlier; saturating.
    #[must_use]
    pub const fn saturating_add(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The nanoseconds since another time; negative if that is later.
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The same time as jiff's type.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(self.0.into()).unwrap_or_default()
    }

    /// Whole seconds since the epoch.
    #[inline]
    pub const fn second(self) -> i64 {
        self.0.div_euclid(Self::NANOS_PER_SECOND)
    }

    /// The nanoseconds within its second.
    #[inline]
    pub const fn subsecond_nanos(self) -> i64 {
        self.0.rem_euclid(Self::NANOS_PER_SECOND)
    }
}

/// A span of time: nanoseconds with 32 fractional bits, so that a rate of three million lines per
/// second is exact to nine digits, and sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(i128);

impl Span {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// The shortest span: 2^-32 nanoseconds.
    pub const SHORTEST: Self = Self(1);
    /// The longest span.
    pub const MAX: Self = Self(i128::MAX);
    /// A second.
    pub const SECOND: Self = Self::from_nanos(Time::NANOS_PER_SECOND);

    /// That many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self((nanos as i128) << 32)
    }

    /// That many of the shortest spans.
    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    /// The number of shortest spans.
    pub const fn units(self) -> i128 {
        self.0
    }

    /// The nearest span of that many nanoseconds; the conversion is exact to 53 bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "it rounds and saturates"
    )]
    pub fn from_nanos_f64(nanos: f64) -> Self {
        Self((nanos * (1u64 << 32) as f64) as i128)
    }

    /// The span from the epoch to a time.
    pub const fn to(time: Time) -> Self {
        Self::from_nanos(time.0)
    }

    /// The time this long after the epoch, rounded down to nanoseconds; saturating.
    #[expect(clippy::cast_possible_truncation, reason = "it is within 64 bits there")]
    #[inline]
    pub const fn after_epoch(self) -> Time {
        let nanos = self.0 >> 32;
        Time(if nanos > i64::MAX as i128 {
            i64::MAX
        } else if nanos < i64::MIN as i128 {
            i64::MIN
        } else {
            nanos as i64
        })
    }

    /// The sum; saturating.
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The product; saturating.
    #[must_use]
    pub const fn saturating_mul(self, factor: i128) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// The remainder of a division by `span`; never negative.
    #[must_use]
    pub const fn rem_euclid(self, span: Self) -> Self {
        Self(self.0.rem_euclid(span.0))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(i128::from(duration.as_nanos()) << 32)
    }
}

impl Add for Span {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Span {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Div<i128> for Span {
    type Output = Self;

    #[inline]
    fn div(self, by: i128) -> Self {
        Self(self.0 / by)
    }
}

impl AddAssign for Span {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl SubAssign for Span {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_as_long_as_what_it_is_made_of() {
        for nanos in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(Span::from_nanos(nanos).after_epoch(), Time::from_nanos(nanos));
        }
        assert_eq!(Span::from(Duration::from_secs(1)), Span::SECOND);
        assert_eq!(Span::from_nanos_f64(1e9), Span::SECOND);
    }

    #[test]
    fn times_are_held_within_the_years_there_are() {
        assert_eq!(Span::MAX.after_epoch(), Time::MAX);
        assert_eq!(Time::MAX.saturating_add(1), Time::MAX);
        assert_eq!((Span::to(Time::MAX) + Span::SECOND).after_epoch(), Time::MAX);
    }

    #[test]
    fn a_second_before_the_epoch_is_whole_too() {
        let time = Time::from_nanos(-1);
        assert_eq!((time.second(), time.subsecond_nanos()), (-1, 999_999_999));
    }
}
