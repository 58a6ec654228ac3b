//! Splits a YAML stream into its documents, which are parsed separately, so that a syntax error in
//! one doesn't hide the problems of the others. Pure.

/// One document of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// The number of lines of the stream before it.
    pub(crate) lines_before: usize,
    pub(crate) text: &'a str,
}

/// Splits a stream before every `---` and after every `...` at the start of a line: in YAML these
/// have no other meaning, not even within a quoted scalar. Comments and directives (`%YAML 1.2`)
/// belong to the document that follows.
pub(crate) fn split(text: &str) -> Vec<Part<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = Vec::new();
    let (mut start, mut first_line, mut has_content) = (0, 0, false);
    let (mut offset, mut line_index) = (0, 0);
    let mut cut = |from: usize, to: usize, lines_before: usize| {
        if let Some(text) = text.get(from..to) {
            parts.push(Part { lines_before, text });
        }
    };
    for line in lines(text) {
        let next = offset + line.len();
        if has_content && is_marker(line, "---") {
            cut(start, offset, first_line);
            (start, first_line) = (offset, line_index);
        }
        has_content |= !matches!(line.trim_start().chars().next(), None | Some('#' | '%'));
        if is_marker(line, "...") {
            cut(start, next, first_line);
            (start, first_line, has_content) = (next, line_index + 1, false);
        }
        (offset, line_index) = (next, line_index + 1);
    }
    if has_content {
        cut(start, text.len(), first_line);
    }
    parts
}

/// The lines with their line ends: CR LF, LF, or CR.
fn lines(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let end = match text.find(['\r', '\n']) {
            Some(at) if text[at..].starts_with("\r\n") => at + 2,
            Some(at) => at + 1,
            None => text.len(),
        };
        let (line, rest) = text.split_at(end);
        text = rest;
        (!line.is_empty()).then_some(line)
    })
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(stream: &str) -> Vec<(usize, &str)> {
        split(stream).into_iter().map(|part| (part.lines_before, part.text)).collect()
    }

    #[test]
    fn documents_are_cut_where_yaml_cuts_them() {
        assert_eq!(texts("a: 1\n---\nb: 2\n"), [(0, "a: 1\n"), (1, "---\nb: 2\n")]);
        assert_eq!(texts("a\n...\nb\n"), [(0, "a\n...\n"), (2, "b\n")]);
        assert_eq!(texts("# hello\n---\na"), [(0, "# hello\n---\na")]);
        assert_eq!(texts("%YAML 1.2\n---\na"), [(0, "%YAML 1.2\n---\na")]);
        assert_eq!(texts("\u{feff}a: 1"), [(0, "a: 1")]);
        assert_eq!(texts("a: |\n  ---\n  b\n---x: 1"), [(0, "a: |\n  ---\n  b\n---x: 1")]);
        assert_eq!(texts("---\r\na\r\n---\r\nb"), [(0, "---\r\na\r\n"), (2, "---\r\nb")]);
        assert_eq!(texts("a\r---\rb"), [(0, "a\r"), (1, "---\rb")]);
        assert_eq!(texts("\n# nothing\n"), []);
    }
}
