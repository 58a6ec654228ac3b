//! How a message of an error log is drawn: one of httpd's messages of the stream's level, with the
//! paths, addresses and numbers that it is about; or a configured one.

use std::sync::Arc;

use visor_api::{
    resolved::{self, Choices, ErrorLog, Stream},
    source::{Mpm, Release, StreamKind},
};

use super::{
    catalog,
    format::{Format, Message},
};
use crate::{
    choice::{InvalidWeights, Table},
    clients,
    random::{Random, Seed},
    server::{self, Thread},
    text::{Line, Lines, Text},
    time::Time,
};

/// The subjects of the messages of an error log; the streams of a generator share them.
#[derive(Debug)]
pub struct Subjects {
    clients: Table<Text>,
    referers: Table<Text>,
    paths: Table<Text>,
    hosts: Table<Text>,
    users: Table<Text>,
    scripts: Table<Text>,
    document_root: Text,
    server: Text,
    built: Text,
}

impl Subjects {
    /// The configured subjects, escaped for the format, else the default server's. The pool of
    /// clients depends on `seed`.
    ///
    /// # Errors
    ///
    /// If one of the built-in lists of choices is invalid.
    pub fn new(log: &ErrorLog, seed: Seed, format: &Format) -> Result<Self, InvalidWeights> {
        let text = |plain: &str| format.text(plain);
        let root = log.document_root.trim_end_matches('/');
        let referers = match &log.referers {
            None => Table::new(server::referers().map(|(page, w)| (text(page), w)))?,
            Some(referers) => Table::of(referers, |page| text(page)),
        };
        Ok(Self {
            clients: clients::pool(&log.clients, seed)?,
            referers,
            paths: Table::new(server::paths().map(|(path, w)| (format.text(path), w)))?,
            hosts: Table::new(server::virtual_hosts().map(|host| (text(host), 1)))?,
            users: Table::new(server::users().map(|user| (text(user), 1)))?,
            scripts: Table::new(server::scripts(root).map(|script| (text(&script), 1)))?,
            document_root: text(root),
            server: text(log.release.software()),
            built: text(server::built(log.release)),
        })
    }
}

/// The subjects of one message, drawn once for a line: all occurrences of a path are the same.
struct Particulars<'a> {
    subjects: &'a Subjects,
    path: &'a Text,
    host: &'a Text,
    user: &'a Text,
    script: &'a Text,
    pid: u32,
    number: u64,
    backend: u64,
}

impl<'a> Particulars<'a> {
    fn draw(subjects: &'a Subjects, random: &mut Random) -> Self {
        Self {
            subjects,
            path: subjects.paths.draw(random),
            host: subjects.hosts.draw(random),
            user: subjects.users.draw(random),
            script: subjects.scripts.draw(random),
            pid: server::child(random),
            number: random.between(1, 999),
            backend: random.between(10, 14),
        }
    }
}

/// The model of the messages of one stream.
#[derive(Debug, Clone)]
pub struct MessageModel {
    subjects: Arc<Subjects>,
    level: &'static str,
    thread_id: ThreadId,
    templates: Table<Template>,
    /// The text of the current line, reused so that a line allocates nothing.
    text: Lines,
}

/// Which ID of a thread a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ThreadId {
    /// None: a process of the prefork MPM, up to 2.4.59.
    None,
    /// That of POSIX, up to 2.4.59.
    Posix,
    /// That of the kernel, since 2.4.60.
    Kernel,
    /// That of the process: the kernel's ID of the only thread of a process.
    Process,
}

impl ThreadId {
    fn of(release: Release, mpm: Mpm) -> Self {
        match (release > Release::V2_4_59, mpm) {
            (false, Mpm::Prefork) => Self::None,
            (false, _) => Self::Posix,
            (true, Mpm::Prefork) => Self::Process,
            (true, _) => Self::Kernel,
        }
    }

    fn get(self, thread: Thread) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Posix => Some(thread.posix),
            Self::Kernel => Some(thread.kernel.into()),
            Self::Process => Some(thread.process.into()),
        }
    }
}

/// A parsed message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    module: Box<str>,
    source: Option<(&'static str, u32)>,
    errno: Option<(i32, &'static str)>,
    client: bool,
    referer: bool,
    pieces: Box<[Piece]>,
}

/// A part of a message: literal text, or a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Text),
    File,
    UriPath,
    Host,
    User,
    ProcessId,
    Number,
    Backend,
    Server,
    Built,
    Script,
}

/// The placeholders of the catalog.
const PLACEHOLDERS: [(&str, Piece); 10] = [
    ("{path}", Piece::File),
    ("{uri}", Piece::UriPath),
    ("{host}", Piece::Host),
    ("{user}", Piece::User),
    ("{pid}", Piece::ProcessId),
    ("{number}", Piece::Number),
    ("{backend}", Piece::Backend),
    ("{server}", Piece::Server),
    ("{built}", Piece::Built),
    ("{script}", Piece::Script),
];

impl MessageModel {
    /// The configured messages of this stream, else httpd's messages.
    ///
    /// # Errors
    ///
    /// If the catalog has no messages of the stream's level.
    pub fn new(
        log: &ErrorLog,
        stream: &Stream<Option<Choices<resolved::Message>>>,
        subjects: Arc<Subjects>,
        format: &Format,
    ) -> Result<Self, InvalidWeights> {
        // A heartbeat is logged as if by mod_heartbeat.
        let heartbeat = stream.kind == StreamKind::Heartbeat;
        let level = if heartbeat { StreamKind::Info } else { stream.kind }.as_str();
        let module = if heartbeat { "heartbeat" } else { "core" };
        let templates = if let Some(messages) = &stream.lines {
            Table::of(messages, |message| Template {
                client: message.client,
                referer: message.client && log.referers.is_some(),
                ..Template::literal(
                    message.module.as_deref().unwrap_or(module),
                    format.text(&message.text),
                )
            })
        } else if heartbeat {
            Table::only(Template::literal(module, format.text(server::HEARTBEAT)))
        } else {
            let own = catalog::messages(log.release, stream.kind, log.mpm);
            Table::new(own.map(|entry| {
                let template = Template::new(entry, log.release, format);
                (template, u64::from(entry.weight))
            }))?
        };
        let thread_id = ThreadId::of(log.release, log.mpm);
        Ok(Self { subjects, level, thread_id, templates, text: Lines::default() })
    }

    /// Draws a message that is due at `time`, and writes its line.
    pub fn write(&mut self, time: Time, format: &mut Format, random: &mut Random, out: &mut Lines) {
        let entry = self.templates.draw(random);
        let subjects = &*self.subjects;
        let particulars = Particulars::draw(subjects, random);
        self.text.clear();
        let mut text = self.text.line();
        for piece in &entry.pieces {
            piece.write(&particulars, &mut text);
        }
        text.keep();
        let thread = if entry.client { Thread::draw(random) } else { Thread::PARENT };
        let client =
            entry.client.then(|| (subjects.clients.draw(random), server::client_port(random)));
        let referer = if entry.referer {
            Some(subjects.referers.draw(random)).filter(|referer| ***referer != *b"-")
        } else {
            None
        };
        let message = Message {
            time,
            module: Some(&entry.module),
            level: self.level,
            pid: thread.process,
            tid: self.thread_id.get(thread),
            source: entry.source,
            errno: entry.errno,
            client,
            text: self.text.as_bytes(),
            referer,
        };
        format.write(&message, out);
    }
}

impl Template {
    /// A configured message, as written.
    fn literal(module: &str, text: Text) -> Self {
        Self {
            module: module.into(),
            source: None,
            errno: None,
            client: false,
            referer: false,
            pieces: [Piece::Text(text)].into(),
        }
    }

    /// A message of the catalog.
    fn new(entry: &catalog::CatalogMessage, release: Release, format: &Format) -> Self {
        Self {
            module: entry.module.into(),
            source: entry.source(release),
            errno: entry.errno,
            client: entry.client,
            referer: entry.referer,
            pieces: pieces(entry.text, format),
        }
    }
}

/// Splits a text at its placeholders.
fn pieces(text: &str, format: &Format) -> Box<[Piece]> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let next = |rest: &str| {
        let found = PLACEHOLDERS
            .iter()
            .filter_map(|(name, piece)| rest.find(name).map(|at| (at, name.len(), piece.clone())));
        found.min_by_key(|(at, ..)| *at)
    };
    while let Some((at, length, piece)) = next(rest) {
        pieces.push(Piece::Text(format.text(&rest[..at])));
        pieces.push(piece);
        rest = &rest[at + length..];
    }
    pieces.push(Piece::Text(format.text(rest)));
    pieces.into()
}

impl Piece {
    fn write(&self, particulars: &Particulars<'_>, line: &mut Line<'_>) {
        match self {
            Self::Text(text) => line.put(text),
            Self::File => {
                line.put(&particulars.subjects.document_root);
                line.put(particulars.path);
            }
            Self::UriPath => line.put(particulars.path),
            Self::Host => line.put(particulars.host),
            Self::User => line.put(particulars.user),
            Self::ProcessId => line.number(particulars.pid),
            Self::Number => line.number(particulars.number),
            Self::Backend => {
                line.extend(b"10.0.3.");
                line.number(particulars.backend);
                line.extend(b":8080");
            }
            Self::Server => line.put(&particulars.subjects.server),
            Self::Built => line.put(&particulars.subjects.built),
            Self::Script => line.put(particulars.script),
        }
    }
}
