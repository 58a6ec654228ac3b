//! Names of Kubernetes objects. A text is validated before it is repeated or looked up. Pure.

/// The maximum length of a DNS label in bytes (RFC 1123), such as the name of a namespace or a
/// volume.
const MAX_LABEL_BYTES: usize = 63;
/// The maximum length of a DNS subdomain in bytes, such as the name of most other objects.
const MAX_SUBDOMAIN_BYTES: usize = 253;

/// Whether this is a DNS label.
pub(super) fn is_label(text: &str) -> bool {
    let cache = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_LABEL_BYTES).contains(&text.len())
        && text.chars().all(cache)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether this is a DNS subdomain: labels separated by dots.
pub(super) fn is_subdomain(text: &str) -> bool {
    let cache = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_part = |part: &str| {
        !part.is_empty()
            && part.chars().all(cache)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= MAX_SUBDOMAIN_BYTES && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinguished_from_other_strings() {
        for name in ["a", "shop", "shop-2", "0", &"a".repeat(63)] {
            assert!(is_label(name) && is_subdomain(name), "{name}");
        }
        for name in ["shop.eu", &"a".repeat(64), &"a".repeat(253)] {
            assert!(!is_label(name) && is_subdomain(name), "{name}");
        }
        for text in
            ["", ".", "a..b", "-a", "a-", "A", "a b", "a/b", "a\n", "é", "a.-b", &"a".repeat(254)]
        {
            assert!(!is_label(text) && !is_subdomain(text), "{text}");
        }
    }
}
