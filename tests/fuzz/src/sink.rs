//! Whatever a client sends, there is an answer or a reason, and a verdict on what arrived.
#![no_main]

use http::Request;
use libfuzzer_sys::fuzz_target;
use visor_proof::{Delivery, Lane, Verdict, decode::Decoder, token};
use visor_protocols::{
    encoding,
    framing::{Forward, Framing, Lines, Syslog},
    protocol,
    records::{Item, Records},
};

/// Requests, each with a content type.
const REQUESTS: [(&str, &str); 9] = [
    ("/logs", "application/json"),
    ("/logs", "application/x-www-form-urlencoded"),
    ("/_bulk", "application/x-ndjson"),
    ("/logs/_doc", "application/json"),
    ("/loki/api/v1/push", "application/json"),
    ("/loki/api/v1/push", "application/x-protobuf"),
    ("/v1/logs", "application/json"),
    ("/v1/logs", "application/x-protobuf"),
    ("/services/collector/event", "application/json"),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    // A placeholder becomes a token, so that there may be intact lines.
    let mut bytes = bytes.to_vec();
    token::Writer::new(Lane::live(7)).complete(&mut bytes, 1_767_323_045_678, 0, usize::MAX);
    let mut delivery = Delivery::default();
    let mut decoder = Decoder::default();
    let mut number = 0;
    let mut judge = || {
        number += 1;
        if number % 3 == 0 { Item::Rejected(http::StatusCode::TOO_MANY_REQUESTS) } else { Item::Taken }
    };
    let input = delivery.input("fuzz");
    let mut records = Records::new(input, &mut decoder, 1, true, &mut judge);
    match usize::from(*choice) {
        index @ 0..9 => {
            let (path, content_type) = REQUESTS[index];
            let request = Request::post(path).header("content-type", content_type).body(());
            let (head, ()) = request.unwrap().into_parts();
            let _ = protocol::of(&head).read(&head, &bytes, &mut records);
        }
        9 => connection(&mut Forward::default(), &bytes, &mut records),
        10 => connection(&mut Syslog, &bytes, &mut records),
        11 => connection(&mut Lines, &bytes, &mut records),
        12 => drop(encoding::decode("gzip", &bytes)),
        13 => drop(encoding::decode("deflate", &bytes)),
        14 => drop(encoding::decode("zstd", &bytes)),
        16 => {
            let mut asking = Forward::new(vec!["key".to_owned()], [7; 16]);
            assert!(!asking.greeting().is_empty());
            connection(&mut asking, &bytes, &mut records);
        }
        _ => drop(encoding::snappy(&bytes)),
    }
    let (_, input) = records.finish();
    input.finish();
    let total = Verdict::of(&mut delivery, &[], None).total;
    assert_eq!(total.emitted, total.delivered + total.missing + total.unobserved);
});

/// Gives a connection its bytes in pieces, as a socket does.
fn connection(framing: &mut dyn Framing, bytes: &[u8], records: &mut Records<'_>) {
    let mut buffer = Vec::new();
    for piece in bytes.chunks(7) {
        buffer.extend_from_slice(piece);
        let Ok(length) = framing.frames(&buffer) else { return };
        assert!(length <= buffer.len());
        if framing.read(&buffer[..length], records).is_err() {
            return;
        }
        buffer.drain(..length);
    }
}
