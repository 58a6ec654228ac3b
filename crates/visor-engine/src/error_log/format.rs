//! The default formats of error logs in httpd 2.4 and 2.2.
//!
//! As `do_errorlog_default` of httpd 2.4's `server/log.c` has it, and `log_error_core` of 2.2's.

use jiff::tz::TimeZone;
use visor_api::source::ErrorFormat;

use crate::{
    escape,
    stamp::ErrorStamp,
    text::{Line, Lines, Text},
    time::Time,
};

/// The size of httpd's buffer (`MAX_STRING_LEN`, less the terminating byte).
const BUFFER: usize = 8191;
/// The maximum length of a line without its newline: what httpd writes of a full buffer.
const MAX_LINE_BYTES: usize = 8190;

/// The fields of one message. Texts are already escaped.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// When.
    pub time: Time,
    /// The module that logs it; `None` if httpd doesn't know it.
    pub module: Option<&'a str>,
    /// The level by httpd's name.
    pub level: &'a str,
    /// The process.
    pub pid: u32,
    /// The thread; `None` without threads, as with the prefork MPM.
    pub tid: Option<u64>,
    /// The source file and line; written at debug and below.
    pub source: Option<(&'a str, u32)>,
    /// The system's error number and text.
    pub errno: Option<(i32, &'a str)>,
    /// The client's address and port, if there is a connection.
    pub client: Option<(&'a Text, u16)>,
    /// The message.
    pub text: &'a [u8],
    /// The referer.
    pub referer: Option<&'a Text>,
}

/// A writer for the format of an error log.
#[derive(Debug, Clone)]
pub struct Format {
    release: ErrorFormat,
    stamp: ErrorStamp,
}

impl Format {
    /// The format of this httpd release, with times in this zone.
    pub fn new(release: ErrorFormat, zone: &TimeZone) -> Self {
        let stamp = ErrorStamp::new(release == ErrorFormat::Httpd24, zone.clone());
        Self { release, stamp }
    }

    /// The escaped text of these bytes.
    pub fn text(&self, plain: impl AsRef<[u8]>) -> Text {
        Text::new(&escape::error_log_item(plain.as_ref()))
    }

    /// Writes the line of a message, newline included.
    pub fn write(&mut self, message: &Message<'_>, out: &mut Lines) {
        let mut line = out.line();
        line.push(b'[');
        self.stamp.write(message.time, &mut line);
        line.extend(b"] [");
        match self.release {
            ErrorFormat::Httpd24 => write_24(message, &mut line),
            ErrorFormat::Httpd22 => write_22(message, &mut line),
        }
        put_truncated(message.text, &mut line);
        if let Some(referer) = message.referer {
            let before = line.len();
            put_truncated(b", referer: ", &mut line);
            let empty = line.len();
            put_truncated(referer, &mut line);
            if line.len() == empty {
                line.truncate(before);
            }
        }
        line.truncate(MAX_LINE_BYTES);
        line.push(b'\n');
        line.keep();
    }
}

/// Appends as much of an escaped text as fits into the buffer. As in `ap_escape_errorlog_item`, an
/// escape sequence that doesn't fit completely is left out.
fn put_truncated(text: &[u8], line: &mut Line<'_>) {
    let room = BUFFER.saturating_sub(line.len());
    if text.len() <= room {
        return line.extend(text);
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
    line.extend(&text[..end]);
}

/// The fields of 2.4 between the time and the message.
fn write_24(message: &Message<'_>, line: &mut Line<'_>) {
    line.extend(message.module.unwrap_or_default().as_bytes());
    line.push(b':');
    line.extend(message.level.as_bytes());
    line.extend(b"] [pid ");
    line.number(message.pid);
    if let Some(tid) = message.tid {
        line.extend(b":tid ");
        line.number(tid);
    }
    line.extend(b"] ");
    write_source(message, line);
    write_errno(message, line);
    if let Some((address, port)) = message.client {
        write_client(address, line);
        line.push(b':');
        line.number(port);
        line.extend(b"] ");
    }
}

/// The fields of 2.2 between the time and the message.
fn write_22(message: &Message<'_>, line: &mut Line<'_>) {
    line.extend(message.level.as_bytes());
    line.extend(b"] ");
    write_source(message, line);
    if let Some((address, _)) = message.client {
        write_client(address, line);
        line.extend(b"] ");
    }
    write_errno(message, line);
}

fn write_source(message: &Message<'_>, line: &mut Line<'_>) {
    if let Some((file, number)) = message.source {
        line.extend(file.as_bytes());
        line.push(b'(');
        line.number(number);
        line.extend(b"): ");
    }
}

fn write_errno(message: &Message<'_>, line: &mut Line<'_>) {
    if let Some((number, text)) = message.errno {
        line.push(b'(');
        line.signed_number(number);
        line.push(b')');
        line.extend(text.as_bytes());
        line.extend(b": ");
    }
}

fn write_client(address: &Text, line: &mut Line<'_>) {
    line.extend(b"[client ");
    line.extend(address);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &[u8]) -> Message<'_> {
        Message {
            time: Time::from_nanos(971_211_336_123_456_789),
            module: Some("core"),
            level: "trace3",
            pid: 7,
            tid: Some(8),
            source: Some(("core.c", 5)),
            errno: Some((2, "No such file or directory")),
            client: None,
            text,
            referer: None,
        }
    }

    fn written(release: ErrorFormat, message: &Message<'_>) -> String {
        let mut out = Lines::default();
        Format::new(release, &TimeZone::UTC).write(message, &mut out);
        String::from_utf8(out.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn each_release_has_its_own_order() {
        let (client, referer) = (Text::new(b"192.0.2.1"), Text::new(b"https://shop.example/"));
        let message = Message {
            client: Some((&client, 4711)),
            referer: Some(&referer),
            ..message(b"AH00001: gone")
        };
        assert_eq!(
            written(ErrorFormat::Httpd24, &message),
            "[Tue Oct 10 20:55:36.123456 2000] [core:trace3] [pid 7:tid 8] core.c(5): \
             (2)No such file or directory: [client 192.0.2.1:4711] AH00001: gone, \
             referer: https://shop.example/\n"
        );
        assert_eq!(
            written(ErrorFormat::Httpd22, &Message { level: "debug", ..message }),
            "[Tue Oct 10 20:55:36 2000] [debug] core.c(5): [client 192.0.2.1] \
             (2)No such file or directory: AH00001: gone, referer: https://shop.example/\n"
        );
    }

    #[test]
    fn what_httpd_doesn_t_know_is_left_out() {
        let message =
            Message { module: None, tid: None, source: None, errno: None, ..message(b"a") };
        assert_eq!(
            written(ErrorFormat::Httpd24, &message),
            "[Tue Oct 10 20:55:36.123456 2000] [:trace3] [pid 7] a\n"
        );
    }

    #[test]
    fn a_line_is_at_most_as_long_as_httpd_s_buffer() {
        for length in 8000..8300 {
            let text = "x".repeat(length);
            let line = written(ErrorFormat::Httpd24, &message(text.as_bytes()));
            let whole = written(ErrorFormat::Httpd24, &message(b"")).len() + length;
            assert_eq!(line.len(), whole.min(MAX_LINE_BYTES + 1), "{length}");
        }
    }

    #[test]
    fn an_escape_that_doesn_t_fit_whole_is_left_out() {
        for (room, fits) in
            [(1, "a"), (2, "a"), (3, "a\\n"), (6, "a\\n"), (7, "a\\n\\x01"), (8, "a\\n\\x01b")]
        {
            let mut out = Lines::default();
            let mut line = out.line();
            line.extend(&vec![b'.'; BUFFER - room]);
            put_truncated(b"a\\n\\x01b", &mut line);
            line.keep();
            let written = &out.as_bytes()[BUFFER - room..];
            assert_eq!(std::str::from_utf8(written).unwrap(), fits, "{room}");
        }
    }
}
