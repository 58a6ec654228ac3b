//! Rules for the release of httpd: the format, the levels and the directives that it has. Pure.

use crate::{
    log_format::{Directive, Field, Item},
    problem::{Path, Problem},
    source::{AccessLog, ErrorFormat, FakeLogSourceSpec, Format, Generator, Release},
};

/// What the generators of a source have that its release hasn't.
pub(super) fn release(path: &Path, spec: &FakeLogSourceSpec, problems: &mut Vec<Problem>) {
    let configured = spec.release();
    for (index, generator) in spec.generators.iter().enumerate() {
        let path = path.field("generators").index(index);
        if let Some(log) = &generator.access
            && configured == Some(Release::V2_2_34)
        {
            directives(&path.field("access").field("logFormat"), log, problems);
        }
        let Some(log) = &generator.error else { continue };
        let release = log.release(configured);
        if let Some(format) = log.format
            && format != ErrorFormat::of(release)
            && (format != ErrorFormat::Custom || release == Release::V2_2_34)
        {
            let message = format!(
                "httpd {} has the format {}; remove this, or change `server.release`",
                release.name(),
                ErrorFormat::of(release).name(),
            );
            problems.push(Problem::new(path.field("error").field("format"), message));
        }
        if release == Release::V2_2_34 {
            levels(&path, generator, problems);
        }
    }
}

/// Directives that 2.2.34 doesn't have: it would not start.
fn directives(path: &Path, log: &AccessLog, problems: &mut Vec<Problem>) {
    let Some(Format::LogFormat(format)) = log.resolved_format() else { return };
    for item in &format.items {
        let Item::Directive(Directive { field, .. }) = item else { continue };
        let name = match field {
            Field::LogId => "%L",
            Field::BytesTransferred => "%S",
            Field::TimeToFirstByte => "%^FB",
            _ => continue,
        };
        let message =
            format!("httpd 2.2.34 has no directive `{name}`; remove it, or use a release of 2.4");
        problems.push(Problem::new(path.clone(), message));
    }
}

/// Levels that 2.2.34 doesn't have.
fn levels(path: &Path, generator: &Generator, problems: &mut Vec<Problem>) {
    for (index, stream) in generator.streams.iter().enumerate() {
        if stream.kind.is_trace() {
            let path = path.field("streams").index(index).field("kind");
            let message = "httpd 2.2 has no levels of trace; use Debug, or a release of 2.4";
            problems.push(Problem::new(path, message));
        }
    }
}
