//! How a message of an error log is drawn: one of httpd's own of the stream's level, with the
//! paths, addresses and numbers that it is about; or one of the document's.

use std::sync::Arc;

use visor_api::{
    resolved::{self, Choices, ErrorLog, Stream},
    source::{ErrorFormat, Mpm, StreamKind},
};

use super::{
    catalogue::{self, CATALOGUE},
    format::{Format, Message},
};
use crate::{
    access::{heartbeat::ORDINARY_MESSAGE, subjects},
    choice::{NothingToDraw, Table},
    clients,
    escape::error_log_item,
    random::{Random, Seed},
    text::{Lines, Text},
};

/// What the messages of an error log are about; the streams of a generator share it.
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
}

impl Subjects {
    /// What a document asks for; where it says nothing, an ordinary server's. The pool of clients
    /// depends on `seed`.
    ///
    /// # Errors
    ///
    /// If one of our own lists of choices can't be drawn from.
    pub fn new(log: &ErrorLog, seed: Seed) -> Result<Self, NothingToDraw> {
        let referers = match &log.referers {
            None => Table::new(subjects::referers().map(|(page, w)| (text(page), w)))?,
            Some(referers) => Table::of(referers, |page| text(page)),
        };
        Ok(Self {
            clients: clients::pool(&log.clients, seed)?,
            referers,
            paths: Table::new(subjects::paths().map(|(path, w)| (error_log_item(&path), w)))?,
            hosts: Table::new(subjects::virtual_hosts().map(|host| (text(host), 1)))?,
            users: Table::new(subjects::users().map(|user| (text(user), 1)))?,
            scripts: Table::new(SCRIPTS.map(|script| (text(script), 1)))?,
            document_root: text(log.document_root.trim_end_matches('/')),
            server: text(subjects::SERVER),
        })
    }
}

/// What one message is about, drawn once a line: where it says a path twice, it says the same one.
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
            pid: PARENT + random.between(1, 400) as u32,
            number: random.between(1, 999),
            backend: random.between(10, 14),
        }
    }
}

/// What the messages of one stream say.
#[derive(Debug, Clone)]
pub struct Content {
    subjects: Arc<Subjects>,
    level: &'static str,
    /// Whether the multi-processing module has threads.
    threads: bool,
    entries: Table<Entry>,
    /// The text of the line that is being written, kept so that a line allocates nothing.
    text: Lines,
}

/// A message, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    module: Box<str>,
    source: Option<(&'static str, u32)>,
    errno: Option<(i32, &'static str)>,
    client: bool,
    referer: bool,
    pieces: Box<[Piece]>,
}

/// A part of a message: fixed text, or something that it is about.
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
    Script,
}

/// The placeholders of the catalogue.
const PLACEHOLDERS: [(&str, Piece); 9] = [
    ("{path}", Piece::File),
    ("{uri}", Piece::UriPath),
    ("{host}", Piece::Host),
    ("{user}", Piece::User),
    ("{pid}", Piece::ProcessId),
    ("{number}", Piece::Number),
    ("{backend}", Piece::Backend),
    ("{server}", Piece::Server),
    ("{script}", Piece::Script),
];

/// The programs behind the server that go wrong.
const SCRIPTS: [&str; 4] = [
    "/usr/lib/cgi-bin/stock.cgi",
    "/usr/lib/cgi-bin/report.cgi",
    "/var/www/html/index.php",
    "/var/www/html/checkout.php",
];
/// The process that the others are children of; it speaks where there is no connection.
const PARENT: u32 = 1_187;
const PARENT_THREAD: u64 = 140_187_351_398_272;

impl Content {
    /// What a document asks this stream to say; where it says nothing, httpd's own messages.
    ///
    /// # Errors
    ///
    /// If the catalogue has none of the stream's level.
    pub fn new(
        log: &ErrorLog,
        stream: &Stream<Option<Choices<resolved::Message>>>,
        subjects: Arc<Subjects>,
    ) -> Result<Self, NothingToDraw> {
        // A heartbeat is what mod_heartbeat might say.
        let heartbeat = stream.kind == StreamKind::Heartbeat;
        let level = if heartbeat { StreamKind::Info } else { stream.kind }.as_str();
        let module = if heartbeat { "heartbeat" } else { "core" };
        let entries = if let Some(messages) = &stream.lines {
            Table::of(messages, |message| Entry {
                client: message.client,
                ..Entry::literal(message.module.as_deref().unwrap_or(module), &message.text)
            })
        } else if heartbeat {
            Table::only(Entry::literal(module, ORDINARY_MESSAGE))
        } else {
            let fits = |entry: &&catalogue::Entry| {
                entry.level == stream.kind && entry.mpm.is_none_or(|mpm| mpm == log.mpm)
            };
            let own = CATALOGUE.iter().filter(fits);
            Table::new(own.map(|entry| (Entry::new(entry, log.format), u64::from(entry.weight))))?
        };
        let threads = log.mpm != Mpm::Prefork;
        Ok(Self { subjects, level, threads, entries, text: Lines::default() })
    }

    /// Draws a message that is due at `time`, in nanoseconds since the epoch, and writes its line.
    pub fn write(&mut self, time: i64, format: &mut Format, random: &mut Random, out: &mut Lines) {
        let entry = self.entries.draw(random);
        let subjects = &*self.subjects;
        let particulars = Particulars::draw(subjects, random);
        self.text.clear();
        for piece in &entry.pieces {
            piece.write(&particulars, &mut self.text);
        }
        let (pid, tid) = if entry.client { child(random) } else { (PARENT, PARENT_THREAD) };
        let client = entry
            .client
            .then(|| (subjects.clients.draw(random), random.between(32_768, 60_999) as u16));
        let referer = if entry.referer {
            Some(subjects.referers.draw(random)).filter(|referer| ***referer != *b"-")
        } else {
            None
        };
        let message = Message {
            time,
            module: Some(&entry.module),
            level: self.level,
            pid,
            tid: self.threads.then_some(tid),
            source: entry.source,
            errno: entry.errno,
            client,
            text: self.text.as_bytes(),
            referer,
        };
        format.write(&message, out);
    }
}

/// The process and the thread that serves a connection: a few processes with 25 threads each.
fn child(random: &mut Random) -> (u32, u64) {
    let process = random.below(4);
    let thread = 140_187_334_538_944 + process * 4_294_967_296 - random.below(25) * 8_392_704;
    (PARENT + 1 + process as u32, thread)
}

impl Entry {
    /// A message of a document, word for word.
    fn literal(module: &str, text: &str) -> Self {
        Self {
            module: module.into(),
            source: None,
            errno: None,
            client: false,
            referer: false,
            pieces: [Piece::Text(self::text(text))].into(),
        }
    }

    /// A message of the catalogue. httpd 2.2 said much the same, without the numbers in front.
    fn new(entry: &catalogue::Entry, format: ErrorFormat) -> Self {
        let text = match (format, entry.text.split_once(": ")) {
            (ErrorFormat::Httpd22, Some((number, rest))) if number.starts_with("AH") => rest,
            _ => entry.text,
        };
        Self {
            module: entry.module.into(),
            source: entry.source,
            errno: entry.errno,
            client: entry.client,
            referer: entry.referer,
            pieces: pieces(text),
        }
    }
}

/// Takes a text apart at its placeholders.
fn pieces(text: &str) -> Box<[Piece]> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let next = |rest: &str| {
        let found = PLACEHOLDERS
            .iter()
            .filter_map(|(name, piece)| rest.find(name).map(|at| (at, name.len(), piece.clone())));
        found.min_by_key(|(at, ..)| *at)
    };
    while let Some((at, length, piece)) = next(rest) {
        pieces.push(Piece::Text(self::text(&rest[..at])));
        pieces.push(piece);
        rest = &rest[at + length..];
    }
    pieces.push(Piece::Text(self::text(rest)));
    pieces.into()
}

impl Piece {
    fn write(&self, particulars: &Particulars<'_>, out: &mut Lines) {
        match self {
            Self::Text(text) => out.put(text),
            Self::File => {
                out.put(&particulars.subjects.document_root);
                out.put(particulars.path);
            }
            Self::UriPath => out.put(particulars.path),
            Self::Host => out.put(particulars.host),
            Self::User => out.put(particulars.user),
            Self::ProcessId => out.number(particulars.pid),
            Self::Number => out.number(particulars.number),
            Self::Backend => {
                out.extend(b"10.0.3.");
                out.number(particulars.backend);
                out.extend(b":8080");
            }
            Self::Server => out.put(&particulars.subjects.server),
            Self::Script => out.put(particulars.script),
        }
    }
}

fn text(text: &str) -> Text {
    error_log_item(text.as_bytes())
}
