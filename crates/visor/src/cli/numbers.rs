//! Numbers on the command line: `10k` lines, `0.5`, `30/m` or `5MB/s` a second. Pure.

use std::{num::NonZeroU64, str::FromStr};

use visor_api::{
    quantity::Duration,
    source::{Interval, LinesPerSecond, Rate},
};

/// A number of lines: `1000`, `1_000`, `10k`, `2.5M`, `1e6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineCount(pub(crate) NonZeroU64);

/// A rate: lines or bytes per second.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RateArgument {
    /// Evenly spaced lines.
    Lines(Interval),
    /// So many bytes per second.
    Bytes(f64),
}

/// The maximum number of lines per second, as in documents.
const MAX_LINES_PER_SECOND: f64 = 1e8;

impl FromStr for LineCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a whole number of lines, such as 1000, 10k or 1M";
        let (number, suffix) = split(text).ok_or(EXPECTED)?;
        let count = number * multiple(suffix).ok_or(EXPECTED)?;
        // Integers up to here are exact.
        if count.fract() != 0.0 || !(1.0..=9e15).contains(&count) {
            return Err(EXPECTED.to_owned());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        NonZeroU64::new(count as u64).map(Self).ok_or_else(|| EXPECTED.to_owned())
    }
}

impl FromStr for RateArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected lines per second, such as 500, 0.5, 10k or 30/m, or a volume such as 5MB/s";
        let (amount, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" | "sec" | "second" => 1.0,
            "m" | "min" | "minute" => 60.0,
            "h" | "hour" => 3_600.0,
            "d" | "day" => 86_400.0,
            _ => return Err(EXPECTED.to_owned()),
        };
        let (number, suffix) = split(amount).ok_or(EXPECTED)?;
        if let Some(bytes) = bytes(suffix) {
            let rate = number * bytes / seconds;
            return if rate > 0.0 { Ok(Self::Bytes(rate)) } else { Err(EXPECTED.to_owned()) };
        }
        let rate = number * multiple(suffix).ok_or(EXPECTED)? / seconds;
        interval(rate).map(Self::Lines)
    }
}

/// Evenly spaced lines at this rate per second.
///
/// # Errors
///
/// That the rate is too high or too low.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the bounds are checked, and a duration has whole nanoseconds"
)]
pub(crate) fn interval(lines_per_second: f64) -> Result<Interval, String> {
    let too_fast =
        || "at most 100,000,000 lines per second; without pauses: --unlimited".to_owned();
    if lines_per_second > MAX_LINES_PER_SECOND {
        return Err(too_fast());
    }
    // The nanoseconds of a short interval can't be as exact.
    let is_whole = lines_per_second.fract() == 0.0 || lines_per_second > 1e3;
    if lines_per_second >= 1.0 && is_whole {
        let rate = LinesPerSecond::new(lines_per_second.round() as i64);
        let rate = rate.map(|lines_per_second| Interval::Rate(Rate { lines_per_second }));
        return rate.ok_or_else(too_fast);
    }
    let nanos = 1e9 / lines_per_second;
    let longest = Duration::from_nanos(u64::MAX);
    if !(nanos >= 1.0 && nanos <= longest.as_secs_f64() * 1e9) {
        return Err(format!("must be more than 0, and at least one line in {longest}"));
    }
    Ok(Interval::Fixed(Duration::from_nanos(nanos.round() as u64)))
}

/// A decimal number, and what follows it.
fn split(text: &str) -> Option<(f64, &str)> {
    let is_exponent = |at: usize| {
        let rest = text[at..].strip_prefix(['e', 'E']);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut end = text.find(|c: char| !c.is_ascii_digit() && !"._".contains(c));
    if let Some(at) = end.filter(|at| is_exponent(*at)) {
        let digits = text[at + 1..].find(|c: char| !c.is_ascii_digit());
        end = digits.map(|digits| at + 1 + digits);
    }
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let number: f64 = number.replace('_', "").parse().ok()?;
    number.is_finite().then_some((number, suffix))
}

/// The factor of a suffix of lines.
fn multiple(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    })
}

/// The factor of a unit of bytes.
fn bytes(unit: &str) -> Option<f64> {
    Some(match unit {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "Ki" | "KiB" => 1024.0,
        "Mi" | "MiB" => 1_048_576.0,
        "Gi" | "GiB" => 1_073_741_824.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_suffixes() {
        let count = |text: &str| text.parse::<LineCount>().map(|count| count.0.get());
        for (text, wanted) in [
            ("1", 1),
            ("1000", 1000),
            ("1_000", 1000),
            ("10k", 10_000),
            ("10K", 10_000),
            ("2.5M", 2_500_000),
            ("1e6", 1_000_000),
            ("3G", 3_000_000_000),
        ] {
            assert_eq!(count(text), Ok(wanted), "{text}");
        }
        for text in ["", "0", "-1", "k", "1.5", "0.0001k", "1m", "5MB", "1e", "1e99", "inf", "١"] {
            assert!(count(text).unwrap_err().contains("10k"), "{text}");
        }
    }

    #[test]
    fn rates_are_of_lines_or_of_bytes() {
        let rate = |text: &str| text.parse::<RateArgument>();
        let lines = |number| {
            let lines_per_second = LinesPerSecond::new(number).unwrap();
            Ok(RateArgument::Lines(Interval::Rate(Rate { lines_per_second })))
        };
        let every = |nanos| Ok(RateArgument::Lines(Interval::Fixed(Duration::from_nanos(nanos))));
        for (text, wanted) in [
            ("500", lines(500)),
            ("10k", lines(10_000)),
            ("500/s", lines(500)),
            ("6k/m", lines(100)),
            ("0.5", every(2_000_000_000)),
            ("30/m", every(2_000_000_000)),
            ("2.5", every(400_000_000)),
            ("1/h", every(3_600_000_000_000)),
            ("1/day", every(86_400_000_000_000)),
            ("5MB/s", Ok(RateArgument::Bytes(5e6))),
            ("5MB", Ok(RateArgument::Bytes(5e6))),
            ("1MiB/m", Ok(RateArgument::Bytes(1_048_576.0 / 60.0))),
        ] {
            assert_eq!(rate(text), wanted, "{text}");
        }
        for text in ["", "0", "-1", "fast", "1/year", "0MB/s", "1e9", "0.0000000000001", "1//s"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
