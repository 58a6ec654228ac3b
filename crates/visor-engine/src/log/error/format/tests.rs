//! Lines of messages in the default formats, and fields that are dropped.

use visor_logs::{
    Release, StreamKind,
    error_log_format::{ErrorLogFormat, parse},
};

use super::*;
use crate::{line::Draws, server::Thread, time::Time};

fn fields(text: &[u8]) -> MessageFields<'_> {
    const HOST: &Field<'_> = &Field { draw_of: Draw::HOST, values: Vec::new() };
    MessageFields {
        module: Some("core"),
        level: "trace3",
        severity: StreamKind::Trace3.severity(),
        thread_id: Some(PerMessageField::ThreadId),
        kernel_thread_id: PerMessageField::KernelThreadId,
        source: Some(("core.c", 5)),
        errno: Some((2, "No such file or directory")),
        client: None,
        request: None,
        virtual_host: HOST,
        text: vec![Part::text(text)],
    }
}

/// The lines of a message with each value of its referer.
fn written_all(format: &ErrorLogFormat, fields: &MessageFields<'_>) -> Vec<String> {
    let mut formatter = Formatter::new(format, &TimeZone::UTC);
    let columns = formatter.columns(fields);
    let mut writer = formatter.finish();
    let referer = fields.request.as_ref().and_then(|request| request.referer);
    let count = referer.map_or(1, |field| field.values.len());
    let write = |number| {
        let mut draws = Draws::default();
        draws.set(Draw::REFERER, number);
        let time = Time::from_nanos(971_211_336_123_456_789);
        let thread = Thread { process: 7, posix: 8, kernel: 9 };
        let message = Message { client_port: 4711, ..Message::new(&draws, time, thread) };
        let mut out = Lines::default();
        writer.write(&columns, &message, &mut out);
        String::from_utf8(out.as_bytes().to_vec()).unwrap()
    };
    (0..count).map(write).collect()
}

fn written(format: &ErrorLogFormat, fields: &MessageFields<'_>) -> String {
    written_all(format, fields).remove(0)
}

#[test]
fn each_release_has_its_own_format() {
    let client = Field::only(Draw::CLIENT, b"192.0.2.1".as_slice());
    let referer = Field::only(Draw::REFERER, b"https://shop.example/".as_slice());
    let message = MessageFields {
        client: Some(&client),
        request: Some(RequestFields {
            referer: Some(&referer),
            user_agent: &referer,
            host: &referer,
        }),
        ..fields(b"AH00001: gone")
    };
    for (release, tid) in [(Release::V2_4_59, 8), (Release::V2_4_71, 9)] {
        let format = ErrorLogFormat::default_of(release).unwrap();
        assert_eq!(
            written(&format, &message),
            format!(
                "[Tue Oct 10 20:55:36.123456 2000] [core:trace3] [pid 7:tid {tid}] core.c(5): \
                 (2)No such file or directory: [client 192.0.2.1:4711] AH00001: gone, \
                 referer: https://shop.example/\n"
            )
        );
    }
    let format = ErrorLogFormat::default_of(Release::V2_2_34).unwrap();
    assert_eq!(
        written(&format, &message),
        "[Tue Oct 10 20:55:36 2000] [trace3] core.c(5): [client 192.0.2.1] \
         (2)No such file or directory: AH00001: gone, referer: https://shop.example/\n"
    );
}

#[test]
fn what_httpd_doesn_t_know_is_left_out() {
    let message = MessageFields { thread_id: None, source: None, errno: None, ..fields(b"a") };
    let format = ErrorLogFormat::default_of(Release::V2_4_59).unwrap();
    assert_eq!(
        written(&format, &message),
        "[Tue Oct 10 20:55:36.123456 2000] [core:trace3] [pid 7] a\n"
    );
}

#[test]
fn an_empty_item_drops_its_field_or_is_a_hyphen() {
    let client = Field::only(Draw::CLIENT, b"192.0.2.1".as_slice());
    let referers = Field::new(Draw::REFERER, [b"-".as_slice(), b"/a", b""]);
    let message = MessageFields {
        client: Some(&client),
        request: Some(RequestFields {
            referer: Some(&referers),
            user_agent: &client,
            host: &client,
        }),
        errno: None,
        ..fields(b"gone")
    };
    let server = MessageFields { client: None, request: None, ..message.clone() };
    for (format, of_request, of_server) in [
        ("%l %a %M", ["trace3 192.0.2.1:4711 gone"; 3], "trace3 gone"),
        ("%l %-a %-E %M", ["trace3 192.0.2.1:4711 - gone"; 3], "trace3 - - gone"),
        ("%l [client %a] %M", ["trace3 [client 192.0.2.1:4711] gone"; 3], "trace3 [client gone"),
        ("%l [client\\ %a] %M", ["trace3 [client 192.0.2.1:4711] gone"; 3], "trace3 gone"),
        ("%6l %7a %8a %12a %M", ["trace3 192.0.2.1:4711 192.0.2.1:4711 gone"; 3], "trace3 gone"),
        ("%M% ,%{Referer}i %l", ["gone trace3", "gone,/a trace3", "gone trace3"], "gone trace3"),
        ("%M %-{referer}i", ["gone -", "gone /a", "gone -"], "gone -"),
        // The message is never dropped on its own, but with the field.
        ("%l %{Referer}i%M", ["trace3gone", "trace3 /agone", "trace3gone"], "trace3gone"),
        (
            "%l %M%{Referer}i %m",
            ["trace3 core", "trace3 gone/a core", "trace3 core"],
            "trace3 core",
        ),
        ("%l%M%{Referer}i", ["", "trace3gone/a", ""], ""),
        // The dropped field goes on being the current one.
        ("%l %E%M %E %m", ["trace3 core"; 3], "trace3 core"),
    ] {
        let parsed = parse(format).unwrap();
        let lines = written_all(&parsed, &message);
        assert_eq!(lines, of_request.map(|line| format!("{line}\n")), "{format}");
        assert_eq!(written(&parsed, &server), format!("{of_server}\n"), "{format}");
    }
}

#[test]
fn a_line_is_at_most_as_long_as_httpd_s_buffer() {
    let format = ErrorLogFormat::default_of(Release::PRESENT).unwrap();
    let empty = written(&format, &fields(b".")).len() - 1;
    for length in 8000..8300 {
        let line = written(&format, &fields("x".repeat(length).as_bytes()));
        assert_eq!(line.len(), (empty + length).min(BUFFER), "{length}");
    }
}

#[test]
fn an_escape_that_doesn_t_fit_whole_is_left_out() {
    let format = parse("%M").unwrap();
    for (room, fits) in
        [(1, "a"), (2, "a"), (3, "a\\n"), (6, "a\\n"), (7, "a\\n\\x01"), (8, "a\\n\\x01")]
    {
        let text = [".".repeat(BUFFER - room).as_bytes(), b"a\n\x01b"].concat();
        let line = written(&format, &fields(&text));
        assert_eq!(
            &line[(BUFFER - room).min(line.len() - 1)..line.len() - 1],
            &fits[..fits.len().min(room - 1)],
            "{room}"
        );
    }
}
