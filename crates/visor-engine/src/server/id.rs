//! Ids of requests and connections: as written by proxies, and in error logs. Those of `mod_unique_id`
//! are tokens ([`visor_proof::token`]).

use crate::{text::Line, time::Time};

/// Base64.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `%L`: as `core_generate_log_id` of httpd's `server/log.c` mixes a time in microseconds, the process,
/// and the address of the thread.
#[expect(clippy::cast_sign_loss, reason = "only the bits matter")]
pub(crate) fn write_log_id(time: Time, process: u32, thread: u64, line: &mut Line<'_>) {
    let process = u64::from(process);
    let id = (time.as_nanos() / 1_000) as u64 ^ process << 40 ^ (process >> 24) << 56;
    write_base64(&(id ^ thread << 32).to_le_bytes(), line);
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
fn write_base64(bytes: &[u8], line: &mut Line<'_>) {
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for sextet in 0..=three.len() {
            line.push(ALPHABET[(bits >> (18 - 6 * sextet)) as usize & 63]);
        }
    }
}
