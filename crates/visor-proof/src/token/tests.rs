//! The bits of a token, and what its check finds.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::*;

const LANE: Lane = Lane::live(0x123_4567_89ab);
/// 2026-01-02T03:04:05.678Z.
const TIME: u64 = 1_767_323_045_678;

fn line(text: &str) -> Vec<u8> {
    text.replace('@', std::str::from_utf8(PLACEHOLDER).unwrap()).into_bytes()
}

fn completed(text: &str, number: u32) -> Vec<u8> {
    let mut line = line(text);
    assert!(Writer::new(LANE).complete(&mut line, TIME, number, MAX_PLACES));
    line
}

fn is_intact(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let found = Token::find(line, 0);
    found.is_some_and(|found| found.is_of(line, 0..line.len(), &mut Vec::new()))
}

/// The form is a promise to every version that reads it.
#[test]
fn a_token_is_always_the_same_for_the_same_line() {
    let line = completed("192.0.2.1 - - \"GET /?id=@ HTTP/1.1\" 200 5\n", 77);
    assert_eq!(
        String::from_utf8(line).unwrap(),
        "192.0.2.1 - - \"GET /?id=aVc1pam_V-SNFZ4mrAAABNBD5Mc HTTP/1.1\" 200 5\n"
    );
}

#[test]
fn a_token_says_what_was_put_into_it() {
    let line = completed("  a @ b \r\n", 4_242);
    let found = Token::find(&line, 0).unwrap();
    assert_eq!(found.at, 4);
    let Token { milliseconds, lane, number, length, .. } = found.token;
    assert_eq!((milliseconds, lane, number, length), (TIME, LANE, 4_242, LENGTH + 4));
}

#[test]
fn a_line_without_a_placeholder_stays_as_it_is() {
    let mut plain = b"192.0.2.1 - - \"GET / HTTP/1.1\" 200 5\n".to_vec();
    assert!(!Writer::new(LANE).complete(&mut plain, TIME, 0, MAX_PLACES));
    assert_eq!(plain, b"192.0.2.1 - - \"GET / HTTP/1.1\" 200 5\n");
}

#[test]
fn a_line_may_show_its_token_more_than_once() {
    let line = completed("@ and @@ again\n", 1);
    assert!(is_intact(&line));
    let text = &line[..LENGTH];
    assert_eq!(memchr::memmem::find_iter(&line, text).count(), 3);
}

/// Nobody looks for further ones where a format has no other.
#[test]
fn as_many_places_are_completed_as_a_line_has() {
    let mut line = line("@ and @\n");
    assert!(Writer::new(LANE).complete(&mut line, TIME, 1, 1));
    assert!(line.ends_with(b"~ and ~~~~~~~~~~~~~~~~~~~~~~~~~~~\n".split_at(1).1));
    let mut short = b"~~ ~~~".to_vec();
    assert!(!Writer::new(LANE).complete(&mut short, TIME, 1, MAX_PLACES));
    let mut long = [b"~~~ ", &[BLANK; LENGTH + 5][..], b"~x"].concat();
    assert!(Writer::new(LANE).complete(&mut long, TIME, 1, MAX_PLACES));
    assert!(long.starts_with(b"~~~ aVc1pam_V-"), "{}", String::from_utf8_lossy(&long));
}

#[test]
fn what_only_looks_like_a_token_isnt_one() {
    for text in [
        "",
        "_V-",
        "a_V-b",
        // A real id of mod_unique_id.
        "aVfx5sCoAQIAAAbLk9sAAAAD",
        // A character that base64url doesn't have.
        "AAAAAAA_V-AAAA+AAAAAAAAAAAA",
        // Bits where zeros must be, and 1,023 milliseconds.
        "AAAAAAA_V-AAAAAAAAAAAAAAAAB",
        "AAAAAP__V-AAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(Token::find(text.as_bytes(), 0), None, "{text}");
    }
}

/// A changed byte is found in all but one of 65,536 lines: by chance in all of these.
#[test]
fn a_changed_byte_is_found() {
    let mut random = SmallRng::seed_from_u64(1);
    for number in 0..4_000 {
        let mut text = |longest| -> String {
            let length = random.random_range(0..longest);
            (0..length).map(|_| char::from(random.random_range(b' '..b'@'))).collect()
        };
        let line = completed(&format!("x{}@{}x\n", text(200), text(200)), number);
        assert!(is_intact(&line), "{number}");
        let mut changed = line.trim_ascii().to_vec();
        let at = random.random_range(0..changed.len());
        changed[at] ^= random.random_range(1..=255);
        assert!(!is_intact(&changed), "{number}");
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(bits in 0_u64..1 << 42) {
        let mut characters = [0; 7];
        encode(bits, &mut characters);
        prop_assert_eq!(decoded(&characters), Some(bits));
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
        let mut bytes = bytes;
        if let Some(room) = bytes.get_mut(at..at + 3) {
            room.copy_from_slice(MARKER);
        }
        if let Some(found) = Token::find(&bytes, 0) {
            let _ = found.is_of(&bytes, at.min(bytes.len())..bytes.len(), &mut Vec::new());
        }
    }
}
