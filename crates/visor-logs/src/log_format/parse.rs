//! The parser of format strings: text in, literals and directives out, or httpd's error.

use super::{
    Condition, Directive, DurationUnit, Field, Item, LogFormat, LogFormatError, Namespace,
    TimeFormat,
};

/// Parses a format string.
///
/// A backslash before `"` is removed, as httpd's configuration parser does, so that a format can be
/// pasted as it is in httpd.conf.
///
/// # Errors
///
/// If httpd would reject it; and if it has a newline, which would break the line.
pub fn parse(text: &str) -> Result<LogFormat, LogFormatError> {
    if text.is_empty() {
        return Err(LogFormatError::Empty);
    }
    let mut items = Vec::new();
    let mut literal = String::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, character)) = rest.next() {
        match character {
            '%' if matches!(rest.peek(), Some((_, '%'))) => {
                rest.next();
                literal.push('%');
            }
            '%' => {
                if !literal.is_empty() {
                    items.push(Item::Literal(std::mem::take(&mut literal)));
                }
                let (directive, end) = directive(text, start)?;
                items.push(Item::Directive(directive));
                while rest.next_if(|(at, _)| *at < end).is_some() {}
            }
            '\\' => match rest.peek() {
                Some((_, 'n')) => return Err(LogFormatError::Newline),
                Some((_, escaped @ ('\\' | '"' | 't' | 'r'))) => {
                    literal.push(match escaped {
                        't' => '\t',
                        'r' => '\r',
                        other => *other,
                    });
                    rest.next();
                }
                _ => literal.push('\\'),
            },
            '\n' => return Err(LogFormatError::Newline),
            other => literal.push(other),
        }
    }
    if !literal.is_empty() {
        items.push(Item::Literal(literal));
    }
    Ok(LogFormat { items })
}

/// The modifiers before a directive's letter that have been parsed so far.
#[derive(Default)]
struct Modifiers {
    argument: Option<String>,
    original: Option<bool>,
    statuses: Vec<u16>,
    negated: bool,
}

/// Parses the directive whose `%` is at byte `start`, and returns where it ends.
fn directive(text: &str, start: usize) -> Result<(Directive, usize), LogFormatError> {
    let position = text[..start].chars().count() + 1;
    let unfinished =
        || LogFormatError::Unfinished { directive: text[start..].to_owned(), position };
    let mut modifiers = Modifiers::default();
    let mut at = start + 1;
    loop {
        let rest = &text[at..];
        let character = rest.chars().next().ok_or_else(unfinished)?;
        at += character.len_utf8();
        match character {
            '!' => modifiers.negated = !modifiers.negated,
            '<' => modifiers.original = Some(true),
            '>' => modifiers.original = Some(false),
            ',' => {}
            '{' => {
                let length = text[at..].find('}').ok_or_else(unfinished)?;
                modifiers.argument = Some(text[at..at + length].to_owned());
                at += length + 1;
            }
            '0'..='9' => {
                let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(unfinished)?;
                at += digits - 1;
                // A number that is no status code is that of no response.
                modifiers.statuses.push(rest[..digits].parse().unwrap_or(u16::MAX));
            }
            letter => {
                if letter == '^' {
                    at += text[at..].chars().take(2).map(char::len_utf8).sum::<usize>();
                }
                let name = &text[at - trailing_name_length(rest, letter)..at];
                let written = &text[start..at];
                return finish(name, written, position, modifiers).map(|found| (found, at));
            }
        }
    }
}

/// The length in bytes of a directive's name: one character, or three that begin with `^`.
fn trailing_name_length(rest: &str, letter: char) -> usize {
    let characters = if letter == '^' { 3 } else { 1 };
    rest.chars().take(characters).map(char::len_utf8).sum()
}

/// Creates the directive from its name and modifiers.
fn finish(
    name: &str,
    written: &str,
    position: usize,
    modifiers: Modifiers,
) -> Result<Directive, LogFormatError> {
    let bad = |reason: &str| LogFormatError::BadArgument {
        directive: written.to_owned(),
        position,
        reason: reason.to_owned(),
    };
    let argument = modifiers.argument.as_deref().unwrap_or("");
    let named = |namespace| Field::Named(namespace, argument.to_owned());
    // httpd's name for an argument that it writes literally.
    let verbatim = || Field::Verbatim(argument.to_owned());
    let field = match name {
        "h" => Field::RemoteHost,
        "a" => Field::ClientAddress,
        "A" => Field::LocalAddress,
        "l" => Field::RemoteLogname,
        "u" => Field::RemoteUser,
        "t" => time(argument).map_err(|reason| bad(&reason))?,
        "r" => Field::RequestLine,
        "f" => Field::Filename,
        "b" => Field::BodyBytesOrDash,
        "B" => Field::BodyBytes,
        "I" => Field::BytesIn,
        "O" => Field::BytesOut,
        "S" => Field::BytesTransferred,
        "i" => named(Namespace::RequestHeader),
        "o" => named(Namespace::ResponseHeader),
        "C" => named(Namespace::Cookie),
        "n" => named(Namespace::Note),
        "e" => named(Namespace::Environment),
        "x" => named(Namespace::TlsVariable),
        "c" => tls_variable(argument),
        "^FB" => Field::TimeToFirstByte,
        "^ti" => named(Namespace::RequestTrailer),
        "^to" => named(Namespace::ResponseTrailer),
        "V" => Field::ServerName,
        "v" => Field::VirtualHost,
        "p" => match argument.to_ascii_lowercase().as_str() {
            "" | "canonical" => Field::Port,
            "local" => Field::LocalPort,
            "remote" => Field::RemotePort,
            _ => verbatim(),
        },
        "P" => match argument.to_ascii_lowercase().as_str() {
            "" | "pid" => Field::ProcessId,
            "tid" => Field::ThreadId,
            "hextid" => Field::ThreadIdHexadecimal,
            _ => verbatim(),
        },
        "H" => Field::Protocol,
        "m" => Field::Method,
        "U" => Field::Path,
        "q" => Field::Query,
        "s" => Field::Status,
        "D" => Field::Duration(DurationUnit::Microseconds),
        "T" => match argument.to_ascii_lowercase().as_str() {
            "" | "s" => Field::Duration(DurationUnit::Seconds),
            "ms" => Field::Duration(DurationUnit::Milliseconds),
            "us" => Field::Duration(DurationUnit::Microseconds),
            _ => verbatim(),
        },
        "R" => Field::Handler,
        "L" => Field::LogId,
        "X" => Field::ConnectionStatus,
        "k" => Field::KeepAliveRequests,
        _ => {
            return Err(LogFormatError::UnknownDirective {
                directive: written.to_owned(),
                position,
            });
        }
    };
    // As registered at the end of mod_log_config.c.
    let of_the_original = matches!(name, "r" | "D" | "T" | "U" | "s" | "R" | "L");
    let condition = (!modifiers.statuses.is_empty())
        .then_some(Condition { statuses: modifiers.statuses, negated: modifiers.negated });
    Ok(Directive { field, original: modifiers.original.unwrap_or(of_the_original), condition })
}

/// `%{...}c`, the older form of `%{...}x` in `mod_ssl`.
fn tls_variable(argument: &str) -> Field {
    let variable = match argument {
        "version" => "SSL_PROTOCOL",
        "cipher" => "SSL_CIPHER",
        "subjectdn" | "clientcert" => "SSL_CLIENT_S_DN",
        "issuerdn" | "cacert" => "SSL_CLIENT_I_DN",
        "errcode" => return Field::Verbatim("-".to_owned()),
        "errstr" => "SSL_CLIENT_VERIFY_ERRSTR",
        other => other,
    };
    Field::Named(Namespace::TlsVariable, variable.to_owned())
}

/// The argument of `%{...}t`, as `log_request_time` parses it.
fn time(argument: &str) -> Result<Field, String> {
    let (end, format) = match argument {
        "begin" => (false, ""),
        "end" => (true, ""),
        _ => match argument.split_once(':') {
            Some(("begin", format)) => (false, format),
            Some(("end", format)) => (true, format),
            _ => (false, argument),
        },
    };
    let format = match format {
        "" => TimeFormat::Clf,
        "sec" => TimeFormat::Seconds,
        "msec" => TimeFormat::Milliseconds,
        "usec" => TimeFormat::Microseconds,
        "msec_frac" => TimeFormat::MillisecondFraction,
        "usec_frac" => TimeFormat::MicrosecondFraction,
        other => TimeFormat::Strftime(strftime(other)?),
    };
    Ok(Field::Time { end, format })
}

/// A strftime format without a newline or `%n`.
fn strftime(format: &str) -> Result<String, String> {
    let has_newline = format.split('%').skip(1).any(|conversion| {
        let flags = |c: char| matches!(c, '_' | '-' | '^' | '#' | '+' | '0'..='9' | 'E' | 'O');
        conversion.trim_start_matches(flags).starts_with('n')
    });
    if has_newline || format.contains('\n') {
        return Err("its time format has a newline, which would break the line".to_owned());
    }
    Ok(format.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn only_directive(text: &str) -> Directive {
        match &parse(text).unwrap().items[..] {
            [Item::Directive(directive)] => directive.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_combined_format_is_taken_apart() {
        let format = parse(r#"%h %>s "%{User-Agent}i""#).unwrap();
        let literal = |text: &str| Item::Literal(text.to_owned());
        let directive =
            |field| Item::Directive(Directive { field, original: false, condition: None });
        assert_eq!(
            format.items,
            [
                directive(Field::RemoteHost),
                literal(" "),
                directive(Field::Status),
                literal(" \""),
                directive(Field::Named(Namespace::RequestHeader, "User-Agent".to_owned())),
                literal("\""),
            ]
        );
    }

    #[test]
    fn a_directive_is_of_the_request_that_httpd_registers_it_for() {
        assert!(only_directive("%s").original);
        assert!(!only_directive("%>s").original);
        assert!(only_directive("%<u").original);
        assert!(!only_directive("%u").original);
    }

    #[test]
    fn conditions_admit_their_statuses_or_all_others() {
        let wanted = only_directive("%400,501{User-Agent}i").condition.unwrap();
        assert!(wanted.admits(400) && wanted.admits(501) && !wanted.admits(200));
        let unwanted = only_directive("%!200,304{Referer}i").condition.unwrap();
        assert!(!unwanted.admits(200) && !unwanted.admits(304) && unwanted.admits(404));
    }

    #[test]
    fn times_are_read_as_log_request_time_reads_them() {
        let time = |text: &str| match only_directive(text).field {
            Field::Time { end, format } => (end, format),
            other => panic!("{other:?}"),
        };
        assert_eq!(time("%t"), (false, TimeFormat::Clf));
        assert_eq!(time("%{end}t"), (true, TimeFormat::Clf));
        assert_eq!(time("%{end:msec}t"), (true, TimeFormat::Milliseconds));
        assert_eq!(time("%{usec_frac}t"), (false, TimeFormat::MicrosecondFraction));
        let strftime = TimeFormat::Strftime("%Y-%m-%dT%H:%M:%S".to_owned());
        assert_eq!(time("%{%Y-%m-%dT%H:%M:%S}t"), (false, strftime));
    }

    #[test]
    fn literals_keep_percent_signs_and_unescape_as_httpd_does() {
        assert_eq!(
            parse(r#"100%% \"a\" \\ \t \x"#).unwrap().items,
            [Item::Literal("100% \"a\" \\ \t \\x".to_owned())]
        );
    }

    #[test]
    fn what_httpd_rejects_is_rejected_by_name() {
        for (text, message) in [
            ("%h %Z", "unknown directive `%Z` at character 4"),
            ("%h %{x}Z", "unknown directive `%{x}Z` at character 4"),
            ("%^xy", "unknown directive `%^xy` at character 1"),
            ("é %?", "unknown directive `%?` at character 3"),
            ("%{Referer", "ends within the directive `%{Referer`"),
            ("%", "ends within the directive `%`"),
            ("%>", "ends within the directive `%>`"),
            ("%404", "ends within the directive `%404`"),
            (r"%h\n%t", "newline"),
            ("%{%n}t", "newline"),
            ("%{%H%_En}t", "newline"),
            ("", "empty"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_text_of_directives_is_a_panic(text in "[%{}<>!,0-9a-zA-Z^\\\\ é\"]{0,40}") {
            let _ = parse(&text);
        }
    }
}
