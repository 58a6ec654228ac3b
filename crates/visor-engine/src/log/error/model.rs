//! How a message of an error log is drawn: one of httpd's messages of the stream's level, with the
//! paths, addresses and numbers that it is about; or a configured one.

use std::sync::Arc;

use visor_logs::{
    StreamKind,
    error_format::Mpm,
    resolved::{self, Choices, ErrorLog, Stream},
};

use super::{
    catalog::{self, CatalogMessage},
    fields::{MessageFields, Part, RequestFields},
    format::{Formatter, LineWriter},
    message::{Message, PerMessageField},
};
use crate::{
    choice::{InvalidWeights, Table},
    clients,
    line::{Columns, Draw, Draws, Field, MESSAGE_TOKEN},
    random::{Random, Seed},
    server::{self, Thread, traffic},
    text::Lines,
    time::Time,
};

/// What the messages of an error log are about; the streams of a generator share it.
#[derive(Debug)]
pub struct Subjects {
    tables: Arc<Tables>,
    client: Field<'static>,
    referer: Field<'static>,
    user_agent: Field<'static>,
    /// The file of a request.
    file: Field<'static>,
    /// Its path.
    path: Field<'static>,
    host: Field<'static>,
    user: Field<'static>,
    script: Field<'static>,
    server_name: Field<'static>,
    /// Whether each message has a token behind it.
    tokens: bool,
}

/// The weights of the subjects.
#[derive(Debug)]
struct Tables {
    clients: Table<()>,
    referers: Table<()>,
    user_agents: Table<()>,
    paths: Table<()>,
    hosts: Table<()>,
    users: Table<()>,
    scripts: Table<()>,
}

impl Subjects {
    /// The configured subjects, else the default server's. The pool of clients depends on `seed`.
    ///
    /// # Errors
    ///
    /// If one of the built-in lists of choices is invalid.
    pub fn new(log: &ErrorLog, seed: Seed) -> Result<Self, InvalidWeights> {
        let root = log.document_root.trim_end_matches('/');
        let clients = clients::pool(&log.clients, seed)?;
        let referers = match &log.referers {
            None => Table::new(server::referers().map(|(page, weight)| (page.to_owned(), weight)))?,
            Some(referers) => Table::of(referers, String::clone),
        };
        let user_agents = traffic::USER_AGENTS.iter();
        let user_agents =
            Table::new(user_agents.map(|(name, weight)| (*name, u64::from(*weight))))?;
        let paths = Table::new(server::paths())?;
        let hosts = Table::new(server::virtual_hosts().map(|host| (host, 1)))?;
        let users = Table::new(server::users().map(|user| (user, 1)))?;
        let scripts = Table::new(server::scripts(root).map(|script| (script, 1)))?;
        let in_root = |path: &Vec<u8>| [root.as_bytes(), path].concat();
        let server_name = hosts.values().first().copied().unwrap_or("-");
        Ok(Self {
            client: field(Draw::CLIENT, &clients, |client| client.to_vec()),
            referer: field(Draw::REFERER, &referers, |page| page.clone().into_bytes()),
            user_agent: field(Draw::USER_AGENT, &user_agents, |name| (*name).into()),
            file: field(Draw::TARGET, &paths, in_root),
            path: field(Draw::TARGET, &paths, Vec::clone),
            host: field(Draw::HOST, &hosts, |host| (*host).into()),
            user: field(Draw::USER, &users, |user| (*user).into()),
            script: field(Draw::SCRIPT, &scripts, |script| script.clone().into_bytes()),
            tokens: log.tokens,
            server_name: Field::only(Draw::HOST, server_name.as_bytes().to_vec()),
            tables: Arc::new(Tables {
                clients: clients.indexes(),
                referers: referers.indexes(),
                user_agents: user_agents.indexes(),
                paths: paths.indexes(),
                hosts: hosts.indexes(),
                users: users.indexes(),
                scripts: scripts.indexes(),
            }),
        })
    }
}

/// The field of a table.
fn field<T>(draw_of: Draw, table: &Table<T>, value: impl Fn(&T) -> Vec<u8>) -> Field<'static> {
    Field::new(draw_of, table.values().iter().map(value))
}

/// The model of the messages of one stream. Clones share it, except for the draws.
#[derive(Debug, Clone)]
pub struct MessageModel {
    tables: Arc<Tables>,
    messages: Arc<Table<CompiledMessage>>,
    draws: Draws,
}

/// A message, as far as all its lines are alike.
#[derive(Debug)]
struct CompiledMessage {
    columns: Columns<PerMessageField>,
    has_client: bool,
    has_referer: bool,
}

impl MessageModel {
    /// The configured messages of this stream, else httpd's messages.
    ///
    /// # Errors
    ///
    /// If the catalog has no messages of the stream's level.
    pub fn new(
        log: &ErrorLog,
        stream: &Stream<Option<Choices<resolved::Message>>>,
        subjects: &Subjects,
        formatter: &mut Formatter<'_>,
    ) -> Result<Self, InvalidWeights> {
        // A heartbeat is logged as if by mod_heartbeat.
        let heartbeat = stream.kind == StreamKind::Heartbeat;
        let level = if heartbeat { StreamKind::Info } else { stream.kind };
        let module = if heartbeat { "heartbeat" } else { "core" };
        let plain = || MessageFields {
            module: Some(module),
            level: level.as_str(),
            severity: level.severity(),
            thread_id: (log.mpm != Mpm::Prefork).then_some(PerMessageField::ThreadId),
            kernel_thread_id: match log.mpm {
                Mpm::Prefork => PerMessageField::ProcessId,
                _ => PerMessageField::KernelThreadId,
            },
            source: None,
            errno: None,
            client: None,
            request: None,
            virtual_host: &subjects.server_name,
            text: Vec::new(),
        };
        let messages = if let Some(messages) = &stream.lines {
            Table::of(messages, |message| {
                let fields = MessageFields {
                    module: Some(message.module.as_deref().unwrap_or(module)),
                    text: vec![Part::text(message.text.as_bytes())],
                    ..plain()
                };
                // Any client sends requests.
                let has_referer = log.referers.is_some();
                let request = message.client.then_some(has_referer);
                CompiledMessage::new(fields, message.client, request, subjects, formatter)
            })
        } else if heartbeat {
            let text = vec![Part::text(server::HEARTBEAT.as_bytes())];
            let fields = MessageFields { text, ..plain() };
            Table::only(CompiledMessage::new(fields, false, None, subjects, formatter))
        } else {
            let own = catalog::messages(log.release, stream.kind, log.mpm);
            Table::new(own.map(|entry| {
                let fields = MessageFields {
                    module: Some(entry.module),
                    source: entry.source(log.release),
                    errno: entry.errno,
                    text: parts(entry, log, subjects),
                    ..plain()
                };
                let request = entry.referer.then_some(true);
                let message =
                    CompiledMessage::new(fields, entry.client, request, subjects, formatter);
                (message, u64::from(entry.weight))
            }))?
        };
        let (tables, messages) = (Arc::clone(&subjects.tables), Arc::new(messages));
        Ok(Self { tables, messages, draws: Draws::default() })
    }

    /// Draws a message that is due at `time`, and writes its line.
    pub fn write(
        &mut self,
        time: Time,
        writer: &mut LineWriter,
        random: &mut Random,
        out: &mut Lines,
    ) {
        let (tables, draws) = (&*self.tables, &mut self.draws);
        let entry = self.messages.draw(random);
        draws.set(Draw::TARGET, tables.paths.draw_index(random));
        draws.set(Draw::HOST, tables.hosts.draw_index(random));
        draws.set(Draw::USER, tables.users.draw_index(random));
        draws.set(Draw::SCRIPT, tables.scripts.draw_index(random));
        let child = server::child(random);
        let number = random.between(1, 999);
        let backend = random.between(10, 14);
        let thread = if entry.has_client { Thread::draw(random) } else { Thread::PARENT };
        let mut client_port = 0;
        if entry.has_client {
            draws.set(Draw::CLIENT, tables.clients.draw_index(random));
            client_port = server::client_port(random);
        }
        if entry.has_referer {
            draws.set(Draw::REFERER, tables.referers.draw_index(random));
        }
        // What the format doesn't need isn't drawn.
        let needed = writer.needed();
        if needed.user_agent {
            draws.set(Draw::USER_AGENT, tables.user_agents.draw_index(random));
        }
        let id =
            if needed.id { u128::from(random.bits()) << 64 | u128::from(random.bits()) } else { 0 };
        let keep_alive_requests = if needed.connection { random.below(12) } else { 0 };
        let message = Message {
            client_port,
            child,
            number,
            backend,
            keep_alive_requests,
            id,
            ..Message::new(draws, time, thread)
        };
        writer.write(&entry.columns, &message, out);
    }
}

impl CompiledMessage {
    /// A message. `request` is whether it is about a request, and whether that may have a referer.
    fn new(
        fields: MessageFields<'_>,
        has_client: bool,
        request: Option<bool>,
        subjects: &Subjects,
        formatter: &mut Formatter<'_>,
    ) -> Self {
        let has_referer = request == Some(true);
        let mut text = fields.text;
        if subjects.tokens {
            text.push(Part::text(MESSAGE_TOKEN));
        }
        let fields = MessageFields {
            text,
            client: has_client.then_some(&subjects.client),
            request: request.map(|_| RequestFields {
                referer: has_referer.then_some(&subjects.referer),
                user_agent: &subjects.user_agent,
                host: &subjects.host,
            }),
            virtual_host: if request.is_some() { &subjects.host } else { fields.virtual_host },
            ..fields
        };
        Self { columns: formatter.columns(&fields), has_client, has_referer }
    }
}

/// The parts of a message of the catalog: what its placeholders stand for, and the text between them.
fn parts<'a>(entry: &CatalogMessage, log: &ErrorLog, subjects: &'a Subjects) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut rest = entry.text;
    while let Some((before, after)) = rest.split_once('{')
        && let Some((name, after)) = after.split_once('}')
    {
        parts.push(Part::text(before.as_bytes()));
        match name {
            "path" => parts.push(Part::Field(&subjects.file)),
            "uri" => parts.push(Part::Field(&subjects.path)),
            "host" => parts.push(Part::Field(&subjects.host)),
            "user" => parts.push(Part::Field(&subjects.user)),
            "script" => parts.push(Part::Field(&subjects.script)),
            "pid" => parts.push(Part::PerMessage(PerMessageField::Child)),
            "number" => parts.push(Part::PerMessage(PerMessageField::Number)),
            "backend" => parts.extend([
                Part::text(b"10.0.3.".as_slice()),
                Part::PerMessage(PerMessageField::Backend),
                Part::text(b":8080".as_slice()),
            ]),
            "server" => parts.push(Part::text(log.release.software().as_bytes())),
            "built" => parts.push(Part::text(server::built(log.release).as_bytes())),
            other => parts.push(Part::text(format!("{{{other}}}").into_bytes())),
        }
        rest = after;
    }
    parts.push(Part::text(rest.as_bytes()));
    parts
}
