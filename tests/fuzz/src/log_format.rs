//! Any text is a `LogFormat` or has an error that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visor_api::log_format::parse;

fuzz_target!(|text: &str| {
    if let Err(error) = parse(text) {
        assert!(!error.to_string().is_empty());
    }
});
