//! Errors of outputs: the action, the location, the cause, and what to do.

use std::{fmt, io};

use rustix::io::Errno;

use super::OutputEnd;

/// Why a destination didn't accept records. Each variant says what is to be done.
///
/// The message is complete; the cause is part of it and not a `source`, so that a report of the
/// chain doesn't repeat it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// A failed action on a destination, or on what belongs to it. To be tried again, less and less
    /// often.
    #[error("cannot {action} {location}: {cause}{}", advice(.cause))]
    Failed {
        /// The action, such as `write to`.
        action: &'static str,
        /// The location.
        location: String,
        /// The system's error.
        cause: io::Error,
    },
    /// Nobody is at the other end, such as the reader of a named pipe. To be tried again until
    /// somebody is: nothing is lost, and it is no failure.
    #[error("{message}")]
    Disconnected {
        /// Where, and what it waits for.
        message: String,
    },
    /// The reader has gone (`| head -5`), and no other one will follow: a reason to end, without an
    /// error.
    #[error("cannot write to {location}: its reader has gone")]
    ReaderGone {
        /// The destination.
        location: String,
    },
    /// A destination that had no room until the write was canceled: given up.
    #[error("{location} did not accept more lines in time")]
    Canceled {
        /// The destination.
        location: String,
    },
}

impl OutputError {
    /// For `map_err`: an error of `action` (such as `"write to"`) at `location`.
    pub(super) fn at(
        action: &'static str,
        location: impl fmt::Display,
    ) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Failed { action, location: location.to_string(), cause }
    }

    /// A named pipe without a reader.
    pub(super) fn no_reader(location: impl fmt::Display) -> Self {
        let message = format!("{location} is a named pipe without a reader; waiting for one");
        Self::Disconnected { message }
    }

    /// What the errors of several outputs may have in common: the action and the cause, without the
    /// location.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Failed { action, cause, .. } => format!("{action}: {cause}"),
            Self::Disconnected { .. } => "disconnected".to_owned(),
            Self::ReaderGone { .. } => "reader gone".to_owned(),
            Self::Canceled { .. } => "canceled".to_owned(),
        }
    }

    /// How an output ends that isn't tried again after this error.
    pub(crate) fn end(&self) -> OutputEnd {
        match self {
            Self::Failed { .. } => OutputEnd::Failed,
            Self::ReaderGone { .. } => OutputEnd::ReaderGone,
            Self::Disconnected { .. } | Self::Canceled { .. } => OutputEnd::Canceled,
        }
    }
}

fn advice(cause: &io::Error) -> &'static str {
    if cause.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        return "; it is a symbolic link, which is not followed: remove it, or use another path";
    }
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "; check the directory's owner and mode",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, or rotate with a smaller maxSize or keep"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable, or use another path",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a component of the path is not a directory, or a symbolic link"
        }
        io::ErrorKind::IsADirectory => "; it is a directory",
        io::ErrorKind::BrokenPipe => "; its reader has gone",
        _ => "",
    }
}
