//! The catalog of httpd's messages in its error log, by release and level.
//!
//! Pure data, taken from the sources of httpd: number, module, level, wording, and whether a message
//! is about a request, a connection or the server, are those of the release, as is the location in its
//! sources. Placeholders in braces have the same value within one line:
//!
//! | in braces   | what it is                                        | such as                      |
//! |-------------|---------------------------------------------------|------------------------------|
//! | `{path}`    | a file below the document root                    | `/var/www/html/images/a.png` |
//! | `{uri}`     | the path of a request, without its query          | `/images/a.png`              |
//! | `{host}`    | the name of a virtual host                        | `shop.example`               |
//! | `{user}`    | the name of a user                                | `Frank`                      |
//! | `{pid}`     | the number of a process                           | `4711`                       |
//! | `{number}`  | a number from 1 to 999                            | `42`                         |
//! | `{backend}` | the address and port of a server behind the proxy | `10.0.3.12:8080`             |
//! | `{server}`  | what the server calls itself                      | `Apache/2.4.71 (Debian)`     |
//! | `{built}`   | when the server was built                         | `2026-11-12T08:58:41`        |
//! | `{script}`  | the file of a CGI script                          | `/usr/lib/cgi-bin/stock.cgi` |
//!
//! A `{path}` is the document root and the `{uri}` of the same line, and both are without percent
//! encoding, as httpd has decoded them. A message is not escaped: that is up to the format.

mod httpd22;
mod httpd24;
#[cfg(test)]
mod tests;

use visor_logs::{Release, StreamKind, error_format::Mpm};

/// A message of httpd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CatalogMessage {
    /// The level at which httpd writes it.
    level: StreamKind,
    /// The weight, in proportion to the sum of the level's weights.
    pub(super) weight: u32,
    /// The module that logs it, by the name in the log.
    pub(super) module: &'static str,
    /// The file and the line that log it. Of 2.2 only known for debug, where they are shown.
    source: Option<(&'static str, u32)>,
    /// The line in 2.4.59, if it is another.
    former_line: Option<u32>,
    /// The system error before it: its number, and its text on Linux.
    pub(super) errno: Option<(i32, &'static str)>,
    /// Whether it has a client.
    pub(super) client: bool,
    /// Whether it is about a request, so that a referer may follow.
    pub(super) referer: bool,
    /// The only MPMs with which it is logged; none for all.
    mpms: &'static [Mpm],
    /// The first and the last release that have it.
    releases: (Release, Release),
    /// The message, with its number if it has one, and with placeholders.
    pub(super) text: &'static str,
}

/// The messages of a release at this level.
pub(super) fn messages(
    release: Release,
    level: StreamKind,
    mpm: Mpm,
) -> impl Iterator<Item = &'static CatalogMessage> {
    let all = match release {
        Release::V2_2_34 => httpd22::MESSAGES,
        Release::V2_4_59 | Release::V2_4_71 => httpd24::MESSAGES,
    };
    all.iter().filter(move |message| {
        let (first, last) = message.releases;
        message.level == level
            && (first..=last).contains(&release)
            && (message.mpms.is_empty() || message.mpms.contains(&mpm))
    })
}

/// A message about the server.
const fn server(
    level: StreamKind,
    weight: u32,
    module: &'static str,
    text: &'static str,
) -> CatalogMessage {
    CatalogMessage {
        level,
        weight,
        module,
        source: None,
        former_line: None,
        errno: None,
        client: false,
        referer: false,
        mpms: &[],
        releases: (Release::V2_2_34, Release::PRESENT),
        text,
    }
}

/// A message about a connection.
const fn connection(
    level: StreamKind,
    weight: u32,
    module: &'static str,
    text: &'static str,
) -> CatalogMessage {
    CatalogMessage { client: true, ..server(level, weight, module, text) }
}

/// A message about a request.
const fn request(
    level: StreamKind,
    weight: u32,
    module: &'static str,
    text: &'static str,
) -> CatalogMessage {
    CatalogMessage { client: true, referer: true, ..server(level, weight, module, text) }
}

impl CatalogMessage {
    const fn errno(self, number: i32, text: &'static str) -> Self {
        Self { errno: Some((number, text)), ..self }
    }

    const fn at(self, file: &'static str, line: u32) -> Self {
        Self { source: Some((file, line)), ..self }
    }

    /// The line in 2.4.59.
    const fn formerly(self, line: u32) -> Self {
        Self { former_line: Some(line), ..self }
    }

    const fn only(self, mpms: &'static [Mpm]) -> Self {
        Self { mpms, ..self }
    }

    const fn since(self, first: Release) -> Self {
        Self { releases: (first, self.releases.1), ..self }
    }

    const fn until(self, last: Release) -> Self {
        Self { releases: (self.releases.0, last), ..self }
    }

    /// The file and the line that log it in this release.
    pub(super) fn source(&self, release: Release) -> Option<(&'static str, u32)> {
        let (file, line) = self.source?;
        let former = self.former_line.filter(|_| release <= Release::V2_4_59);
        Some((file, former.unwrap_or(line)))
    }
}
