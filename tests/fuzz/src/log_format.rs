//! Any text is a format or has an error that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visor_api::{error_log_format, log_format, nginx_log_format};

fuzz_target!(|text: &str| {
    if let Err(error) = log_format::parse(text) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = nginx_log_format::parse(text) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = error_log_format::parse(text) {
        assert!(!error.to_string().is_empty());
    }
});
