//! The forms of names. Each function returns what a text must be, if it isn't.

/// The maximum length of a DNS label, and of the name of a label.
const MAX_LABEL: usize = 63;
const MAX_SUBDOMAIN: usize = 253;

/// A DNS label (RFC 1123): the name of a container or of a namespace.
pub(super) fn dns_label(text: &str) -> Option<&'static str> {
    (!is_dns_label(text)).then_some(
        "a DNS label: at most 63 lower-case letters, digits and `-`, with no `-` at its ends",
    )
}

/// A DNS subdomain: the name of most objects.
pub(super) fn dns_subdomain(text: &str) -> Option<&'static str> {
    let is_name = text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_subdomain_part);
    (!is_name).then_some(
        "the name of an object: at most 253 lower-case letters, digits, `-` and `.`, with a letter \
         or a digit at its ends",
    )
}

/// The key of a label or an annotation, with an optional prefix, or the name of a resource.
pub(super) fn qualified_name(text: &str) -> Option<&'static str> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let is_key = prefix.is_none_or(|prefix| !prefix.is_empty() && dns_subdomain(prefix).is_none())
        && !name.is_empty()
        && is_label_text(name);
    (!is_key).then_some(
        "at most 63 letters, digits, `-`, `_` and `.`, with a letter or a digit at its ends, and \
         optionally a DNS name and `/` before it",
    )
}

/// The value of a label; it may be empty.
pub(super) fn label_value(text: &str) -> Option<&'static str> {
    (!is_label_text(text)).then_some(
        "at most 63 letters, digits, `-`, `_` and `.`, with a letter or a digit at its ends",
    )
}

/// The name of a port.
pub(super) fn port_name(text: &str) -> Option<&'static str> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = text.len() <= 15
        && text.bytes().all(known)
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--");
    (!is_name).then_some(
        "at most 15 lower-case letters, digits and single `-`, with a letter, and with no `-` at \
         its ends",
    )
}

/// The name of an environment variable: what Kubernetes accepts from 1.30 on, and older ones mostly.
pub(super) fn variable(text: &str) -> Option<&'static str> {
    let known = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'=';
    (!text.bytes().all(known)).then_some("printable ASCII characters other than `=`")
}

/// The key of a ConfigMap or a Secret.
pub(super) fn data_key(text: &str) -> Option<&'static str> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_key = text.len() <= MAX_SUBDOMAIN
        && text.bytes().all(known)
        && text != "."
        && !text.starts_with("..");
    (!is_key).then_some("the key of a ConfigMap or a Secret: letters, digits, `-`, `_` and `.`")
}

/// A path below a directory.
pub(super) fn relative_path(text: &str) -> Option<&'static str> {
    let leaves = text.split('/').any(|part| part == "..");
    (text.starts_with('/') || leaves).then_some("a relative path without `..`")
}

/// An IP address.
pub(super) fn address(text: &str) -> Option<&'static str> {
    text.parse::<std::net::IpAddr>().is_err().then_some("an IP address")
}

fn is_dns_label(text: &str) -> bool {
    text.len() <= MAX_LABEL && is_subdomain_part(text)
}

fn is_subdomain_part(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(known) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_label_text(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let at_end = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.len() <= MAX_LABEL
        && text.bytes().all(known)
        && at_end(text.bytes().next())
        && at_end(text.bytes().last())
}
