//! The default server, which a document can override: shared by access logs and error logs. Pure.

pub(crate) mod id;
pub(crate) mod malformed;
pub(crate) mod traffic;

use visor_logs::Release;

use crate::{random::Random, uri};
use traffic::Class;

/// Its address.
pub(crate) const ADDRESS: &str = "192.0.2.10";
/// Its port, with TLS.
pub(crate) const PORT: u16 = 443;
/// Its version, if it is nginx: that of Debian.
pub(crate) const NGINX_VERSION: &str = "1.22.1";
/// The texts of heartbeats.
pub(crate) const HEARTBEAT: &str = "HEARTBEAT";

/// A process and one of its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    /// The ID of the process.
    pub(crate) process: u32,
    /// The ID of the thread by POSIX (`pthread_self`).
    pub(crate) posix: u64,
    /// The ID of the thread by the kernel (`gettid`).
    pub(crate) kernel: u32,
}

impl Thread {
    /// That of the parent process, which writes messages without a connection.
    pub(crate) const PARENT: Self =
        Self { process: 1_187, posix: 140_187_351_398_272, kernel: 1_187 };

    /// That of a child process that serves connections: a few processes with 25 threads each.
    #[expect(clippy::cast_possible_truncation, reason = "it is below 4")]
    #[inline]
    pub(crate) fn draw(random: &mut Random) -> Self {
        let process = random.below(4);
        let thread = random.below(25);
        let first = 140_187_334_538_944 + process * 4_294_967_296;
        // The kernel has one sequence of IDs for processes and threads. A process has a thread that
        // accepts connections, too.
        let first_kernel = Self::PARENT.process + 5 + process as u32 * 26;
        Self {
            process: Self::PARENT.process + 1 + process as u32,
            posix: first - thread * 8_392_704,
            kernel: first_kernel + thread as u32,
        }
    }
}

/// A port of a client, in the ephemeral range of Linux.
#[expect(clippy::cast_possible_truncation, reason = "a port has 16 bits")]
#[inline]
pub(crate) fn client_port(random: &mut Random) -> u16 {
    random.between(32_768, 60_999) as u16
}

/// The process that a message mentions. It may have ended.
#[expect(clippy::cast_possible_truncation, reason = "it is at most 400")]
pub(crate) fn child(random: &mut Random) -> u32 {
    Thread::PARENT.process + random.between(1, 400) as u32
}

/// When the server of a release was built, as httpd writes it.
pub(crate) const fn built(release: Release) -> &'static str {
    match release {
        Release::V2_2_34 => "Jul 11 2017 09:52:17",
        Release::V2_4_59 => "2024-04-05T12:02:26",
        Release::V2_4_71 => "2026-11-12T08:58:41",
    }
}

/// The names of its virtual hosts.
pub(crate) fn virtual_hosts() -> impl Iterator<Item = &'static str> {
    traffic::VIRTUAL_HOSTS.iter().map(|(name, _)| *name)
}

/// The users that log in.
pub(crate) fn users() -> impl Iterator<Item = &'static str> {
    traffic::USERS.iter().map(|(name, _)| *name).filter(|name| *name != "-")
}

/// The referers of its requests, with their weights.
pub(crate) fn referers() -> impl Iterator<Item = (&'static str, u64)> {
    traffic::REFERERS.iter().map(|(page, weight)| (*page, u64::from(*weight)))
}

/// The decoded paths in error messages, with their weights. Most errors are about missing files, which
/// scanners and pages request.
pub(crate) fn paths() -> impl Iterator<Item = (Vec<u8>, u64)> {
    traffic::TARGETS.iter().map(|page| {
        let path = page.target.split('?').next().unwrap_or("/");
        let weight = match page.class {
            Class::Probe => 12,
            Class::Asset => 4,
            _ => 1,
        };
        (uri::path(path.as_bytes()), weight)
    })
}

/// The CGI scripts that may fail. `document_root` has no `/` at its end.
pub(crate) fn scripts(document_root: &str) -> [String; 4] {
    [
        "/usr/lib/cgi-bin/stock.cgi".to_owned(),
        "/usr/lib/cgi-bin/report.cgi".to_owned(),
        format!("{document_root}/index.php"),
        format!("{document_root}/checkout.php"),
    ]
}
