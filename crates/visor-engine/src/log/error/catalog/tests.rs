//! What every entry of the catalog must be.

use std::collections::HashSet;

use visor_logs::{
    Release::{self, V2_2_34, V2_4_59, V2_4_71},
    StreamKind::{
        self, Alert, Crit, Debug, Emerg, Error, Info, Notice, Trace1, Trace2, Trace3, Trace4,
        Trace5, Trace6, Trace7, Trace8, Warn,
    },
    error_format::Mpm::{self, Event, Prefork, Worker},
};

use super::{CatalogMessage, httpd22, httpd24, messages};

const RELEASES: [Release; 3] = [V2_2_34, V2_4_59, V2_4_71];
const MPMS: [Mpm; 3] = [Event, Worker, Prefork];
const PLACEHOLDERS: [&str; 10] =
    ["path", "uri", "host", "user", "pid", "number", "backend", "server", "built", "script"];

const LEVELS: [StreamKind; 16] = [
    Emerg, Alert, Crit, Error, Warn, Notice, Info, Debug, Trace1, Trace2, Trace3, Trace4, Trace5,
    Trace6, Trace7, Trace8,
];

fn all() -> impl Iterator<Item = &'static CatalogMessage> {
    httpd22::MESSAGES.iter().chain(httpd24::MESSAGES)
}

#[test]
fn every_level_has_messages_whatever_the_release_and_the_mpm() {
    for release in RELEASES {
        for level in LEVELS.into_iter().filter(|level| release != V2_2_34 || !level.is_trace()) {
            for mpm in MPMS {
                let least = if [Error, Warn, Notice, Info].contains(&level) { 12 } else { 3 };
                let own = messages(release, level, mpm).count();
                assert!(own >= least, "{release:?} {level:?} {mpm:?}: {own}");
            }
        }
    }
    assert_eq!(messages(V2_2_34, Trace1, Event).count(), 0);
}

#[test]
fn no_release_has_an_entry_twice_or_one_without_weight() {
    for release in RELEASES {
        for mpm in MPMS {
            let mut seen = HashSet::new();
            for entry in LEVELS.into_iter().flat_map(|level| messages(release, level, mpm)) {
                assert!(entry.weight > 0, "{}", entry.text);
                assert!(seen.insert((entry.module, entry.errno, entry.text)), "{}", entry.text);
            }
        }
    }
}

#[test]
fn every_entry_is_in_a_release() {
    for entry in all() {
        assert!(LEVELS.contains(&entry.level), "{}", entry.text);
        let found = RELEASES.into_iter().any(|release| {
            MPMS.into_iter()
                .any(|mpm| messages(release, entry.level, mpm).any(|message| message == entry))
        });
        assert!(found, "{}", entry.text);
    }
}

#[test]
fn messages_of_2_4_name_their_source_and_of_2_2_those_that_show_it() {
    for entry in httpd24::MESSAGES {
        assert!(entry.source.is_some(), "{}", entry.text);
    }
    for entry in httpd22::MESSAGES {
        assert_eq!(entry.source.is_some(), entry.level >= Debug, "{}", entry.text);
    }
    for entry in all() {
        if let Some((file, line)) = entry.source {
            let stem = file.strip_suffix(".c").or(file.strip_suffix(".h")).unwrap_or_default();
            let name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(!stem.is_empty() && stem.bytes().all(name) && line > 0, "{file}({line})");
        }
    }
}

#[test]
fn a_source_is_that_of_the_release() {
    let of = |release| {
        messages(release, Trace6, Event)
            .find(|message| message.text.starts_with("ssl_filter_write"))
            .and_then(|message| message.source(release))
    };
    assert_eq!(of(V2_4_59), Some(("ssl_engine_io.c", 890)));
    assert_eq!(of(V2_4_71), Some(("ssl_engine_io.c", 894)));
}

#[test]
fn braces_hold_known_placeholders_alone() {
    for entry in all() {
        let mut parts = entry.text.split('{');
        assert!(!parts.next().unwrap().contains('}'), "{}", entry.text);
        for part in parts {
            let (name, rest) = part.split_once('}').expect(entry.text);
            assert!(PLACEHOLDERS.contains(&name), "{}", entry.text);
            assert!(!rest.contains('}'), "{}", entry.text);
        }
    }
}

#[test]
fn messages_of_2_4_have_numbers_of_five_digits_and_those_of_2_2_none() {
    for entry in httpd22::MESSAGES {
        assert!(!entry.text.starts_with("AH"), "{}", entry.text);
    }
    for entry in httpd24::MESSAGES {
        let Some(rest) = entry.text.strip_prefix("AH") else {
            let bare = entry.level >= Trace1
                || entry.text.starts_with("/srv/")
                || entry.text.starts_with("SSL Library Error: ");
            assert!(bare, "{}", entry.text);
            continue;
        };
        let (number, message) = rest.split_once(": ").expect(entry.text);
        assert!(number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(!message.is_empty(), "{}", entry.text);
    }
}

#[test]
fn a_message_of_an_mpm_is_that_mpms() {
    for entry in all() {
        let mpms: &[Mpm] = match entry.module {
            "mpm_event" => &[Event],
            "mpm_worker" => &[Worker],
            "mpm_prefork" | "cgi" => &[Prefork],
            // Processes with threads run scripts by a daemon.
            "cgid" => &[Event, Worker],
            _ => &[],
        };
        assert_eq!(entry.mpms, mpms, "{}", entry.text);
    }
}

#[test]
fn a_referer_needs_a_client_and_an_errno_a_text() {
    for entry in all() {
        assert!(entry.client || !entry.referer, "{}", entry.text);
        assert!(entry.errno.is_none_or(|(number, text)| number > 0 && !text.is_empty()));
    }
}
