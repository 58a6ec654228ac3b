//! Streams: what kind of line a log takes, and what may be said of each kind.

use super::{content, pace};
use crate::{
    problem::{Path, Problem},
    source::{HeartbeatStyle, Interval, LogKind, Stream, StreamKind},
};

/// A stream by itself, and whether it belongs into its log, where the document says which that is.
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
        pace::interval(&path.field("interval"), interval, problems);
    }
    if stream.initial_delay.is_some()
        && matches!(stream.resolved_interval(), Interval::Unlimited(_))
    {
        let message =
            "an unlimited stream writes from its start; remove it, or use another interval";
        problems.push(Problem::new(path.field("initialDelay"), message));
    }
    pace::surges(&path.field("surges"), &stream.surges, &stream.resolved_interval(), problems);
    if let Some(content) = &stream.access {
        content::access_content(&path.field("access"), content, problems);
    }
}

/// Heartbeats are of any log, requests of an access log, levels of an error log.
fn belongs(path: &Path, stream: &Stream, log: LogKind, problems: &mut Vec<Problem>) {
    let message = match (stream.kind, log) {
        (StreamKind::Access, LogKind::Error) => {
            "an error log has no Access lines; use a level such as Info or Error, or move the \
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

/// Fields that have a meaning only for some kinds of stream or log.
fn fields_of_kinds(
    path: &Path,
    stream: &Stream,
    log: Option<LogKind>,
    problems: &mut Vec<Problem>,
) {
    let mut add = |path: Path, message: &str| problems.push(Problem::new(path, message));
    if stream.kind == StreamKind::Access && !stream.messages.is_empty() {
        let message = "an Access stream writes requests, not messages; remove them";
        add(path.field("messages"), message);
    }
    if stream.kind != StreamKind::Access && stream.access.is_some() {
        let message = "only an Access stream has requests; remove it, or use kind Access";
        add(path.field("access"), message);
    }
    if let Some(style) = stream.heartbeat {
        let path = path.field("heartbeat");
        if stream.kind != StreamKind::Heartbeat {
            add(path, "only a Heartbeat stream has this; remove it, or use kind Heartbeat");
        } else if log == Some(LogKind::Error) {
            add(path, "only an access log has styles of heartbeat; remove it");
        } else if style != HeartbeatStyle::Message && !stream.messages.is_empty() {
            add(path, "this style has no message; use Message, or remove `messages`");
        }
    }
    if log == Some(LogKind::Access) {
        for (index, message) in stream.messages.iter().enumerate() {
            let path = path.field("messages").index(index);
            if message.module.is_some() {
                add(path.field("module"), "only an error log names modules; remove it");
            }
            if message.client {
                add(path.field("client"), "only messages of an error log name clients; remove it");
            }
        }
    }
}
