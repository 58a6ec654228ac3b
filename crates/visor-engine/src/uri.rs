//! The path of a request target, as processed by httpd: `%U`, and the end of `%f`.
//!
//! As `ap_normalize_path` and `ap_unescape_url` of httpd's `server/util.c` have it, with the
//! defaults of its configuration: slashes are merged, dot segments resolved, and then
//! percent-encoding is decoded.

use percent_encoding::percent_decode;

/// The path of a target (without its query), as processed by httpd. One that httpd would reject is
/// returned unchanged.
pub fn path(target: &[u8]) -> Vec<u8> {
    if target.is_empty() || is_authority(target) {
        return b"/".to_vec();
    }
    let path = without_authority(target);
    if !path.starts_with(b"/") {
        return path.to_vec();
    }
    decode(&normalize(path)).unwrap_or_else(|| path.to_vec())
}

/// The host and port that a target names, if it does, in either form: an absolute URI, or the
/// authority alone, as in a request to connect to it.
pub fn authority(target: &[u8]) -> Option<&[u8]> {
    if is_authority(target) {
        return Some(target);
    }
    let rest = &target[after_scheme(target)?..];
    Some(&rest[..rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len())])
}

/// Whether a target is a host and a port.
fn is_authority(target: &[u8]) -> bool {
    let colon = target.iter().rposition(|byte| *byte == b':');
    let Some((host, port)) = colon.map(|colon| target.split_at(colon)) else { return false };
    let is_port = port.len() > 1 && port[1..].iter().all(u8::is_ascii_digit);
    is_port && !host.is_empty() && !host.contains(&b'/')
}

/// The path of an absolute URI, as in requests to a proxy; other targets are returned unchanged.
fn without_authority(target: &[u8]) -> &[u8] {
    let Some(begin) = after_scheme(target) else { return target };
    let authority = &target[begin..];
    authority.iter().position(|byte| *byte == b'/').map_or(b"/", |slash| &authority[slash..])
}

/// Where the authority of an absolute URI begins.
fn after_scheme(target: &[u8]) -> Option<usize> {
    let scheme = target.windows(3).position(|part| part == b"://")?;
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    (scheme > 0 && target[..scheme].iter().all(is_scheme)).then_some(scheme + 3)
}

/// Merges slashes and resolves dot segments, including encoded ones.
fn normalize(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let is_directory = |segment: &[u8]| {
        let plain = decode(segment).unwrap_or_default();
        segment.is_empty() || plain == b"." || plain == b".."
    };
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    for segment in &parts {
        match decode(segment).as_deref() {
            Some(b"..") => {
                segments.pop();
            }
            Some(b"." | b"") => {}
            _ => segments.push(segment),
        }
    }
    let mut normal = Vec::with_capacity(path.len());
    for segment in &segments {
        normal.push(b'/');
        normal.extend_from_slice(segment);
    }
    if parts.last().is_none_or(|last| is_directory(last)) {
        normal.push(b'/');
    }
    normal
}

/// Decodes percent-encoding; `None` if it is malformed.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut after_percents = text.split(|byte| *byte == b'%').skip(1);
    let is_code =
        |rest: &[u8]| rest.get(..2).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    after_percents.all(is_code).then(|| percent_decode(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_decoded_and_normalized() {
        for (target, wanted) in [
            ("/", "/"),
            ("/images/kyoto%20garden.jpg", "/images/kyoto garden.jpg"),
            ("/caf%C3%A9", "/café"),
            ("/a//b///c", "/a/b/c"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/c", "/c"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/../a", "/a"),
            ("http://shop.example/a%20b", "/a b"),
            ("https://shop.example", "/"),
            ("http://shop.example:8080", "/"),
            ("*", "*"),
            ("", "/"),
            ("shop.example:443", "/"),
            ("[2001:db8::7]:443", "/"),
            ("/a:80", "/a:80"),
            ("a:b", "a:b"),
            (":80", ":80"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
            ("/%41%2b", "/A+"),
        ] {
            assert_eq!(path(target.as_bytes()), wanted.as_bytes(), "{target}");
        }
    }

    #[test]
    fn a_target_may_name_a_host() {
        for (target, wanted) in [
            ("http://shop.example/a", Some("shop.example")),
            ("http://shop.example:80?a", Some("shop.example:80")),
            ("shop.example:443", Some("shop.example:443")),
            ("/http://shop.example", None),
            ("/a:80", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(authority(target.as_bytes()), wanted.map(str::as_bytes), "{target}");
        }
    }

    proptest! {
        #[test]
        fn every_target_has_a_path(target: Vec<u8>) {
            path(&target);
            authority(&target);
        }
    }
}
