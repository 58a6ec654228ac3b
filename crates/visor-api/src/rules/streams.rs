//! Rules for streams: which fields each kind has. Which kinds a log has is in [`source`](crate::source).

use super::timing;
use crate::{
    problem::{Path, Problem},
    source::{Interval, Log, Stream, StreamKind, weights},
};

/// A stream by itself, and whether its log has that kind, if the log is known.
pub(crate) fn stream(
    path: &Path,
    stream: &Stream,
    log: Option<&dyn Log>,
    problems: &mut Vec<Problem>,
) {
    if let Some(log) = log {
        log.check_stream(path, stream, problems);
    }
    fields_of_kinds(path, stream, problems);
    weights(
        &path.field("messages"),
        stream.messages.iter().map(|message| message.weight),
        problems,
    );
    if let Some(interval) = &stream.interval {
        timing::interval(&path.field("interval"), interval, problems);
    }
    if stream.initial_delay.is_some()
        && matches!(stream.resolved_interval(), Interval::Unlimited(_))
    {
        let message = "has no effect on an unlimited stream; remove it, or use another interval";
        problems.push(Problem::new(path.field("initialDelay"), message));
    }
    timing::surges(&path.field("surges"), &stream.surges, &stream.resolved_interval(), problems);
    if let Some(content) = &stream.access {
        content.check(&path.field("access"), problems);
    }
}

/// Fields that only some kinds of stream have.
fn fields_of_kinds(path: &Path, stream: &Stream, problems: &mut Vec<Problem>) {
    let mut add = |path: Path, message: &str| problems.push(Problem::new(path, message));
    if stream.kind == StreamKind::Access && !stream.messages.is_empty() {
        let message = "an Access stream has no messages; remove them";
        add(path.field("messages"), message);
    }
    if stream.kind != StreamKind::Access && stream.access.is_some() {
        let message = "only an Access stream has this field; remove it, or use kind Access";
        add(path.field("access"), message);
    }
    if stream.kind != StreamKind::Heartbeat && stream.heartbeat.is_some() {
        let message = "only a Heartbeat stream has this field; remove it, or use kind Heartbeat";
        add(path.field("heartbeat"), message);
    }
}
