//! How much a `Quantity` of Kubernetes is, to be compared with others.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Powers of 1000 and of 1024. `E` alone is one; before digits it begins an exponent.
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// A number of cores or bytes; `None` if it isn't one.
pub(super) fn amount(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.trim();
    let (number, unit) = SUFFIXES
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text, 1.0));
    let number: f64 = number.parse().ok()?;
    // Divided rather than multiplied where that is exact: 1000m is 1.
    let amount = if unit < 1.0 { number / (1.0 / unit).round() } else { number * unit };
    amount.is_finite().then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_compared_by_what_they_are() {
        let amount = |text: &str| amount(&Quantity(text.to_owned()));
        for (one, other) in [
            ("1000m", "1"),
            ("100m", "0.1"),
            ("1Gi", "1073741824"),
            ("1Gi", "1024Mi"),
            ("1k", "1e3"),
            ("2E", "2e18"),
            ("5u", "5000n"),
            (" 64Mi", "64Mi"),
        ] {
            assert!(amount(one).is_some(), "{one}");
            assert_eq!(amount(one), amount(other), "{one} and {other}");
        }
        assert!(amount("1G") < amount("1Gi"));
        assert_eq!(amount("0Mi"), Some(0.0));
        for none in ["", "Mi", "one", "1e999", "1KB", "inf"] {
            assert_eq!(amount(none), None, "{none}");
        }
    }
}
