//! What each kind of log decides about a document, next to its types. The rest of this crate knows a
//! log only as a [`Log`].

use visor_logs::{StreamKind, release::Release, resolved};

use super::{Generator, Stream};
use crate::{
    parsed::{Meaning, Parsed},
    problem::{Notes, Path, Problem},
};

/// What all logs of a source have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Common {
    /// The configured release of httpd.
    pub(crate) release: Option<Release>,
    /// Whether each line has a token.
    pub(crate) tokens: bool,
}

/// A log of a document.
pub(crate) trait Log {
    /// The problems of its own fields.
    fn check(&self, path: &Path, problems: &mut Vec<Problem>);

    /// Whether a stream is of a kind that the log has, and has only fields of such a log.
    fn check_stream(&self, path: &Path, stream: &Stream, problems: &mut Vec<Problem>);

    /// The problems between the log, its streams and what all logs have in common. `path` is that of the
    /// generator.
    fn check_generator(
        &self,
        path: &Path,
        generator: &Generator,
        common: Common,
        problems: &mut Vec<Problem>,
    );

    /// Fields of the log and of its streams that have no effect. `path` is that of the generator.
    fn notes(&self, path: &Path, generator: &Generator, common: Common, notes: &mut Notes<'_>);

    /// Whether its lines depend on the time zone.
    fn has_local_time(&self) -> bool;

    /// The names and kinds of its streams if the document has none.
    fn default_streams(&self) -> &'static [(&'static str, StreamKind)];

    /// The validated log; `None` if it has no format.
    fn resolve(&self, generator: &Generator, common: Common) -> Option<resolved::Log>;
}

/// The string of a custom format: it is there if the format is chosen, and only then.
pub(crate) fn format_string<T: Meaning>(
    path: &Path,
    text: Option<&Parsed<T>>,
    is_chosen: bool,
    (missing, unused): (&str, &str),
    problems: &mut Vec<Problem>,
) {
    let message = match (is_chosen, text) {
        (true, Some(text)) => text.meaning().err(),
        (true, None) => Some(missing),
        (false, Some(_)) => Some(unused),
        (false, None) => None,
    };
    problems.extend(message.map(|message| Problem::new(path.clone(), message)));
}

/// The streams of a generator: the configured ones, else those of the default server.
pub(crate) fn streams<L>(
    generator: &Generator,
    lines: impl Fn(&Stream) -> L,
) -> Vec<resolved::Stream<L>> {
    let stream = |stream: &Stream| resolved::Stream {
        name: stream.name.clone(),
        kind: stream.kind,
        timing: stream.timing(),
        lines: lines(stream),
    };
    generator.resolved_streams().iter().map(stream).collect()
}
