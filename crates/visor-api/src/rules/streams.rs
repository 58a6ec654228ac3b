//! Rules for streams: which kinds a log has, and which fields each kind has.

use super::{content, timing};
use crate::{
    problem::{Path, Problem},
    source::{HeartbeatStyle, Interval, LogKind, Stream, StreamKind},
};

/// A stream by itself, and whether its log has that kind, if the log is known.
pub(crate) fn stream(
    path: &Path,
    stream: &Stream,
    log: Option<LogKind>,
    problems: &mut Vec<Problem>,
) {
    if let Some(log) = log {
        belongs(path, stream, log, problems);
    }
    fields_of_kinds(path, stream, log, problems);
    content::weights(
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
        content::request_choices(&path.field("access"), content, problems);
    }
}

/// Heartbeats are in any log, requests in an access log, levels in an error log.
fn belongs(path: &Path, stream: &Stream, log: LogKind, problems: &mut Vec<Problem>) {
    let message = match (stream.kind, log) {
        (StreamKind::Access, LogKind::Error) => {
            "an error log has no Access streams; use a level such as Info or Error, or move the \
             stream to a generator with `access`"
        }
        (StreamKind::Heartbeat | StreamKind::Access, _) | (_, LogKind::Error) => return,
        (_, LogKind::Access) => {
            "an access log has no levels; use Access or Heartbeat, or move the stream to a \
             generator with `error`"
        }
    };
    problems.push(Problem::new(path.field("kind"), message));
}

/// Fields that only some kinds of stream or log have.
fn fields_of_kinds(
    path: &Path,
    stream: &Stream,
    log: Option<LogKind>,
    problems: &mut Vec<Problem>,
) {
    let mut add = |path: Path, message: &str| problems.push(Problem::new(path, message));
    if stream.kind == StreamKind::Access && !stream.messages.is_empty() {
        let message = "an Access stream has no messages; remove them";
        add(path.field("messages"), message);
    }
    if stream.kind != StreamKind::Access && stream.access.is_some() {
        let message = "only an Access stream has this field; remove it, or use kind Access";
        add(path.field("access"), message);
    }
    if let Some(style) = stream.heartbeat {
        let path = path.field("heartbeat");
        if stream.kind != StreamKind::Heartbeat {
            add(path, "only a Heartbeat stream has this field; remove it, or use kind Heartbeat");
        } else if log == Some(LogKind::Error) {
            add(path, "only an access log has heartbeat styles; remove it");
        } else if style != HeartbeatStyle::Message && !stream.messages.is_empty() {
            add(path, "this style has no message; use Message, or remove `messages`");
        }
    }
    if log == Some(LogKind::Access) {
        for (index, message) in stream.messages.iter().enumerate() {
            let path = path.field("messages").index(index);
            if message.module.is_some() {
                add(path.field("module"), "only an error log has modules; remove it");
            }
            if message.client {
                add(
                    path.field("client"),
                    "only an error log has clients in its messages; remove it",
                );
            }
        }
    }
}
