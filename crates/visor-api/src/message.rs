//! What every message to a person needs: how a text of theirs is repeated, and which name they meant.
//! Pure.

/// Longest text of a document that is repeated in a message, in characters.
const LONGEST_SHOWN: usize = 60;
/// Longest message of a library, in characters.
const LONGEST_MESSAGE: usize = 300;

/// A text of the document as messages repeat it: on one line, and not too long.
pub(crate) fn shown(text: &str) -> String {
    shortened(text, LONGEST_SHOWN)
}

/// A message of a library, on one line.
pub(crate) fn one_line(text: &str) -> String {
    shortened(text, LONGEST_MESSAGE)
}

fn shortened(text: &str, longest: usize) -> String {
    let mut short = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == longest {
            short.push_str("...");
            break;
        }
        if character.is_control() {
            short.extend(character.escape_default());
        } else {
            short.push(character);
        }
    }
    short
}

/// The candidate that was probably meant: the same but for case and separators, or at few letters'
/// distance.
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    fn plain(text: &str) -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    }
    if text.len() > LONGEST_SHOWN {
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
        assert_eq!(shown(&"é".repeat(1000)).chars().count(), LONGEST_SHOWN + 3);
    }
}
