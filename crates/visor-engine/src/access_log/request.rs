//! A request as the log sees it: the facts that a format writes, whoever made them.

use visor_api::{log_format::Namespace, source::DOCUMENT_ROOT};

use super::escaping::Escaping;
use crate::{choice::Table, server, text::Text, time::Time};

/// The facts of one request. Texts are escaped already, as the format
/// wants it ([`Escaping`]); an absent one is `-`.
///
/// The names are those of httpd's directives in `mod_log_config`.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// When it began (`%t`).
    pub time: Time,
    /// How long it took, in nanoseconds (`%D`, `%T`).
    pub duration: u64,
    /// How long it took to the first byte of the response, in nanoseconds (`%^FB`).
    pub time_to_first_byte: u64,
    /// The client's host name or address (`%h`).
    pub remote_host: &'a Text,
    /// The client's address (`%a`).
    pub client_address: &'a Text,
    /// The authenticated user (`%u`).
    pub remote_user: &'a Text,
    /// The request line (`%r`).
    pub request_line: RequestLine<'a>,
    /// The final status as a number; 0 for none.
    pub status_code: u16,
    /// The final status (`%>s`).
    pub status: &'a Text,
    /// The status of the request that was redirected within the server (`%s`).
    pub original_status: &'a Text,
    /// Bytes of the body sent (`%b`, `%B`).
    pub body_bytes: u64,
    /// Bytes received (`%I`).
    pub bytes_in: u64,
    /// Bytes sent (`%O`).
    pub bytes_out: u64,
    /// The page that it came from (`%{Referer}i`).
    pub referer: &'a Text,
    /// The user agent (`%{User-Agent}i`).
    pub user_agent: &'a Text,
    /// The virtual host's name (`%v`, and `%{Host}i`).
    pub virtual_host: &'a Text,
    /// The client's port (`%{remote}p`).
    pub remote_port: u16,
    /// The process (`%P`).
    pub pid: u32,
    /// The thread (`%{tid}P`).
    pub tid: u64,
    /// How many requests the connection had before (`%k`).
    pub keep_alive_requests: u32,
    /// A number that no other request has (`%{UNIQUE_ID}e`, `%{X-Request-Id}i`).
    pub id: u128,
    /// The type of the response's body (`%{Content-Type}o`).
    pub content_type: &'a Text,
    /// What TLS version and cipher the connection has (`%{SSL_PROTOCOL}x`, `%{SSL_CIPHER}x`).
    pub tls: &'a Tls,
    /// `X` aborted, `+` kept alive, `-` closed (`%X`).
    pub connection_status: u8,
    /// The values of directives that name something.
    pub named: NamedValues<'a>,
    /// What is the same for all requests of a server.
    pub server: &'a ServerFacts,
}

/// A request line, whole or in its parts; the parts serve `%m`, `%q` and `%H`, too.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// The line where it isn't made of the parts, such as a malformed one or `-`.
    pub whole: Option<&'a Text>,
    /// The method.
    pub method: &'a Text,
    /// The path as it was asked for.
    pub path: &'a Text,
    /// The path as httpd understands it, decoded and normalised (`%U`, `%f`).
    pub uri: &'a Text,
    /// The query with its `?`, or nothing.
    pub query: &'a Text,
    /// The protocol.
    pub protocol: &'a Text,
}

/// What a TLS connection was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The protocol, such as `TLSv1.3`.
    pub protocol: Text,
    /// The cipher by OpenSSL's name.
    pub cipher: Text,
}

impl Default for Tls {
    /// No TLS at all.
    fn default() -> Self {
        Self { protocol: Text::absent(), cipher: Text::absent() }
    }
}

/// What is the same for all requests of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// The server's address (`%A`).
    pub local_address: Text,
    /// The server's name (`%V`), if it isn't the virtual host's.
    pub server_name: Option<Text>,
    /// The server's port (`%p`).
    pub port: u16,
    /// The port that the connection came to (`%{local}p`).
    pub local_port: u16,
    /// The name by identd (`%l`).
    pub remote_logname: Text,
    /// The handler (`%R`).
    pub handler: Text,
    /// The identifier that the error log has, too (`%L`).
    pub log_id: Text,
    /// What stands in front of the path in `%f`.
    pub document_root: Text,
    /// The file (`%f`) where it isn't the document root and the path.
    pub filename: Option<Text>,
}

impl ServerFacts {
    /// The default server: behind TLS, at an address that is set aside for documentation.
    pub(super) fn new(escaping: &Escaping) -> Self {
        Self {
            local_address: escaping.text(server::ADDRESS),
            server_name: None,
            port: server::PORT,
            local_port: server::PORT,
            remote_logname: Text::absent(),
            handler: Text::absent(),
            log_id: Text::absent(),
            document_root: escaping.text(DOCUMENT_ROOT),
            filename: None,
        }
    }
}

/// The values that a directive such as `%{X-Request-Id}i` can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTable {
    /// Where the directive looks for the name.
    pub namespace: Namespace,
    /// The name; in any letter case, as headers and cookies are.
    pub name: String,
    /// The values.
    pub values: Table<Text>,
}

/// The values that were drawn for one request.
#[derive(Debug, Clone, Copy)]
pub struct NamedValues<'a> {
    /// The tables.
    pub tables: &'a [NamedTable],
    /// For each table, the index of the value that was drawn.
    pub drawn: &'a [usize],
}

impl<'a> NamedValues<'a> {
    /// No values at all.
    pub const NONE: NamedValues<'static> = NamedValues { tables: &[], drawn: &[] };

    /// The value of this name, if there is one.
    pub fn get(&self, namespace: Namespace, name: &str) -> Option<&'a Text> {
        let matches = |table: &NamedTable| {
            table.namespace == namespace && table.name.eq_ignore_ascii_case(name)
        };
        let at = self.tables.iter().position(matches)?;
        self.tables[at].values.values().get(*self.drawn.get(at)?)
    }
}
