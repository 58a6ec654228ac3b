//! What people see: documents with mistakes, and the very messages they get.

mod properties;

use super::*;
use crate::resolved::Log;

const HEADER: &str =
    "apiVersion: visor.dev/v1alpha1\nkind: FakeLogSource\nmetadata: {name: shop}\n";

fn input(name: &str, text: impl Into<String>) -> Input {
    Input { name: name.to_owned(), text: text.into() }
}

/// The messages that a text gets, one a line, without the file's name.
fn messages(text: &str) -> String {
    let problems = read(&[input("shop.yaml", text)]).err().unwrap_or_default();
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| problem.to_string().trim_start_matches("shop.yaml:").trim().to_owned())
        .collect();
    lines.join("\n")
}

fn indented(text: &str, by: &str) -> String {
    text.lines().flat_map(|line| [by, line, "\n"]).collect()
}

/// The messages that a spec gets; its first line is line 5.
fn spec_messages(spec: &str) -> String {
    messages(&format!("{HEADER}spec:\n{}", indented(spec, "  ")))
}

/// The notes about a spec, one a line; its first line is line 5.
fn spec_notes(spec: &str) -> String {
    let text = format!("{HEADER}spec:\n{}", indented(spec, "  "));
    let notes = read(&[input("shop.yaml", text)]).unwrap().notes;
    let lines: Vec<_> = notes
        .iter()
        .map(|note| note.to_string().trim_start_matches("shop.yaml:").trim().to_owned())
        .collect();
    lines.join("\n")
}

/// The messages that a stream of an access log gets; its first line is line 10.
fn stream_messages(stream: &str) -> String {
    let stream = indented(stream, "    ");
    spec_messages(&format!("generators:\n- name: web\n  access: {{}}\n  streams:\n  -\n{stream}"))
}

#[test]
fn the_smallest_document_is_a_source() {
    let text = format!("{HEADER}spec:\n  generators: [{{name: web, access: {{}}}}]\n");
    let sources = read(&[input("shop.yaml", text)]).unwrap().sources;
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0].name, "shop");
    assert!(matches!(sources[0].generators[0].log, Log::Access(_)));
}

#[test]
fn all_problems_of_a_document_are_reported() {
    let problems = read(&[input("many.yaml", include_str!("tests/many.yaml"))]).unwrap_err();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(lines.join("\n") + "\n", include_str!("tests/many.txt"));
    assert!(problems.iter().all(|problem| problem.object.as_deref() == Some("Shop_1")));
}

#[test]
fn every_mistake_has_its_message() {
    let specs = include_str!("tests/specs.txt").split("\n====\n").map(pair);
    let pods = include_str!("tests/kubernetes.txt").split("\n====\n").map(pair);
    let streams = include_str!("tests/streams.txt").split("\n====\n").map(pair);
    let specs = specs.chain(pods).map(|(spec, expected)| (spec, expected, spec_messages(spec)));
    let streams = streams.map(|(stream, expected)| (stream, expected, stream_messages(stream)));
    let wrong: Vec<_> = specs
        .chain(streams)
        .filter(|(_, expected, got)| got != expected)
        .map(|(document, expected, got)| {
            format!("{document}\n---- wanted\n{expected}\n---- got\n{got}\n")
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("====\n"));
}

/// Fields that another one leaves without effect.
#[test]
fn every_field_without_effect_is_noted() {
    let wrong: Vec<_> = include_str!("tests/notes.txt")
        .split("\n====\n")
        .map(pair)
        .map(|(spec, expected)| (spec, expected, spec_notes(spec)))
        .filter(|(_, expected, got)| got != expected)
        .map(|(spec, expected, got)| format!("{spec}\n----\n{got}\n\n# expected:\n{expected}\n"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("====\n"));
}

/// A document and what is expected of it, which a line of dashes divides.
fn pair(entry: &str) -> (&str, &str) {
    let (document, expected) = entry.split_once("\n----\n").unwrap();
    (document, expected.trim())
}

#[test]
fn a_document_that_is_not_a_source_has_a_clear_error() {
    for (text, expected) in [
        ("", "no document found; write a FakeLogSource"),
        ("# nothing\n---\n---\n", "no document found; write a FakeLogSource"),
        ("a: [", "1: not YAML: unclosed bracket '['"),
        ("\n\na: b: c", "3: not YAML: mapping values are not allowed in this context"),
        ("[1, 2]", "1: must be an object; found a list"),
        ("hello", "1: must be an object; found the string \"hello\""),
        ("kind: Pod\napiVersion: v1", "1: kind: must be FakeLogSource; found `Pod`"),
        (
            "apiVersion: visor.dev/v1\nkind: FakeLogSource\nmetadata: {}\nspec: {generators: []}",
            "1: apiVersion: must be visor.dev/v1alpha1; found `visor.dev/v1`\n\
             3: metadata.name: is required; set it\n\
             4: spec.generators: must not be empty; add at least one item",
        ),
        (
            "{}",
            "1: apiVersion: is required; set it\n\
             1: kind: is required; set it\n\
             1: metadata: is required; set it\n\
             1: spec: is required; set it",
        ),
    ] {
        assert_eq!(messages(text), expected, "{text}");
    }
}

#[test]
fn a_mistake_in_one_document_does_not_hide_those_in_the_others() {
    let good = format!("{HEADER}spec: {{generators: [{{name: web, access: {{}}}}]}}\n");
    let first = input("a.yaml", format!("a: [\n---\n{good}---\nkind: Pod\n"));
    let second = input("b.yaml", good.replace("access", "acces"));
    let problems = read(&[first, second]).unwrap_err();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "a.yaml:1: not YAML: unclosed bracket '['",
            "a.yaml:8: kind: must be FakeLogSource; found `Pod`",
            "b.yaml:4: spec.generators[0].acces: unknown field `acces`; did you mean `access`?",
        ]
    );
}

#[test]
fn conflicts_between_sources_are_reported() {
    let source = |name: &str, path: &str| {
        format!(
            "---\n{}spec:\n  generators:\n  - name: web\n    access: {{}}\n    \
             output: {{file: {{path: {path}, rotation: {{maxAge: 1h}}}}}}\n",
            HEADER.replace("shop", name)
        )
    };
    let text = [
        source("one", "access.log"),
        source("two", "access.log"),
        source("three", "access.log.2.gz"),
        source("four", "access.log/x"),
        source("one", "other.log"),
    ];
    assert_eq!(
        messages(&text.concat()),
        "18: spec.generators[0].output.file.path: generator `web` of `one` writes to the same \
         file; choose another\n\
         27: spec.generators[0].output.file.path: this is the name of a rotated file of \
         `access.log` of generator `web` of `one`; choose another\n\
         36: spec.generators[0].output.file.path: `access.log` would be a directory, but it is \
         the file of generator `web` of `one`; choose another\n\
         40: metadata.name: another source in these documents has the name `one`; choose \
         another name"
    );
}

#[test]
fn json_lists_anchors_and_merges_are_read() {
    let json = r#"{"apiVersion": "visor.dev/v1alpha1", "kind": "FakeLogSource",
        "metadata": {"name": "a", "labels": {"x": "y"}, "uid": "1"}, "status": {"any": 1},
        "spec": {"generators": [{"name": "web", "access": {}, "error": null}]}}"#;
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: visor.dev/v1alpha1\n  \
                kind: FakeLogSource\n  metadata: {name: b}\n  spec:\n    generators:\n    \
                - &web {name: web, access: {}}\n    - {<<: *web, name: other}\n";
    let sources = read(&[input("a.json", json), input("b.yaml", list)]).unwrap().sources;
    let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(sources[1].generators[1].name, "other");
    assert!(matches!(sources[1].generators[1].log, Log::Access(_)));
}

#[test]
fn problems_of_list_items_have_line_numbers() {
    let list = "kind: List\nitems:\n- kind: FakeLogSource\n  metadata: {name: x}\n- 5\n";
    assert_eq!(
        messages(list),
        "3: apiVersion: is required; set it\n\
         3: spec: is required; set it\n\
         5: must be an object; found the number 5"
    );
}

#[test]
fn documents_that_are_too_large_are_rejected_early() {
    let large = input("large.yaml", "a".repeat(MAX_BYTES));
    let problems = read(&[input("small.yaml", "a"), large]).unwrap_err();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = "large.yaml: the documents are larger than 4 MiB in total; read fewer at once";
    assert_eq!(lines, [expected]);

    let many = "---\na: 1\n".repeat(MAX_DOCUMENTS + 1);
    let problems = read(&[input("many.yaml", many)]).unwrap_err();
    assert_eq!(problems.len(), MAX_PROBLEMS);

    let deep = messages(&format!("a: {}", "[".repeat(10_000)));
    assert!(deep.starts_with("1: not YAML: "), "{deep}");

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let inner = format!("*a{}, ", level - 1).repeat(10);
        bomb.extend([format!("a{level}: &a{level} [{inner}]\n")]);
    }
    let message = messages(&bomb);
    assert!(message.contains("not YAML: "), "{message}");
}

/// As many generators as a source may have, with many streams each.
#[test]
fn a_large_document_is_read() {
    let stream = |number: usize| {
        format!(
            "   - {{name: s{number}, kind: Access, interval: {{rate: {{linesPerSecond: 1}}}}}}\n"
        )
    };
    let streams: String = (0..28).map(stream).collect();
    let generator =
        |number: usize| format!(" - name: g{number}\n   access: {{}}\n   streams:\n{streams}");
    let generators: String = (0..1024).map(generator).collect();
    let text = format!("{HEADER}spec:\n generators:\n{generators}");
    let sources = read(&[input("large.yaml", text)]).unwrap().sources;
    assert_eq!(sources[0].generators.len(), 1024);
}

/// What kustomize builds has objects of every kind.
#[test]
fn objects_of_other_kinds_are_passed_over_and_noted() {
    let source = r#"{"apiVersion": "visor.dev/v1alpha1", "kind": "FakeLogSource",
        "metadata": {"name": "shop"}, "spec": {"generators": [{"name": "web", "access": {},
        "output": {"file": {"path": "~/access.%Y.log"}}}]}}"#;
    let text = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n---\n{source}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\n"
    );
    let found = read(&[input("all.yaml", &text)]).unwrap();
    assert_eq!(found.sources.len(), 1);
    let notes: Vec<String> = found.notes.iter().map(ToString::to_string).collect();
    let wanted = ["skipped: Namespace `shop`", "`%Y` is literal", "`~` is literal", "Deployment"];
    assert_eq!(notes.len(), wanted.len(), "{notes:?}");
    for (note, wanted) in notes.iter().zip(wanted) {
        assert!(note.contains(wanted), "{note}");
    }
    assert_eq!(found.notes[0].line, 1);
}

#[test]
fn nothing_but_objects_of_other_kinds_is_a_problem_and_so_is_a_kind_nearly_ours() {
    for (text, wanted) in [
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
            "must be FakeLogSource; found `ConfigMap`",
        ),
        ("apiVersion: visor.dev/v1alpha1\nkind: FakeLogSourc\n", "must be FakeLogSource"),
        ("apiVersion: v1\nkind: FakeLogSource\n", "apiVersion"),
    ] {
        let problems = read(&[input("all.yaml", text)]).unwrap_err();
        let messages_text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(messages_text.contains(wanted), "{messages_text}");
    }
}
