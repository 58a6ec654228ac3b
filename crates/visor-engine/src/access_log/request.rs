//! A request as it is written: which value each of its facts has, and the numbers that are its own.

use super::{facts::Picks, id};
use crate::{text::Line, time::Time};

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Which values its facts have.
    pub picks: &'a Picks,
    /// When it began (`%t`).
    pub time: Time,
    /// How long it took, in nanoseconds (`%D`, `%T`).
    pub duration: u64,
    /// Bytes of the body sent (`%b`, `%B`).
    pub body_bytes: u64,
    /// Bytes received (`%I`).
    pub bytes_in: u64,
    /// Bytes sent (`%O`).
    pub bytes_out: u64,
    /// How it came.
    pub connection: Connection,
    /// A number that no other request has (`%{UNIQUE_ID}e`, `%{X-Request-Id}i`).
    pub id: u128,
}

/// How a request came, and who served it.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// The client's port (`%{remote}p`).
    pub remote_port: u16,
    /// The process (`%P`).
    pub process_id: u32,
    /// The thread (`%{tid}P`).
    pub thread_id: u64,
    /// How many requests the connection had before (`%k`).
    pub keep_alive_requests: u32,
    /// `X` aborted, `+` kept alive, `-` closed (`%X`).
    pub status: u8,
}

impl Connection {
    /// None that shows.
    pub const NONE: Self =
        Self { remote_port: 0, process_id: 0, thread_id: 0, keep_alive_requests: 0, status: b'+' };
}

impl Request<'_> {
    /// How long it took to the first byte of the response, in nanoseconds: most of the time, but for
    /// large bodies.
    pub fn time_to_first_byte(&self) -> u64 {
        self.duration - self.duration / 8
    }

    /// When it ended.
    #[inline]
    pub fn end(&self) -> Time {
        self.time.saturating_add(i64::try_from(self.duration).unwrap_or(i64::MAX))
    }
}

/// A number, or something alike, that is a request's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Bytes of the body, `-` for none (`%b`).
    BodyBytesOrDash,
    /// Bytes of the body (`%B`).
    BodyBytes,
    /// Bytes received (`%I`).
    BytesIn,
    /// Bytes sent (`%O`).
    BytesOut,
    /// Both together (`%S`).
    BytesTransferred,
    /// How long it took, in units of so many nanoseconds (`%D`, `%T`).
    Duration(u64),
    /// How long it took to the first byte, in microseconds (`%^FB`).
    TimeToFirstByte,
    /// The client's port (`%{remote}p`).
    RemotePort,
    /// The process (`%P`).
    ProcessId,
    /// The thread (`%{tid}P`).
    ThreadId,
    /// The thread in hexadecimal (`%{hextid}P`).
    ThreadIdHexadecimal,
    /// How many requests the connection had before (`%k`).
    KeepAliveRequests,
    /// What became of the connection (`%X`).
    ConnectionStatus,
    /// What no other request has, as `mod_unique_id` writes it.
    UniqueId,
    /// The same as a UUID.
    Uuid,
}

impl Own {
    /// Writes it. The size of a body is what nearly every format has.
    #[inline]
    pub(super) fn write<'l>(self, request: &Request<'_>, mut line: Line<'l>) -> Line<'l> {
        match self {
            Self::BodyBytesOrDash | Self::BodyBytes if request.body_bytes > 0 => {
                line.number(request.body_bytes);
                line
            }
            _ => self.write_any(request, line),
        }
    }

    /// Apart from the loop over columns, which stays small so.
    #[inline(never)]
    fn write_any<'l>(self, request: &Request<'_>, mut line: Line<'l>) -> Line<'l> {
        let connection = &request.connection;
        match self {
            Self::BodyBytesOrDash if request.body_bytes == 0 => line.push(b'-'),
            Self::BodyBytesOrDash | Self::BodyBytes => line.number(request.body_bytes),
            Self::BytesIn => line.number(request.bytes_in),
            Self::BytesOut => line.number(request.bytes_out),
            Self::BytesTransferred => {
                line.number(request.bytes_in.saturating_add(request.bytes_out));
            }
            Self::Duration(unit) => line.number(request.duration / unit.max(1)),
            Self::TimeToFirstByte => line.number(request.time_to_first_byte() / 1_000),
            Self::RemotePort => line.number(connection.remote_port),
            Self::ProcessId => line.number(connection.process_id),
            Self::ThreadId => line.number(connection.thread_id),
            Self::ThreadIdHexadecimal => {
                let digits = (u64::BITS - connection.thread_id.leading_zeros()).div_ceil(4);
                line.hexadecimal(connection.thread_id.into(), digits.max(1));
            }
            Self::KeepAliveRequests => line.number(connection.keep_alive_requests),
            Self::ConnectionStatus => line.push(connection.status),
            Self::UniqueId => id::write_unique_id(request, &mut line),
            Self::Uuid => id::write_uuid(request.id, &mut line),
        }
        line
    }
}
