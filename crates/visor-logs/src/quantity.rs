//! Durations and sizes in text form. Both are integers (nanoseconds, bytes), so they mean the same
//! on every machine.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in the notation of Go and Kubernetes: `250ms`, `3s`, `1h30m`, `1.5s`.
///
/// Units are `ns`, `us` (or `µs`), `ms`, `s`, `m` and `h`. Never negative; at most 100 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(u64);

/// The longest duration: 100 years of 365 days, in nanoseconds. It leaves room for sums in 64 bits.
const MAX_NANOS: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;
const DURATION_PATTERN: &str = r"^(0|([0-9]+(\.[0-9]{1,9})?(ns|us|µs|ms|s|m|h))+)$";

impl Duration {
    /// A duration of that many nanoseconds, at most the longest one.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(if nanos > MAX_NANOS { MAX_NANOS } else { nanos })
    }

    /// A duration of that many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// A duration of that many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_nanos(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds as a floating-point number.
    #[expect(clippy::cast_precision_loss, reason = "rounded, as it says")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The same duration as the standard library's type.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0)
    }
}

/// Why a text is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// A minus sign.
    #[error("`{0}` is negative; write a positive value")]
    Negative(String),
    /// Larger than the maximum.
    #[error("`{0}` is too large; the maximum is {1}")]
    TooLarge(String, &'static str),
    /// Not in the notation.
    #[error("`{0}` is not {1}")]
    Malformed(String, &'static str),
}

impl FromStr for Duration {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "a duration; write numbers with units (ns, us, ms, s, m, h), like `250ms` or `1h30m`";
        let malformed = || QuantityError::Malformed(text.to_owned(), EXPECTED);
        let too_large = || QuantityError::TooLarge(text.to_owned(), "100 years (876000h)");
        if text.starts_with('-') {
            return Err(QuantityError::Negative(text.to_owned()));
        }
        if text == "0" {
            return Ok(Self(0));
        }
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let number_end =
                rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
            let (number, tail) = rest.split_at(number_end);
            let unit_end =
                tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let unit: u64 = match unit {
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                _ => return Err(malformed()),
            };
            let nanos = scale(number, unit).map_err(|number_error| match number_error {
                NumberError::Malformed => malformed(),
                NumberError::TooLarge => too_large(),
            })?;
            total = total.checked_add(nanos).filter(|t| *t <= MAX_NANOS).ok_or_else(too_large)?;
            rest = tail;
        }
        if text.is_empty() { Err(malformed()) } else { Ok(Self(total)) }
    }
}

/// What is wrong with a number.
enum NumberError {
    Malformed,
    TooLarge,
}

/// `number` (digits, optionally a point and up to nine more) times `unit`.
fn scale(number: &str, unit: u64) -> Result<u64, NumberError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return Err(NumberError::Malformed);
    }
    let whole: u64 = whole.parse().map_err(|_| NumberError::TooLarge)?;
    let digits = u32::try_from(fraction.len()).map_err(|_| NumberError::Malformed)?;
    let fraction: u64 = fraction.parse().map_err(|_| NumberError::Malformed)?;
    let fraction = u128::from(fraction) * u128::from(unit) / 10u128.pow(digits);
    let fraction = u64::try_from(fraction).map_err(|_| NumberError::TooLarge)?;
    whole
        .checked_mul(unit)
        .and_then(|whole| whole.checked_add(fraction))
        .ok_or(NumberError::TooLarge)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 6] = [
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, nanos) in UNITS {
            if rest >= nanos {
                write!(f, "{}{unit}", rest / nanos)?;
                rest %= nanos;
            }
        }
        Ok(())
    }
}

/// A number of bytes: `512`, `64Ki`, `10M`, `1Gi`.
///
/// Suffixes are Kubernetes' (`k`, `M`, `G`, `T` for powers of 1000; `Ki`, `Mi`, `Gi`, `Ti` for
/// powers of 1024). Whole numbers only; at most 1 Pi.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(u64);

const MAX_SIZE_BYTES: u64 = 1 << 50;
const SIZE_PATTERN: &str = "^[0-9]{1,16}(k|M|G|T|Ki|Mi|Gi|Ti)?$";
const SIZE_UNITS: [(&str, u64); 9] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

impl Size {
    /// That many bytes, at most the largest size.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(if bytes > MAX_SIZE_BYTES { MAX_SIZE_BYTES } else { bytes })
    }

    /// Bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "a size; write a whole number of bytes, optionally with a suffix (Ki, Mi, Gi, k, M, G)";
        let malformed = || QuantityError::Malformed(text.to_owned(), EXPECTED);
        let too_large = || QuantityError::TooLarge(text.to_owned(), "1024Ti");
        if text.starts_with('-') {
            return Err(QuantityError::Negative(text.to_owned()));
        }
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let unit = SIZE_UNITS.iter().find(|(name, _)| *name == suffix).ok_or_else(malformed)?.1;
        if number.is_empty() {
            return Err(malformed());
        }
        let number: u64 = number.parse().map_err(|_| too_large())?;
        number.checked_mul(unit).filter(|b| *b <= MAX_SIZE_BYTES).map(Self).ok_or_else(too_large)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (suffix, unit) in &SIZE_UNITS[..4] {
            if self.0 >= *unit && self.0.is_multiple_of(*unit) {
                return write!(f, "{}{suffix}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// Both types are strings in documents, with the same four impls.
macro_rules! string_quantity {
    ($type:ident, $pattern:expr) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "maxLength": 64})
            }
        }
    };
}

string_quantity!(Duration, DURATION_PATTERN);
string_quantity!(Size, SIZE_PATTERN);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("7us", 7_000),
            ("7µs", 7_000),
            ("0.000000001s", 1),
        ] {
            assert_eq!(text.parse::<Duration>().unwrap().as_nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_rejected_with_a_reason() {
        for (text, reason) in [
            ("-3s", "negative"),
            ("", "not a duration"),
            ("3", "not a duration"),
            ("s", "not a duration"),
            ("3 s", "not a duration"),
            (".5s", "not a duration"),
            ("1.s", "not a duration"),
            ("1e9s", "not a duration"),
            ("NaNs", "not a duration"),
            ("5d", "not a duration"),
            ("900000h", "too large"),
            ("99999999999999999999h", "too large"),
        ] {
            let error = text.parse::<Duration>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_suffix() {
        for (text, bytes) in [("0", 0), ("512", 512), ("64Mi", 64 << 20), ("10k", 10_000)] {
            assert_eq!(text.parse::<Size>().unwrap().as_bytes(), bytes, "{text}");
        }
        for text in ["", "Mi", "1.5Mi", "-1", "1KB", "9999999999999999Ti", "2048Ti"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_survives_its_own_text(nanos in 0..=MAX_NANOS) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
        }

        #[test]
        fn a_size_survives_its_own_text(bytes in 0..=MAX_SIZE_BYTES) {
            let size = Size::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }

        #[test]
        fn no_text_is_a_panic(text in "\\PC*") {
            let _ = text.parse::<Duration>();
            let _ = text.parse::<Size>();
        }
    }
}
