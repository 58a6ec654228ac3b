//! The default server, whose logs these are as long as a document says nothing else: one set of facts
//! for its access logs and its error logs. Pure.

pub(crate) mod traffic;

use crate::{random::Random, uri};
use traffic::Class;

/// What it calls itself. The messages of an error log are this release's, and so are its thread ids
/// (decision 0004).
pub(crate) const SOFTWARE: &str = "Apache/2.4.59 (Debian)";
/// Its address.
pub(crate) const ADDRESS: &str = "192.0.2.10";
/// Its port; it speaks TLS.
pub(crate) const PORT: u16 = 443;
/// What its signs of life say.
pub(crate) const HEARTBEAT: &str = "HEARTBEAT";

/// A process and one of its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) process: u32,
    pub(crate) thread: u64,
}

impl Thread {
    /// That of the process that has started the others, and that writes what is about no connection.
    pub(crate) const PARENT: Self = Self { process: 1_187, thread: 140_187_351_398_272 };

    /// One that serves connections: of a few processes with 25 threads each.
    #[expect(clippy::cast_possible_truncation, reason = "it is below 4")]
    #[inline]
    pub(crate) fn draw(random: &mut Random) -> Self {
        let process = random.below(4);
        let first = 140_187_334_538_944 + process * 4_294_967_296;
        Self {
            process: Self::PARENT.process + 1 + process as u32,
            thread: first - random.below(25) * 8_392_704,
        }
    }
}

/// A port of a client: one of those that Linux takes for connections.
#[expect(clippy::cast_possible_truncation, reason = "a port has 16 bits")]
#[inline]
pub(crate) fn client_port(random: &mut Random) -> u16 {
    random.between(32_768, 60_999) as u16
}

/// The process that a message about one is about. It may have ended long ago.
#[expect(clippy::cast_possible_truncation, reason = "it is at most 400")]
pub(crate) fn child(random: &mut Random) -> u32 {
    Thread::PARENT.process + random.between(1, 400) as u32
}

/// The names of its virtual hosts.
pub(crate) fn virtual_hosts() -> impl Iterator<Item = &'static str> {
    traffic::VIRTUAL_HOSTS.iter().map(|(name, _)| *name)
}

/// Those who log in.
pub(crate) fn users() -> impl Iterator<Item = &'static str> {
    traffic::USERS.iter().map(|(name, _)| *name).filter(|name| *name != "-")
}

/// The pages that its requests come from, with their weights.
pub(crate) fn referers() -> impl Iterator<Item = (&'static str, u64)> {
    traffic::REFERERS.iter().map(|(page, weight)| (*page, u64::from(*weight)))
}

/// The paths that error messages are about, as httpd has decoded them, with their weights. What goes
/// wrong is mostly a file that isn't there, and those are asked for by scanners and by pages.
pub(crate) fn paths() -> impl Iterator<Item = (Vec<u8>, u64)> {
    traffic::RESOURCES.iter().map(|page| {
        let path = page.target.split('?').next().unwrap_or("/");
        let weight = match page.class {
            Class::Probe => 12,
            Class::Asset => 4,
            _ => 1,
        };
        (uri::path(path.as_bytes()), weight)
    })
}

/// The programs that run behind it, and go wrong now and then. `document_root` has no `/` at its end.
pub(crate) fn scripts(document_root: &str) -> [String; 4] {
    [
        "/usr/lib/cgi-bin/stock.cgi".to_owned(),
        "/usr/lib/cgi-bin/report.cgi".to_owned(),
        format!("{document_root}/index.php"),
        format!("{document_root}/checkout.php"),
    ]
}
