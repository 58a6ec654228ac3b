//! The path of a request target, as processed by httpd: `%U`, and the end of `%f`.
//!
//! As `ap_normalize_path` and `ap_unescape_url` of httpd's `server/util.c` have it, with the
//! defaults of its configuration: slashes are merged, dot segments resolved, and then
//! percent-encoding is decoded.

use percent_encoding::percent_decode;

/// The path of a target (without its query), as processed by httpd. One that httpd would reject is
/// returned unchanged.
pub fn path(target: &[u8]) -> Vec<u8> {
    let path = without_authority(target);
    if !path.starts_with(b"/") {
        return path.to_vec();
    }
    decode(&normalize(path)).unwrap_or_else(|| path.to_vec())
}

/// The path of an absolute URI, as in requests to a proxy; other targets are returned unchanged.
fn without_authority(target: &[u8]) -> &[u8] {
    let Some(scheme) = target.windows(3).position(|part| part == b"://") else { return target };
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    if scheme == 0 || !target[..scheme].iter().all(is_scheme) {
        return target;
    }
    let authority = &target[scheme + 3..];
    authority.iter().position(|byte| *byte == b'/').map_or(b"/", |slash| &authority[slash..])
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
            ("*", "*"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
            ("/%41%2b", "/A+"),
        ] {
            assert_eq!(path(target.as_bytes()), wanted.as_bytes(), "{target}");
        }
    }

    proptest! {
        #[test]
        fn every_target_has_a_path(target: Vec<u8>) {
            path(&target);
        }
    }
}
