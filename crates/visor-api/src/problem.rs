//! A problem: a path into the object, and a sentence that says what to do.

use std::fmt;

use crate::message::printable;

/// The maximum number of problems that are reported.
pub const MAX_PROBLEMS: usize = 1000;

/// The path of a value within an object, as Kubernetes writes it:
/// `spec.generators[0].streams[1].interval`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(String);

impl Path {
    /// The object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of a field of this value.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// The path of an item of this list, from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The path of the containing value; `None` for the object itself.
    pub fn parent(&self) -> Option<Self> {
        let cut = self.0.rfind(['.', '[']).unwrap_or(0);
        if self.0.is_empty() { None } else { Some(Self(self.0[..cut].to_owned())) }
    }

    /// The path as a JSON pointer (RFC 6901). The names of our fields need no escapes.
    pub(crate) fn to_json_pointer(&self) -> String {
        format!("/{}", self.0.replace(['.', '['], "/").replace(']', ""))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, which the name of a field may have, are escaped.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

/// A problem of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the object.
    pub path: Path,
    /// What is wrong and what to do, as one sentence without a full stop.
    pub message: String,
}

impl Problem {
    /// A problem at `path`. Control characters of the message, which may quote anything, are
    /// escaped.
    pub fn new(path: Path, message: impl AsRef<str>) -> Self {
        Self { path, message: printable(message.as_ref()) }
    }

    /// A range at `path` whose bounds are swapped.
    pub(crate) fn reversed(path: &Path, min: impl fmt::Display, max: impl fmt::Display) -> Self {
        let message = format!("must not be more than `max` ({max}); found {min}");
        Self::new(path.field("min"), message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.as_str().is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// Notes about fields without effect.
pub(crate) struct Notes<'a>(pub(crate) &'a mut Vec<Problem>);

impl Notes<'_> {
    /// The field at `path` has no effect, for this reason.
    pub(crate) fn add(&mut self, path: Path, why: impl fmt::Display) {
        self.0.push(Problem::new(path, format!("has no effect: {why}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_has_a_control_character() {
        let problem = Problem::new(Path::root(), "what `\u{1b}[7m\r\n` quotes");
        assert_eq!(problem.to_string(), "what `\\u{1b}[7m\\r\\n` quotes");
        let problem = Problem::new(Path::root().field("a\nb"), "must not be here");
        assert_eq!(problem.to_string(), "a\\nb: must not be here");
    }

    #[test]
    fn a_path_reads_as_kubernetes_writes_it_and_knows_its_parent() {
        let path = Path::root().field("spec").field("generators").index(0).field("name");
        assert_eq!(path.as_str(), "spec.generators[0].name");
        let generator = path.parent().unwrap();
        assert_eq!(generator.as_str(), "spec.generators[0]");
        assert_eq!(generator.parent().unwrap().as_str(), "spec.generators");
        assert_eq!(Path::root().field("spec").parent(), Some(Path::root()));
        assert_eq!(Path::root().parent(), None);
    }
}
