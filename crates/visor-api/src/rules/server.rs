//! Rules for the release of httpd: its format, and the levels that it has. Pure.

use crate::{
    problem::{Path, Problem},
    source::{FakeLogSourceSpec, Release},
};

/// What the generators of a source have that its release hasn't.
pub(super) fn release(path: &Path, spec: &FakeLogSourceSpec, problems: &mut Vec<Problem>) {
    for (index, generator) in spec.generators.iter().enumerate() {
        let path = path.field("generators").index(index);
        let Some(log) = &generator.error else { continue };
        let release = log.release(spec.server.as_ref());
        if let Some(format) = log.format
            && format != release.error_format()
        {
            let message = format!(
                "httpd {} has the format {}; remove this, or change `server.release`",
                release.name(),
                release.error_format().name(),
            );
            problems.push(Problem::new(path.field("error").field("format"), message));
        }
        if release != Release::V2_2_34 {
            continue;
        }
        for (index, stream) in generator.streams.iter().enumerate() {
            if stream.kind.is_trace() {
                let path = path.field("streams").index(index).field("kind");
                let message = "httpd 2.2 has no levels of trace; use Debug, or a release of 2.4";
                problems.push(Problem::new(path, message));
            }
        }
    }
}
