//! Heartbeats in an access log: a kubelet's probe, httpd's internal dummy connection, or a message
//! instead of a request.

use visor_logs::{
    Release,
    resolved::{self, Choices},
};

use super::{
    fields::RequestFields,
    request::{Connection, Request},
    target::filename,
};
use crate::{
    choice::Table,
    line::{Draw, Draws, Field, NeededDraws},
    random::Random,
    server::{self, Thread},
    time::Time,
};

/// The heartbeats of a stream.
#[derive(Debug)]
pub struct Heartbeat {
    /// The name of the server.
    server_name: String,
    kind: Kind,
}

/// A kind of heartbeat.
#[derive(Debug)]
enum Kind {
    /// A constant request.
    Request(Box<Probe>),
    /// A message instead of a request line.
    Message(Table<String>),
}

/// A request that isn't a user's.
#[derive(Debug)]
struct Probe {
    client: &'static str,
    /// Whether it names the server as its host.
    has_host: bool,
    method: &'static str,
    path: &'static str,
    protocol: &'static str,
    user_agent: String,
    body_bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Heartbeat {
    /// The configured heartbeats of a server with this name.
    pub fn new(heartbeat: &resolved::Heartbeat, server_name: &str, release: Release) -> Self {
        let kind = match heartbeat {
            resolved::Heartbeat::KubeProbe => Kind::Request(Box::new(Probe {
                client: "198.18.0.1",
                has_host: true,
                method: "GET",
                path: "/healthz",
                protocol: "HTTP/1.1",
                user_agent: "kube-probe/1.33".to_owned(),
                body_bytes: 3,
                bytes_in: 113,
                bytes_out: 249,
            })),
            // The request of `dummy_connection` in httpd's server/mpm_unix.c.
            resolved::Heartbeat::InternalDummyConnection => Kind::Request(Box::new(Probe {
                client: "::1",
                has_host: false,
                method: "OPTIONS",
                path: "*",
                protocol: "HTTP/1.0",
                user_agent: format!("{} (internal dummy connection)", release.software()),
                body_bytes: 0,
                bytes_in: 97,
                bytes_out: 126,
            })),
            resolved::Heartbeat::Message(choices) => Kind::Message(messages(choices.as_ref())),
        };
        Self { server_name: server_name.to_owned(), kind }
    }

    /// The fields of its heartbeats.
    pub fn fields(&self) -> RequestFields<'_> {
        let server_name = Field::only(Draw::VIRTUAL_HOST, self.server_name.as_bytes());
        let fields = match &self.kind {
            Kind::Request(probe) => RequestFields {
                host: if probe.has_host { server_name.clone() } else { Field::absent(Draw::HOST) },
                ..probe.fields()
            },
            Kind::Message(messages) => RequestFields {
                message: Some(Field::new(
                    Draw::MESSAGE,
                    messages.values().iter().map(String::as_bytes),
                )),
                ..RequestFields::defaults()
            },
        };
        // httpd always knows its own name.
        RequestFields { server_name: server_name.clone(), virtual_host: server_name, ..fields }
    }

    /// Draws a heartbeat that is due at `time`.
    pub fn draw<'a>(
        &self,
        time: Time,
        needed: NeededDraws,
        random: &mut Random,
        draws: &'a mut Draws,
    ) -> Request<'a> {
        // A message is logged by the server itself; the others are requests.
        let (thread, remote_port) = match &self.kind {
            Kind::Message(messages) => {
                draws.set(Draw::MESSAGE, messages.draw_index(random));
                (Thread::PARENT, 0)
            }
            Kind::Request(_) if needed.connection => {
                (Thread::draw(random), server::client_port(random))
            }
            Kind::Request(_) => (Thread::PARENT, 0),
        };
        let (body_bytes, bytes_in, bytes_out) = match &self.kind {
            Kind::Request(probe) => (probe.body_bytes, probe.bytes_in, probe.bytes_out),
            Kind::Message(_) => (0, 0, 0),
        };
        Request {
            draws,
            time,
            duration: 0,
            body_bytes,
            bytes_in,
            bytes_out,
            connection: Connection {
                remote_port,
                process_id: thread.process,
                thread_id: thread.posix,
                keep_alive_requests: 0,
                status: b'-',
            },
            id: 0,
            is_malformed: false,
        }
    }
}

impl Probe {
    fn fields(&self) -> RequestFields<'_> {
        let client = Field::only(Draw::CLIENT, self.client.as_bytes());
        let path = Field::only(Draw::TARGET, self.path.as_bytes());
        let status = Field::only(Draw::EXCHANGE, b"200".as_slice());
        RequestFields {
            remote_host: client.clone(),
            client_address: client,
            method: Field::only(Draw::EXCHANGE, self.method.as_bytes()),
            target: path.clone(),
            path,
            query: Field::only(Draw::TARGET, b"".as_slice()),
            filename: Field::only(Draw::FILENAME, filename(self.path.as_bytes())),
            protocol: Field::only(Draw::PROTOCOL, self.protocol.as_bytes()),
            status: status.clone(),
            original_status: status,
            user_agent: Field::only(Draw::USER_AGENT, self.user_agent.as_bytes()),
            ..RequestFields::defaults()
        }
    }
}

fn messages(choices: Option<&Choices<String>>) -> Table<String> {
    match choices {
        None => Table::only(server::HEARTBEAT.to_owned()),
        Some(choices) => Table::of(choices, String::clone),
    }
}
