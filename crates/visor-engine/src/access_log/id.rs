//! Unique ids of requests: as written by `mod_unique_id`, and by proxies.

use super::request::Request;
use crate::text::Line;

/// `%{UNIQUE_ID}e`: as `gen_unique_id` of httpd's `modules/metadata/mod_unique_id.c` encodes a time
/// of four bytes, ten bytes of the process, a counter of two, and a thread's number of four, in
/// base64url (before 2.4.47 with `@-` for `-_`).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "httpd cuts, too")]
pub(super) fn write_unique_id(request: &Request<'_>, line: &mut Line<'_>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut record = [0; 20];
    let seconds = request.time.second() as u32;
    record[..4].copy_from_slice(&seconds.to_be_bytes());
    record[4..16].copy_from_slice(&request.id.to_be_bytes()[..12]);
    record[19] = request.id as u8 % 64;
    for three in record.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for sextet in 0..=three.len() {
            line.push(ALPHABET[(bits >> (18 - 6 * sextet)) as usize & 63]);
        }
    }
}

/// A UUID of version 4, as proxies set it in `X-Request-Id`.
pub(super) fn write_uuid(id: u128, line: &mut Line<'_>) {
    let id = id & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    line.hexadecimal(id >> 96, 8);
    for place in [80, 64, 48] {
        line.push(b'-');
        line.hexadecimal(id >> place, 4);
    }
    line.push(b'-');
    line.hexadecimal(id, 12);
}
