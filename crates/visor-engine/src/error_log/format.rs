//! How a message is written in an error log: the default formats of httpd 2.4 and 2.2.
//!
//! As `do_errorlog_default` of httpd 2.4's `server/log.c` has it, and `log_error_core` of 2.2's.

use jiff::tz::TimeZone;
use visor_api::source::ErrorFormat;

use crate::{
    escape,
    stamp::ErrorStamp,
    text::{Lines, Text},
    time::Time,
};

/// What fits httpd's buffer (`MAX_STRING_LEN`, less the byte that ends a C string).
const BUFFER: usize = 8191;
/// The longest line, newline left out: what httpd writes of a full buffer.
const LONGEST_LINE: usize = 8190;

/// The facts of one message. Texts are escaped already.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// When.
    pub time: Time,
    /// The module that says it; `None` where httpd knows none.
    pub module: Option<&'a str>,
    /// The level by httpd's name.
    pub level: &'a str,
    /// The process.
    pub pid: u32,
    /// The thread; `None` where httpd has none, as under the prefork MPM.
    pub tid: Option<u64>,
    /// The source file and line; written at debug and below.
    pub source: Option<(&'a str, u32)>,
    /// The system's error number and text.
    pub errno: Option<(i32, &'a str)>,
    /// The client's address and port, where there is a connection.
    pub client: Option<(&'a Text, u16)>,
    /// The message.
    pub text: &'a [u8],
    /// The page that the request came from.
    pub referer: Option<&'a Text>,
}

/// An error log's format, ready to write lines.
#[derive(Debug, Clone)]
pub struct Format {
    release: ErrorFormat,
    stamp: ErrorStamp,
}

impl Format {
    /// The format of this httpd, with times of this zone.
    pub fn new(release: ErrorFormat, zone: &TimeZone) -> Self {
        let stamp = ErrorStamp::new(release == ErrorFormat::Httpd24, zone.clone());
        Self { release, stamp }
    }

    /// The text that stands in a line for these bytes.
    pub fn text(&self, plain: impl AsRef<[u8]>) -> Text {
        escape::error_log_item(plain.as_ref())
    }

    /// Writes the line of a message, newline included.
    pub fn write(&mut self, message: &Message<'_>, out: &mut Lines) {
        let start = out.len();
        out.push(b'[');
        self.stamp.write(message.time, out);
        out.extend(b"] [");
        match self.release {
            ErrorFormat::Httpd24 => write_24(message, out),
            ErrorFormat::Httpd22 => write_22(message, out),
        }
        put_what_fits(message.text, start, out);
        if let Some(referer) = message.referer {
            let before = out.len();
            put_what_fits(b", referer: ", start, out);
            let empty = out.len();
            put_what_fits(referer, start, out);
            if out.len() == empty {
                out.truncate(before);
            }
        }
        out.truncate(start + LONGEST_LINE);
        out.push(b'\n');
    }
}

/// Appends as much of an escaped text as fits the buffer of the line that began at `start`. As in
/// `ap_escape_errorlog_item`, an escape that doesn't fit whole is left out.
fn put_what_fits(text: &[u8], start: usize, out: &mut Lines) {
    let room = BUFFER.saturating_sub(out.len() - start);
    if text.len() <= room {
        return out.extend(text);
    }
    let mut end = 0;
    while let Some(byte) = text.get(end) {
        let unit = match (byte, text.get(end + 1)) {
            (b'\\', Some(b'x')) => 4,
            (b'\\', Some(_)) => 2,
            _ => 1,
        };
        if end + unit > room {
            break;
        }
        end += unit;
    }
    out.extend(&text[..end]);
}

/// What 2.4 has between the time and the message.
fn write_24(message: &Message<'_>, out: &mut Lines) {
    out.extend(message.module.unwrap_or_default().as_bytes());
    out.push(b':');
    out.extend(message.level.as_bytes());
    out.extend(b"] [pid ");
    out.number(message.pid);
    if let Some(tid) = message.tid {
        out.extend(b":tid ");
        out.number(tid);
    }
    out.extend(b"] ");
    write_source(message, out);
    write_errno(message, out);
    if let Some((address, port)) = message.client {
        write_client(address, out);
        out.push(b':');
        out.number(port);
        out.extend(b"] ");
    }
}

/// What 2.2 has between the time and the message. It knows no levels below debug.
fn write_22(message: &Message<'_>, out: &mut Lines) {
    let level = if message.level.starts_with("trace") { "debug" } else { message.level };
    out.extend(level.as_bytes());
    out.extend(b"] ");
    write_source(message, out);
    if let Some((address, _)) = message.client {
        write_client(address, out);
        out.extend(b"] ");
    }
    write_errno(message, out);
}

fn write_source(message: &Message<'_>, out: &mut Lines) {
    if let Some((file, line)) = message.source {
        out.extend(file.as_bytes());
        out.push(b'(');
        out.number(line);
        out.extend(b"): ");
    }
}

fn write_errno(message: &Message<'_>, out: &mut Lines) {
    if let Some((number, text)) = message.errno {
        out.push(b'(');
        out.number(number);
        out.push(b')');
        out.extend(text.as_bytes());
        out.extend(b": ");
    }
}

fn write_client(address: &Text, out: &mut Lines) {
    out.extend(b"[client ");
    out.extend(address);
}
