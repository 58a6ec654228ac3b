//! Ids of requests and connections: as written by `mod_unique_id`, by proxies, and in error logs.

use crate::{text::Line, time::Time};

/// base64url; before 2.4.47 `mod_unique_id` had `@-` for `-_`.
const URL_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `%{UNIQUE_ID}e`: as `gen_unique_id` of httpd's `modules/metadata/mod_unique_id.c` encodes a time
/// of four bytes, ten bytes of the process, a counter of two, and a thread's number of four.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "httpd cuts, too")]
pub(crate) fn write_unique_id(time: Time, id: u128, line: &mut Line<'_>) {
    let mut record = [0; 20];
    let seconds = time.second() as u32;
    record[..4].copy_from_slice(&seconds.to_be_bytes());
    record[4..16].copy_from_slice(&id.to_be_bytes()[..12]);
    record[19] = id as u8 % 64;
    write_base64(&record, URL_ALPHABET, line);
}

/// `%L`: as `core_generate_log_id` of httpd's `server/log.c` mixes a time in microseconds, the process,
/// and the address of the thread.
#[expect(clippy::cast_sign_loss, reason = "only the bits matter")]
pub(crate) fn write_log_id(time: Time, process: u32, thread: u64, line: &mut Line<'_>) {
    let process = u64::from(process);
    let id = (time.as_nanos() / 1_000) as u64 ^ process << 40 ^ (process >> 24) << 56;
    write_base64(&(id ^ thread << 32).to_le_bytes(), ALPHABET, line);
}

/// A UUID of version 4, as proxies set it in `X-Request-Id`.
pub(crate) fn write_uuid(id: u128, line: &mut Line<'_>) {
    let id = id & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    line.hexadecimal(id >> 96, 8);
    for place in [80, 64, 48] {
        line.push(b'-');
        line.hexadecimal(id >> place, 4);
    }
    line.push(b'-');
    line.hexadecimal(id, 12);
}

/// Base64 without padding.
fn write_base64(bytes: &[u8], alphabet: &[u8; 64], line: &mut Line<'_>) {
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for sextet in 0..=three.len() {
            line.push(alphabet[(bits >> (18 - 6 * sextet)) as usize & 63]);
        }
    }
}
