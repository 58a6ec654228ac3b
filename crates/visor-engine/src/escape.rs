//! Escaping of client input by servers, so that an entry stays one line of printable text.
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

/// Escapes a value in a log of nginx, as `ngx_http_log_escape`.
pub fn nginx_item(raw: &[u8]) -> Vec<u8> {
    const HEXADECIMAL: &[u8; 16] = b"0123456789ABCDEF";
    let escaped = |byte: &u8| match *byte {
        b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
            let digit = |digit: u8| HEXADECIMAL[usize::from(digit)];
            vec![b'\\', b'x', digit(byte >> 4), digit(byte & 15)]
        }
        plain => vec![plain],
    };
    raw.iter().flat_map(escaped).collect()
}

/// Escapes a value in a JSON string of a log of nginx, as `ngx_escape_json`.
pub fn nginx_json(raw: &[u8]) -> Vec<u8> {
    let escaped = |byte: &u8| match *byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        b'\n' => b"\\n".to_vec(),
        b'\r' => b"\\r".to_vec(),
        b'\t' => b"\\t".to_vec(),
        b'\x08' => b"\\b".to_vec(),
        b'\x0c' => b"\\f".to_vec(),
        0..=0x1f => format!("\\u{byte:04X}").into_bytes(),
        plain => vec![plain],
    };
    raw.iter().flat_map(escaped).collect()
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

    #[test]
    fn every_kind_of_byte_is_escaped_as_nginx_escapes_it() {
        let raw = b"a '\"\\\x08\n\r\t\x0c\x00\x1b\x7f\xc3\xa9";
        let default = br"a '\x22\x5C\x08\x0A\x0D\x09\x0C\x00\x1B\x7F\xC3\xA9";
        assert_eq!(nginx_item(raw), default);
        let json = [br#"a '\"\\\b\n\r\t\f\u0000\u001B"#.as_slice(), b"\x7f\xc3\xa9"].concat();
        assert_eq!(nginx_json(raw), json);
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_printable_and_on_one_line(raw: Vec<u8>) {
            let escaped = log_item(&raw);
            prop_assert!(escaped.iter().all(|byte| (b' '..=b'~').contains(byte)));
        }
    }
}
