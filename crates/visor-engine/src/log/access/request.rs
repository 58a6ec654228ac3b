//! A drawn request: the values of its fields, and its per-request numbers.

use visor_proof::token::PLACEHOLDER;

use crate::{
    line::{Draws, NeededDraws, PerRecordField, Record},
    server::id,
    text::Line,
    time::Time,
};

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The values of its fields.
    pub draws: &'a Draws,
    /// Its start (`%t`).
    pub time: Time,
    /// Its duration in nanoseconds (`%D`, `%T`).
    pub duration: u64,
    /// Bytes of the body sent (`%b`, `%B`).
    pub body_bytes: u64,
    /// Bytes received (`%I`).
    pub bytes_in: u64,
    /// Bytes sent (`%O`).
    pub bytes_out: u64,
    /// Its connection.
    pub connection: Connection,
    /// A unique number (`%{UNIQUE_ID}e`, `%{X-Request-Id}i`).
    pub id: u128,
    /// Whether it has the columns of malformed requests.
    pub is_malformed: bool,
}

/// The connection of a request, and the process that served it.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// The client's port (`%{remote}p`).
    pub remote_port: u16,
    /// The process (`%P`).
    pub process_id: u32,
    /// The thread (`%{tid}P`).
    pub thread_id: u64,
    /// The number of previous requests of the connection (`%k`).
    pub keep_alive_requests: u32,
    /// `X` aborted, `+` kept alive, `-` closed (`%X`).
    pub status: u8,
}

impl Connection {
    /// A placeholder that isn't written.
    pub const NONE: Self =
        Self { remote_port: 0, process_id: 0, thread_id: 0, keep_alive_requests: 0, status: b'+' };
}

impl Request<'_> {
    /// The time to the first byte of the response in nanoseconds: most of the duration, except for
    /// large bodies.
    pub fn time_to_first_byte(&self) -> u64 {
        self.duration - self.duration / 8
    }
}

impl Request<'_> {
    /// A number that grows with time, as if there was a connection every millisecond.
    fn connection_number(&self) -> u64 {
        let milliseconds = self.time.as_nanos() / 1_000_000;
        milliseconds.unsigned_abs() % 10_000_000_000
            + u64::from(self.connection.remote_port) % 1_000
    }
}

impl Record for Request<'_> {
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
        self.time.saturating_add(i64::try_from(self.duration).unwrap_or(i64::MAX))
    }
}

/// A field with a value of its own in each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerRequestField {
    /// Bytes of the body, `-` for none (`%b`).
    BodyBytesOrDash,
    /// Bytes of the body (`%B`).
    BodyBytes,
    /// Bytes received (`%I`).
    BytesIn,
    /// Bytes sent (`%O`).
    BytesOut,
    /// Bytes received and sent (`%S`).
    BytesTransferred,
    /// The duration in units of this many nanoseconds (`%D`, `%T`).
    Duration(u64),
    /// The duration in seconds with milliseconds (nginx's `$request_time`).
    SecondsAndMilliseconds,
    /// The time to the first byte in microseconds (`%^FB`).
    TimeToFirstByte,
    /// The client's port (`%{remote}p`).
    RemotePort,
    /// The process (`%P`).
    ProcessId,
    /// The thread (`%{tid}P`).
    ThreadId,
    /// The thread in hexadecimal (`%{hextid}P`).
    ThreadIdHexadecimal,
    /// The number of previous requests of the connection (`%k`).
    KeepAliveRequests,
    /// The connection status (`%X`).
    ConnectionStatus,
    /// The number of the connection (nginx's `$connection`).
    ConnectionNumber,
    /// The number of the request in its connection, from 1 (nginx's `$connection_requests`).
    ConnectionRequests,
    /// The unique id in hexadecimal (nginx's `$request_id`).
    HexadecimalId,
    /// The unique id, as `mod_unique_id` writes it.
    UniqueId,
    /// The unique id as a UUID.
    Uuid,
}

impl PerRecordField for PerRequestField {
    type Record<'a> = Request<'a>;

    /// The size of the body comes first, because nearly every format has it.
    #[inline]
    fn write<'l>(self, request: &Request<'_>, mut line: Line<'l>) -> Line<'l> {
        match self {
            Self::BodyBytesOrDash | Self::BodyBytes if request.body_bytes > 0 => {
                line.number(request.body_bytes);
                line
            }
            _ => self.write_any(request, line),
        }
    }

    fn note(self, needed: &mut NeededDraws) {
        match self {
            Self::Duration(_) | Self::SecondsAndMilliseconds | Self::TimeToFirstByte => {
                needed.duration = true;
            }
            Self::BytesIn | Self::BytesTransferred => needed.bytes_in = true,
            Self::UniqueId | Self::Uuid | Self::HexadecimalId => needed.id = true,
            Self::RemotePort
            | Self::ProcessId
            | Self::ThreadId
            | Self::ThreadIdHexadecimal
            | Self::KeepAliveRequests
            | Self::ConnectionRequests
            | Self::ConnectionNumber
            | Self::ConnectionStatus => needed.connection = true,
            Self::BodyBytesOrDash | Self::BodyBytes | Self::BytesOut => {}
        }
    }
}

impl PerRequestField {
    /// Not inlined, so that the loop over columns stays small.
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
            Self::SecondsAndMilliseconds => {
                let milliseconds = request.duration / 1_000_000;
                line.number(milliseconds / 1_000);
                line.push(b'.');
                line.digits(i64::try_from(milliseconds % 1_000).unwrap_or(0), 3);
            }
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
            Self::ConnectionNumber => line.number(request.connection_number()),
            Self::ConnectionRequests => line.number(connection.keep_alive_requests + 1),
            Self::HexadecimalId => line.hexadecimal(request.id, 32),
            // The output puts the token there.
            Self::UniqueId => line.extend(PLACEHOLDER),
            Self::Uuid => id::write_uuid(request.id, &mut line),
        }
        line
    }
}
