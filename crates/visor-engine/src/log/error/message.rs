//! A drawn message: the values of its fields, and its per-message numbers.

use visor_proof::token::PLACEHOLDER;

use crate::{
    line::{Draws, NeededDraws, PerRecordField, Record},
    server::{Thread, id},
    text::Line,
    time::Time,
};

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The values of its fields.
    pub draws: &'a Draws,
    /// When it was logged.
    pub time: Time,
    /// The process.
    pub process_id: u32,
    /// The thread by POSIX.
    pub thread_id: u64,
    /// The thread by the kernel.
    pub kernel_thread_id: u32,
    /// The client's port.
    pub client_port: u16,
    /// The process that it mentions.
    pub child: u32,
    /// The number that it mentions.
    pub number: u64,
    /// The last part of the address of the backend that it mentions.
    pub backend: u64,
    /// The number of previous requests of the connection.
    pub keep_alive_requests: u64,
    /// A unique number of the request.
    pub id: u128,
}

/// The time that a request is being processed when it is the subject of a message, at most, and the
/// time that its connection has existed before, in nanoseconds.
const REQUEST_AGE: u64 = 2_000_000;
const CONNECTION_AGE: u64 = 5_000_000_000;

impl<'a> Message<'a> {
    /// A message of this time and thread, without anything that few formats write.
    pub(crate) fn new(draws: &'a Draws, time: Time, thread: Thread) -> Self {
        Self {
            draws,
            time,
            process_id: thread.process,
            thread_id: thread.posix,
            kernel_thread_id: thread.kernel,
            client_port: 0,
            child: 0,
            number: 0,
            backend: 0,
            keep_alive_requests: 0,
            id: 0,
        }
    }

    /// When its request began.
    fn request_begin(&self) -> Time {
        self.time.saturating_add(-age(self.id, REQUEST_AGE))
    }

    /// When its connection began.
    fn connection_begin(&self) -> Time {
        self.request_begin().saturating_add(-age(self.id >> 32, CONNECTION_AGE))
    }
}

/// A time of at most this many nanoseconds, by a random number.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is random, too")]
fn age(random: u128, most: u64) -> i64 {
    i64::try_from(random as u64 % most).unwrap_or(0)
}

impl Record for Message<'_> {
    #[inline]
    fn draws(&self) -> &Draws {
        self.draws
    }

    #[inline]
    fn begin(&self) -> Time {
        self.time
    }

    #[inline]
    fn end(&self) -> Time {
        self.time
    }
}

/// A field with a value of its own in each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerMessageField {
    /// The process (`%P`).
    ProcessId,
    /// The thread by POSIX (`%T`).
    ThreadId,
    /// The thread by the kernel (`%{g}T`).
    KernelThreadId,
    /// The client's port (`%a`).
    ClientPort,
    /// The process that the message mentions.
    Child,
    /// The number that the message mentions.
    Number,
    /// The last part of the address of the backend that the message mentions.
    Backend,
    /// The number of previous requests of the connection (`%k`).
    KeepAliveRequests,
    /// The identifier of the connection (`%{c}L`).
    ConnectionLogId,
    /// The unique id of the request, as `mod_unique_id` writes it (`%L`).
    UniqueId,
    /// The unique id of the request as a UUID.
    Uuid,
}

impl PerRecordField for PerMessageField {
    type Record<'a> = Message<'a>;

    #[inline]
    fn write<'l>(self, message: &Message<'_>, mut line: Line<'l>) -> Line<'l> {
        match self {
            Self::ProcessId => line.number(message.process_id),
            Self::ThreadId => line.number(message.thread_id),
            Self::KernelThreadId => line.number(message.kernel_thread_id),
            Self::ClientPort => line.number(message.client_port),
            Self::Child => line.number(message.child),
            Self::Number => line.number(message.number),
            Self::Backend => line.number(message.backend),
            Self::KeepAliveRequests => line.number(message.keep_alive_requests),
            other => return other.write_id(message, line),
        }
        line
    }

    fn note(self, needed: &mut NeededDraws) {
        match self {
            Self::ConnectionLogId | Self::UniqueId | Self::Uuid => {
                needed.id = true;
            }
            Self::KeepAliveRequests => needed.connection = true,
            _ => {}
        }
    }
}

impl PerMessageField {
    /// Not inlined, so that the loop over columns stays small.
    #[inline(never)]
    fn write_id<'l>(self, message: &Message<'_>, mut line: Line<'l>) -> Line<'l> {
        match self {
            // The output puts the token there.
            Self::UniqueId => line.extend(PLACEHOLDER),
            Self::Uuid => id::write_uuid(message.id, &mut line),
            _ => {
                let (process, thread) = (message.process_id, message.thread_id);
                id::write_log_id(message.connection_begin(), process, thread, &mut line);
            }
        }
        line
    }
}
