//! The value of a Kubernetes `Quantity`, for comparisons and sums.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The decimal places that Kubernetes keeps. It rounds up finer ones.
const DIGITS: i32 = 9;

/// One core, one byte, or a ratio of one.
pub const ONE: i128 = 1_000_000_000;

/// In billionths, so that sums of fractions are exact; `None` if the text isn't a quantity.
pub fn amount(quantity: &Quantity) -> Option<i128> {
    let text = quantity.0.trim();
    let is_of_number = |c: char| c.is_ascii_digit() || ".+-".contains(c);
    let (number, suffix) = text.split_at(text.find(|c| !is_of_number(c)).unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (factor, exponent) = unit(suffix)?;
    let exponent =
        exponent.checked_add(DIGITS)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let scaled = digits.checked_mul(factor)?;
    if exponent < 0 {
        let rest = i128::from(scaled.rem_euclid(power) > 0);
        Some(scaled.div_euclid(power) + rest)
    } else {
        scaled.checked_mul(power)
    }
}

/// A suffix as a factor and a power of ten. `E` alone is a suffix; before digits it starts an
/// exponent.
fn unit(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        exponent => (1, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<i128> {
        amount(&Quantity(text.to_owned()))
    }

    #[test]
    fn quantities_are_compared_by_what_they_are() {
        for (one, other) in [
            ("1000m", "1"),
            ("100m", "0.1"),
            ("100m", ".1"),
            ("1Gi", "1073741824"),
            ("1Gi", "1024Mi"),
            ("1.5Gi", "1536Mi"),
            ("1k", "1e3"),
            ("2E", "2e18"),
            ("7Ei", "7168Pi"),
            ("5u", "5000n"),
            ("0.1n", "1n"),
            ("15e-1", "+1.5"),
            (" 64Mi", "64Mi"),
        ] {
            assert!(of(one).is_some(), "{one}");
            assert_eq!(of(one), of(other), "{one} and {other}");
        }
        assert!(of("1G") < of("1Gi"));
        assert_eq!(of("0Mi"), Some(0));
        assert_eq!(of("-1n"), Some(-1));
        for none in ["", ".", "Mi", "one", "1e999", "1e", "1-2", "1KB", "inf", "e-2147483648"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    /// A tenth and two tenths are three tenths.
    #[test]
    fn sums_are_exact() {
        assert_eq!(of("0.1").zip(of("0.2")).map(|(one, two)| one + two), of("0.3"));
    }
}
