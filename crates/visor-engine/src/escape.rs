//! httpd's escaping of client input, so that an entry stays one line of printable text.
//!
//! As `ap_escape_logitem` and `ap_escape_errorlog_item` of httpd's `server/util.c` have it, over
//! the characters that `server/gen_test_char.c` marks `T_ESCAPE_LOGITEM`: whatever is not printable
//! ASCII, the backslash, and the double quote. Texts are escaped once, when a document is read, not
//! for each line.

/// Escapes a field of an access log.
pub fn log_item(raw: &[u8]) -> Vec<u8> {
    escape(raw, b"\\\"")
}

/// Escapes a message of an error log, where double quotes are not escaped.
pub fn error_log_item(raw: &[u8]) -> Vec<u8> {
    escape(raw, b"\\")
}

fn escape(raw: &[u8], with_backslash: &[u8]) -> Vec<u8> {
    const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";
    let mut escaped = Vec::with_capacity(raw.len());
    for &byte in raw {
        match byte {
            b'\x08' => escaped.extend(b"\\b"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            b'\t' => escaped.extend(b"\\t"),
            b'\x0b' => escaped.extend(b"\\v"),
            _ if with_backslash.contains(&byte) => escaped.extend([b'\\', byte]),
            b' '..=b'~' => escaped.push(byte),
            _ => escaped.extend([
                b'\\',
                b'x',
                HEXADECIMAL[usize::from(byte >> 4)],
                HEXADECIMAL[usize::from(byte & 15)],
            ]),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_byte_is_escaped_as_httpd_escapes_it() {
        let raw = b"a %\"\\\x08\n\r\t\x0b\x00\x1b\x7f\xc3\xa9";
        assert_eq!(log_item(raw), br#"a %\"\\\b\n\r\t\v\x00\x1b\x7f\xc3\xa9"#);
        assert_eq!(error_log_item(raw), br#"a %"\\\b\n\r\t\v\x00\x1b\x7f\xc3\xa9"#);
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_printable_and_on_one_line(raw: Vec<u8>) {
            let escaped = log_item(&raw);
            prop_assert!(escaped.iter().all(|byte| (b' '..=b'~').contains(byte)));
        }
    }
}
