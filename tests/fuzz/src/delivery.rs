//! Whatever a file has, there is a verdict on it, and no record counts twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visor_proof::{Delivery, Lane, Verdict, decode::Decoder, token};

fuzz_target!(|bytes: &[u8]| {
    // A placeholder becomes the token of its line, so that there are intact lines.
    let mut writer = token::Writer::new(Lane::live(7));
    let mut delivery = Delivery::default();
    let mut input = delivery.input("fuzz");
    let mut decoder = Decoder::default();
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let mut line = line.to_vec();
        let number = u32::try_from(number).unwrap_or_default();
        writer.complete(&mut line, 1_767_323_045_678, number, usize::MAX);
        decoder.line(&line, &mut input);
    }
    decoder.finish(&mut input);
    input.finish();
    let total = Verdict::of(&mut delivery, &[], None).total;
    assert!(total.delivered <= total.emitted);
    assert_eq!(total.emitted, total.delivered + total.missing + total.unobserved);
});
