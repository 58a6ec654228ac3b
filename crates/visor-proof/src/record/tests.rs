//! What collectors do to lines.

use super::*;
use crate::{lane::Lane, token};

fn line(text: &str, number: u32) -> Vec<u8> {
    let text = text.replace('@', std::str::from_utf8(token::PLACEHOLDER).unwrap());
    let mut line = text.into_bytes();
    assert!(token::Writer::new(Lane::live(5)).complete(&mut line, 1_767_323_045_678, number, 16));
    line
}

fn combined(number: u32) -> Vec<u8> {
    line(
        "192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] \"GET /a?id=@ HTTP/1.1\" 200 5 \"-\" \"curl\"\n",
        number,
    )
}

fn read(record: &[u8]) -> Content {
    Reader::default().read(record)
}

fn is_intact(record: &[u8]) -> bool {
    matches!(read(record), Content::Intact(_))
}

#[test]
fn text_around_a_line_does_no_harm() {
    let line = combined(7);
    let text = line.trim_ascii_end();
    assert!(is_intact(&line));
    assert!(is_intact(text));
    assert!(is_intact(&[text, b"\r\n"].concat()));
    assert!(is_intact(&[text, b"   "].concat()));
    assert!(is_intact(&[b"<134>Jan  2 03:04:05 web-0 httpd[7]: ", text].concat()));
    assert!(is_intact(&[b"2026-01-02T03:04:05.678Z stdout F ", text].concat()));
    assert!(is_intact(&[text, b" cluster=a"].concat()));
}

#[test]
fn a_line_that_has_lost_its_end_is_truncated() {
    let line = combined(7);
    let text = line.trim_ascii();
    for lost in 1..20 {
        let rest = text[..text.len() - lost].trim_ascii_end();
        let (content, lost) = (read(rest), text.len() - rest.len());
        assert!(
            matches!(content, Content::Truncated { lost: told, .. } if told == lost),
            "{content:?}"
        );
    }
}

/// Limits of collectors, and one byte more or less.
#[test]
fn long_lines_are_told_apart() {
    for length in [4_095, 4_096, 4_097, 8_191, 8_192, 16_384, 16_385, 65_536, 65_537] {
        let text = format!("GET /?id=@ {}", "x".repeat(length - token::LENGTH - 10));
        let whole = line(&text, 3);
        assert_eq!(whole.len(), length);
        assert!(is_intact(&whole), "{length}");
        assert!(is_intact(&[b"head ", &whole[..]].concat()), "{length}");
        for cut in [8_192, 16_384, 65_536] {
            // Where the lengths are alike modulo 4,096, nothing tells a cut from another change.
            if cut < length && cut % LENGTHS != length % LENGTHS {
                let content = read(&whole[..cut]);
                assert!(matches!(content, Content::Truncated { .. }), "{length} cut at {cut}");
            }
        }
        let mut altered = whole.clone();
        altered[length - 1] = b'y';
        assert!(matches!(read(&altered), Content::Altered(_)), "{length}");
    }
}

#[test]
fn changed_bytes_are_altered_and_several_lines_are_merged() {
    let (one, two) = (combined(1), combined(2));
    let changed = String::from_utf8(one.clone()).unwrap().replace("200", "201");
    assert!(matches!(read(changed.as_bytes()), Content::Altered(_)));
    let longer = String::from_utf8(one.clone()).unwrap().replace("\"-\"", "\\\"-\\\"");
    assert!(matches!(read(longer.as_bytes()), Content::Altered(_)));
    let merged = [one.trim_ascii_end(), &two].concat();
    assert!(
        matches!(read(&merged), Content::Merged(tokens) if tokens.len() == 2 && tokens.iter().all(|(_, is_intact)| *is_intact))
    );
    assert_eq!(read(b"192.0.2.1 - - no token\n"), Content::NoToken);
}

/// Every line also has an id of `mod_unique_id`, and a constant text that looks like a token.
#[test]
fn other_ids_do_no_harm() {
    let line = line("GET /a?id=@ aVfx5sCoAQIAAAbLk9sAAAAD x_V-x AAAAAAA_V-AAAAAAAAAAAAAAAAB", 1);
    assert!(is_intact(&line));
    let line = self::line("seen before: aaaaaaa_V-aaaaaaaaaaaaaaaaA GET /a?id=@", 1);
    assert!(matches!(read(&line), Content::Intact(token) if token.number == 1));
}
