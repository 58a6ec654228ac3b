//! Signs of life in an access log: a kubelet's probe, httpd's wake-up call to itself, or a bare
//! message in place of a request.

use visor_api::{
    resolved::{self, Choices},
    source::DOCUMENT_ROOT,
};

use super::{
    columns::Uses,
    facts::{Fact, Facts, Pick, Picks},
    request::{Connection, Request},
};
use crate::{
    choice::Table,
    random::Random,
    server::{self, Thread},
    time::Time,
};

/// The heartbeats of a stream.
#[derive(Debug)]
pub enum Heartbeat {
    /// The same request again and again.
    Request(Box<Probe>),
    /// The server's own words in place of a request line.
    Message(Table<String>),
}

/// A request that something makes of itself.
#[derive(Debug)]
pub struct Probe {
    client: &'static str,
    method: &'static str,
    path: &'static str,
    protocol: &'static str,
    user_agent: String,
    body_bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Heartbeat {
    /// The heartbeats that a document asks for.
    pub fn new(heartbeat: &resolved::Heartbeat) -> Self {
        match heartbeat {
            resolved::Heartbeat::KubeProbe => Self::Request(Box::new(Probe {
                client: "198.18.0.1",
                method: "GET",
                path: "/healthz",
                protocol: "HTTP/1.1",
                user_agent: "kube-probe/1.33".to_owned(),
                body_bytes: 3,
                bytes_in: 113,
                bytes_out: 249,
            })),
            // As `dummy_connection` of httpd's server/mpm_unix.c asks.
            resolved::Heartbeat::InternalDummyConnection => Self::Request(Box::new(Probe {
                client: "::1",
                method: "OPTIONS",
                path: "*",
                protocol: "HTTP/1.0",
                user_agent: format!("{} (internal dummy connection)", server::SOFTWARE),
                body_bytes: 0,
                bytes_in: 97,
                bytes_out: 126,
            })),
            resolved::Heartbeat::Message(choices) => Self::Message(messages(choices.as_ref())),
        }
    }

    /// What formats can say of them.
    pub fn facts(&self) -> Facts<'_> {
        match self {
            Self::Request(probe) => probe.facts(),
            Self::Message(messages) => {
                let messages = messages.values().iter().map(String::as_bytes);
                Facts {
                    message: Some(Fact::new(Pick::MESSAGE, messages)),
                    ..Facts::of_the_server()
                }
            }
        }
    }

    /// Draws a heartbeat that is due at `time`.
    pub fn draw<'a>(
        &self,
        time: Time,
        uses: Uses,
        random: &mut Random,
        picks: &'a mut Picks,
    ) -> Request<'a> {
        // A message is the server's own; the others are requests.
        let (thread, remote_port) = match self {
            Self::Message(messages) => {
                picks.set(Pick::MESSAGE, messages.draw_index(random));
                (Thread::PARENT, 0)
            }
            Self::Request(_) if uses.connection => {
                (Thread::draw(random), server::client_port(random))
            }
            Self::Request(_) => (Thread::PARENT, 0),
        };
        let (body_bytes, bytes_in, bytes_out) = match self {
            Self::Request(probe) => (probe.body_bytes, probe.bytes_in, probe.bytes_out),
            Self::Message(_) => (0, 0, 0),
        };
        Request {
            picks,
            time,
            duration: 0,
            body_bytes,
            bytes_in,
            bytes_out,
            connection: Connection {
                remote_port,
                process_id: thread.process,
                thread_id: thread.thread,
                keep_alive_requests: 0,
                status: b'-',
            },
            id: 0,
        }
    }
}

impl Probe {
    fn facts(&self) -> Facts<'_> {
        let client = Fact::only(Pick::CLIENT, self.client.as_bytes());
        let path = Fact::only(Pick::RESOURCE, self.path.as_bytes());
        let status = Fact::only(Pick::EXCHANGE, b"200".as_slice());
        Facts {
            remote_host: client.clone(),
            client_address: client,
            method: Fact::only(Pick::EXCHANGE, self.method.as_bytes()),
            target: path.clone(),
            path,
            query: Fact::only(Pick::RESOURCE, b"".as_slice()),
            filename: Fact::only(Pick::RESOURCE, [DOCUMENT_ROOT, self.path].concat().into_bytes()),
            protocol: Fact::only(Pick::PROTOCOL, self.protocol.as_bytes()),
            status: status.clone(),
            original_status: status,
            user_agent: Fact::only(Pick::USER_AGENT, self.user_agent.as_bytes()),
            ..Facts::of_the_server()
        }
    }
}

fn messages(choices: Option<&Choices<String>>) -> Table<String> {
    match choices {
        None => Table::only(server::HEARTBEAT.to_owned()),
        Some(choices) => Table::of(choices, String::clone),
    }
}
