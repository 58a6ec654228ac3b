//! Whatever is parsed, the result is sources that survive serialization, or
//! problems.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// A valid document with much in it.
const FULL: &str = include_str!("full.yaml");

#[test]
fn the_full_document_is_valid() {
    let problems = read(&[input("full.yaml", FULL)]).err().unwrap_or_default();
    assert_eq!(problems, []);
}

static READER: LazyLock<Reader> = LazyLock::new(Reader::new);

fn answers(text: String) {
    let read = |inputs: &[Input]| READER.read(inputs);
    let length = text.matches(['\r', '\n']).count() + 1;
    let twice = [input("a.yaml", text.clone()), input("b.yaml", text)];
    match read(&twice[..1]) {
        Ok(Read { sources, .. }) => {
            let texts: Vec<_> = sources
                .iter()
                .map(|source| serde_json::to_string(source.document()).unwrap())
                .collect();
            let again = read(&[input("a.json", texts.join("\n---\n"))]).unwrap().sources;
            assert_eq!(sources, again);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                assert!(problem.line <= length, "{problem}");
                assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
            }
            assert!(problems.is_sorted_by_key(|problem| problem.line));
        }
    }
    assert!(read(&twice).is_err(), "the same source twice");
}

proptest! {
    #[test]
    fn any_text_has_an_answer(text in "(?s).{0,200}") {
        answers(text);
    }

    #[test]
    fn yaml_like_text_has_an_answer(
        text in "([a-z]{1,3}|spec|kind|: |- |\n|\n  |---\n|\\{|\\}|\\[|\\]|,|&a |\\*a|<<: |'|\"|\\||1|null|~|#|!!str |\\?){0,40}"
    ) {
        answers(text);
    }

    #[test]
    fn a_document_with_a_piece_replaced_has_an_answer(
        start in 0..FULL.len(),
        length in 0usize..60,
        replacement in prop_oneof![
            Just(String::new()),
            "(?s).{0,10}",
            "(null|\\{\\}|\\[\\]|-1|0s|true|1e999|9{30}|\\.inf|\n|: |- ){1,3}",
        ],
    ) {
        let floor = |at: usize| (0..=at.min(FULL.len())).rev().find(|at| FULL.is_char_boundary(*at));
        let (start, end) = (floor(start).unwrap(), floor(start + length).unwrap());
        answers(format!("{}{replacement}{}", &FULL[..start], &FULL[end..]));
    }

    #[test]
    fn a_document_with_a_line_left_out_or_doubled_has_an_answer(
        which in 0..FULL.lines().count(),
        doubled in any::<bool>(),
    ) {
        let text: String = FULL
            .lines()
            .enumerate()
            .flat_map(|(index, line)| {
                let times = if index != which { 1 } else if doubled { 2 } else { 0 };
                std::iter::repeat_n(format!("{line}\n"), times)
            })
            .collect();
        answers(text);
    }
}
