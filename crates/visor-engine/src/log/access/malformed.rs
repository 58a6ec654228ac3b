//! Malformed requests of the default server: each is drawn as a whole, and has columns of its own, so
//! that their long lines don't widen the columns of ordinary requests.

use visor_logs::Release;

use super::{
    fields::RequestFields,
    request::{Connection, Request},
    target::{Range, filename},
};
use crate::{
    choice::{InvalidWeights, Table},
    line::{Draw, Draws, Field},
    random::Random,
    server::{
        malformed::{Body, MALFORMED, MalformedRequest},
        traffic,
    },
    time::Time,
};

/// The time that httpd needs for one, in nanoseconds.
const SHORT: Range = Range { min: 25_000, max: 150_000 };
/// The time after which httpd gives up waiting for the rest of one.
const TIMED_OUT: Range = Range { min: 20_000_100_000, max: 20_002_000_000 };

/// The malformed requests to a server.
#[derive(Debug)]
pub(super) struct MalformedRequests {
    table: Table<&'static MalformedRequest>,
    /// The server's name.
    server_name: String,
    release: Release,
}

impl MalformedRequests {
    /// Those to a server with this name, of this release.
    pub(super) fn new(server_name: &str, release: Release) -> Result<Self, InvalidWeights> {
        let all = MALFORMED.iter().map(|request| (request, u64::from(request.weight)));
        Ok(Self { table: Table::new(all)?, server_name: server_name.to_owned(), release })
    }

    /// The fields of its requests, from these clients.
    pub(super) fn fields<'a>(&'a self, clients: &Field<'a>) -> RequestFields<'a> {
        let all = self.table.values();
        let each = |value: fn(&MalformedRequest) -> Vec<u8>| {
            Field::new(Draw::EXCHANGE, all.iter().map(|request| value(request)))
        };
        let status = each(|request| request.status.to_string().into_bytes());
        let method = each(|request| request.method.into());
        let path = each(|request| request.with_letters(request.path.as_bytes()));
        let server_name = Field::only(Draw::VIRTUAL_HOST, self.server_name.as_bytes());
        let port = Field::only(Draw::CLIENT, b"80".as_slice());
        RequestFields {
            remote_host: clients.clone(),
            client_address: clients.clone(),
            request_line: Some(each(|request| request.with_letters(request.line))),
            target: path.clone(),
            path,
            query: Field::only(Draw::TARGET, b"".as_slice()),
            filename: each(|request| match request.file {
                Some(path) => filename(path.as_bytes()),
                None => b"-".into(),
            }),
            content_type: each(|request| match request.body {
                Body::Bytes(0) => b"-".into(),
                _ => b"text/html".into(),
            }),
            method,
            protocol: each(|request| request.protocol.into()),
            status: status.clone(),
            original_status: status,
            virtual_host: server_name.clone(),
            server_name,
            port: port.clone(),
            local_port: port,
            has_id: Some(all.iter().map(|request| request.file.is_some()).collect()),
            has_headers: false,
            ..RequestFields::defaults()
        }
    }

    /// Draws one that ends at `time`, from the client with this index.
    pub(super) fn draw<'a>(
        &self,
        time: Time,
        client: usize,
        random: &mut Random,
        draws: &'a mut Draws,
        connection: Connection,
    ) -> Request<'a> {
        let number = self.table.draw_index(random);
        let request = self.table.values()[number];
        draws.set(Draw::EXCHANGE, number);
        draws.set(Draw::CLIENT, client);
        let time_needed = if request.has_timed_out { TIMED_OUT } else { SHORT };
        let duration = time_needed.draw(random) / 1_000 * 1_000;
        let body_bytes = match request.body {
            Body::Page => traffic::error_body(request.status, self.release),
            Body::Bytes(bytes) => bytes,
        };
        Request {
            draws,
            time: time.saturating_add(-i64::try_from(duration).unwrap_or(i64::MAX)),
            duration,
            body_bytes,
            bytes_in: request.bytes_in,
            bytes_out: body_bytes + request.head_bytes,
            connection: Connection { keep_alive_requests: 0, status: b'-', ..connection },
            id: u128::from(random.bits()) << 64 | u128::from(random.bits()),
            is_malformed: true,
        }
    }
}
