//! Helpers for messages: quoting user input, and suggesting a name. Pure.

/// The maximum length of quoted user input, in characters.
const MAX_SHOWN_CHARACTERS: usize = 60;
/// The maximum length of a library's message, in characters.
const MAX_MESSAGE_CHARACTERS: usize = 300;

/// User input as messages quote it: on one line, and shortened.
pub fn shown(text: &str) -> String {
    shortened(text, MAX_SHOWN_CHARACTERS)
}

/// A library's message, on one line.
pub fn one_line(text: &str) -> String {
    shortened(text, MAX_MESSAGE_CHARACTERS)
}

/// A text with its control characters escaped, which makes it one line that no terminal obeys.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => printable(&text[..end]) + "...",
        None => printable(text),
    }
}

/// The candidate that was probably meant: equal but for case and separators, or with a small edit
/// distance.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    fn plain(text: &str) -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    }
    if text.len() > MAX_SHOWN_CHARACTERS {
        return None;
    }
    let text = plain(text);
    let bearable = (text.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&text, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= bearable && *distance < text.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let known = ["interval", "logFormat", "name", "timeZone", "max"];
        for (text, meant) in [
            ("intervall", Some("interval")),
            ("log_format", Some("logFormat")),
            ("TimeZone", Some("timeZone")),
            ("nmae", Some("name")),
            ("colour", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, known), meant, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(shown("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m");
        assert_eq!(shown(&"é".repeat(1000)).chars().count(), MAX_SHOWN_CHARACTERS + 3);
    }
}
