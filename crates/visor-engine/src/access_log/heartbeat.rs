//! Signs of life in an access log: a kubelet's probe, httpd's wake-up call to itself, or a bare
//! message in place of a request.

use visor_api::resolved::{self, Choices};

use super::{
    escaping::Escaping,
    format::Format,
    request::{NamedValues, Request, RequestLine, ServerFacts, Tls},
};
use crate::{
    choice::Table,
    random::Random,
    server::{self, Thread},
    text::{Lines, Text},
    time::Time,
};

/// The heartbeats of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    client: Text,
    method: Text,
    path: Text,
    query: Text,
    protocol: Text,
    /// What stands in place of the request line, if anything does.
    messages: Option<Table<Text>>,
    status_code: u16,
    status: Text,
    body_bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
    user_agent: Text,
    nothing: Text,
    server: ServerFacts,
    tls: Tls,
}

impl Heartbeat {
    /// The heartbeats that a document asks for, as its format escapes them.
    pub fn new(heartbeat: &resolved::Heartbeat, escaping: &Escaping) -> Self {
        let text = |plain: &str| escaping.text(plain);
        let nothing = Text::absent();
        let (server, tls) = (ServerFacts::new(escaping), Tls::default());
        match heartbeat {
            resolved::Heartbeat::KubeProbe => Self {
                client: text("198.18.0.1"),
                method: text("GET"),
                path: text("/healthz"),
                query: text(""),
                protocol: text("HTTP/1.1"),
                messages: None,
                status_code: 200,
                status: text("200"),
                body_bytes: 3,
                bytes_in: 113,
                bytes_out: 249,
                user_agent: text("kube-probe/1.33"),
                nothing,
                server,
                tls,
            },
            // As `dummy_connection` of httpd's server/mpm_unix.c asks.
            resolved::Heartbeat::InternalDummyConnection => Self {
                client: text("::1"),
                method: text("OPTIONS"),
                path: text("*"),
                query: text(""),
                protocol: text("HTTP/1.0"),
                messages: None,
                status_code: 200,
                status: text("200"),
                body_bytes: 0,
                bytes_in: 97,
                bytes_out: 126,
                user_agent: text(&format!("{} (internal dummy connection)", server::SOFTWARE)),
                nothing,
                server,
                tls,
            },
            resolved::Heartbeat::Message(choices) => Self {
                client: nothing.clone(),
                method: nothing.clone(),
                path: nothing.clone(),
                query: nothing.clone(),
                protocol: nothing.clone(),
                messages: Some(messages(choices.as_ref(), escaping)),
                status_code: 0,
                status: nothing.clone(),
                body_bytes: 0,
                bytes_in: 0,
                bytes_out: 0,
                user_agent: nothing.clone(),
                nothing,
                server,
                tls,
            },
        }
    }

    /// Writes a heartbeat that is due at `time`.
    pub fn write(&self, time: Time, format: &mut Format, random: &mut Random, out: &mut Lines) {
        let nothing = &self.nothing;
        // A message is the server's own; the others are requests.
        let (thread, remote_port) = if self.messages.is_none() && format.uses().connection {
            (Thread::draw(random), server::client_port(random))
        } else {
            (Thread::PARENT, 0)
        };
        let request_line = RequestLine {
            whole: self.messages.as_ref().map(|messages| messages.draw(random)),
            method: &self.method,
            path: &self.path,
            uri: &self.path,
            query: &self.query,
            protocol: &self.protocol,
        };
        let request = Request {
            time,
            duration: 0,
            time_to_first_byte: 0,
            remote_host: &self.client,
            client_address: &self.client,
            remote_user: nothing,
            request_line,
            status_code: self.status_code,
            status: &self.status,
            original_status: &self.status,
            body_bytes: self.body_bytes,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            referer: nothing,
            user_agent: &self.user_agent,
            virtual_host: nothing,
            remote_port,
            pid: thread.process,
            tid: thread.thread,
            keep_alive_requests: 0,
            id: 0,
            content_type: nothing,
            tls: &self.tls,
            connection_status: b'-',
            named: NamedValues::NONE,
            server: &self.server,
        };
        format.write(&request, out);
    }
}

fn messages(choices: Option<&Choices<String>>, escaping: &Escaping) -> Table<Text> {
    match choices {
        None => Table::only(escaping.text(server::HEARTBEAT)),
        Some(choices) => Table::of(choices, |message| escaping.text(message)),
    }
}
