//! What went wrong with a target: the action, the place, the cause, and what to do about it.

use std::{fmt, io};

use rustix::io::Errno;

/// Why a target didn't take what it was to take.
///
/// The message is whole in itself; the cause is part of it and not a `source` besides, so that
/// a report of the chain doesn't say it twice.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// An action on a target, or on a file beside it, that failed.
    #[error("cannot {action} {place}: {cause}{}", advice(.cause))]
    Failed {
        /// What was to be done, such as `write to`.
        action: &'static str,
        /// To what.
        place: String,
        /// What the system said.
        cause: io::Error,
    },
    /// A named pipe that nobody has opened yet, or nobody has open any more. Nothing is lost: the
    /// next reader has it all.
    #[error("{place} is a named pipe without a reader; waiting for one")]
    NoReader {
        /// The pipe.
        place: String,
    },
    /// A target that had no room until the patience was over.
    #[error("{place} took no more in time")]
    GivenUp {
        /// The target.
        place: String,
    },
}

impl SinkError {
    /// For `map_err`: an error of `action` (such as `"write to"`) at `place`.
    pub(super) fn at(
        action: &'static str,
        place: impl fmt::Display,
    ) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Failed { action, place: place.to_string(), cause }
    }

    /// Whether the reader of a pipe has gone away (`| head -5`): a reason to end quietly.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Failed { cause, .. } if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn advice(cause: &io::Error) -> &'static str {
    if cause.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        return "; it is a symbolic link, which is not followed: remove it, or write somewhere else";
    }
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "; check the directory's owner and mode",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, or rotate with a smaller maxSize or keep"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable, or write somewhere else",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a part of the path is a file where a directory should be, or a symbolic link"
        }
        io::ErrorKind::IsADirectory => "; there is a directory where the file should be",
        io::ErrorKind::BrokenPipe => "; its reader has gone away",
        _ => "",
    }
}
