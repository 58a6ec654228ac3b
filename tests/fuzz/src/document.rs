//! Any text has an answer from the document reader: sources that survive their own text, or
//! problems that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use visor_api::document::{Input, Reader};

static READER: LazyLock<Reader> = LazyLock::new(Reader::new);

fuzz_target!(|text: &str| {
    let input = |text: String| [Input { name: "fuzz.yaml".to_owned(), text }];
    match READER.read(&input(text.to_owned())) {
        Ok(found) => {
            for note in &found.notes {
                assert!(!note.to_string().contains(char::is_control), "{note:?}");
            }
            for source in &found.sources {
                let json = serde_json::to_string(source.document()).expect("a source is JSON");
                match READER.read(&input(json)) {
                    Ok(again) => assert_eq!(std::slice::from_ref(source), again.sources),
                    Err(problems) => panic!("{problems:?}"),
                }
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
            }
        }
    }
});
