//! Access lines: what a request is ([`request`]), how one is drawn ([`content`], [`heartbeat`]),
//! and how it is written ([`mod@format`]).

pub mod content;
mod exchange;
pub mod format;
pub mod heartbeat;
mod id;
mod ordinary;
pub mod request;
pub mod uri;

pub use content::{Content, Drawn};
pub use format::Format;
pub use request::{NamedTable, NamedValues, Request, Tls};

/// What error messages are about: an ordinary server's virtual hosts, its users, the pages that its
/// requests come from, and what is asked of it.
pub(crate) mod subjects {
    use super::{
        ordinary::{self, Class},
        uri,
    };

    /// What the server calls itself.
    pub(crate) const SERVER: &str = "Apache/2.4.59 (Debian)";

    pub(crate) fn virtual_hosts() -> impl Iterator<Item = &'static str> {
        ordinary::VIRTUAL_HOSTS.iter().map(|(name, _)| *name)
    }

    pub(crate) fn users() -> impl Iterator<Item = &'static str> {
        ordinary::USERS.iter().map(|(name, _)| *name).filter(|name| *name != "-")
    }

    pub(crate) fn referers() -> impl Iterator<Item = (&'static str, u64)> {
        ordinary::REFERERS.iter().map(|(page, weight)| (*page, u64::from(*weight)))
    }

    /// The paths that messages are about, as httpd has decoded them. What goes wrong is mostly a
    /// file that isn't there, and those are asked for by scanners and by pages.
    pub(crate) fn paths() -> impl Iterator<Item = (Vec<u8>, u64)> {
        ordinary::RESOURCES.iter().map(|page| {
            let path = page.target.split('?').next().unwrap_or("/");
            let weight = match page.class {
                Class::Probe => 12,
                Class::Asset => 4,
                _ => 1,
            };
            (uri::path(path.as_bytes()), weight)
        })
    }
}
