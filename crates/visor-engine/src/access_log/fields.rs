//! The fields of requests: each has all its possible values, and the draw that selects one.
//!
//! The names are those of httpd's directives in `mod_log_config`. Values are not escaped: that is
//! up to the format.

use std::borrow::Cow;

use visor_api::log_format::Namespace;

use crate::server;

/// A draw of a request. Related fields share a draw: a target has a path and a query, an exchange
/// has a method and a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw(u16);

impl Draw {
    /// The client.
    pub const CLIENT: Self = Self(0);
    /// As whom.
    pub const USER: Self = Self(1);
    /// For what.
    pub const TARGET: Self = Self(2);
    /// How, and how that ends.
    pub const EXCHANGE: Self = Self(3);
    /// By which protocol.
    pub const PROTOCOL: Self = Self(4);
    /// From which page.
    pub const REFERER: Self = Self(5);
    /// With what program.
    pub const USER_AGENT: Self = Self(6);
    /// Of which host.
    pub const VIRTUAL_HOST: Self = Self(7);
    /// By what kind of TLS.
    pub const TLS: Self = Self(8);
    /// The content type. Not random: it depends on the target and the status.
    pub const CONTENT_TYPE: Self = Self(9);
    /// The message that replaces the request line.
    pub const MESSAGE: Self = Self(10);
    /// The file. Not random: it depends on the target and the status.
    pub const FILENAME: Self = Self(11);
    /// The host. Not random: it is the target's, or else the virtual host.
    pub const HOST: Self = Self(12);

    const FIRST_NAMED: u16 = 13;

    /// The draw of a directive that names something, by its index in the document.
    #[expect(clippy::cast_possible_truncation, reason = "a document has far fewer")]
    pub const fn named(number: usize) -> Self {
        Self(Self::FIRST_NAMED + number as u16)
    }
}

/// The indexes of the values that were drawn for a request. Reused between lines, so that a line
/// allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Draws {
    common: [u32; Draw::FIRST_NAMED as usize],
    named: Vec<u32>,
}

impl Draws {
    /// With room for this number of directives that name something.
    pub fn with_named(named: usize) -> Self {
        Self { named: vec![0; named], ..Self::default() }
    }

    /// The index of the value that was drawn.
    #[inline]
    pub fn get(&self, draw_of: Draw) -> usize {
        let at = usize::from(draw_of.0);
        match self.common.get(at) {
            Some(number) => *number as usize,
            None => self.named.get(at - self.common.len()).map_or(0, |number| *number as usize),
        }
    }

    /// Sets the index of a value: that of a table, which fits 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "no table has more values")]
    #[inline]
    pub fn set(&mut self, draw_of: Draw, number: usize) {
        let at = usize::from(draw_of.0);
        match self.common.get_mut(at) {
            Some(common) => *common = number as u32,
            None => {
                if let Some(named) = self.named.get_mut(at - self.common.len()) {
                    *named = number as u32;
                }
            }
        }
    }
}

/// A field: its possible values, and the draw that selects one.
#[derive(Debug, Clone)]
pub struct RequestField<'a> {
    /// The draw.
    pub draw_of: Draw,
    /// The values, not escaped.
    pub values: Vec<Cow<'a, [u8]>>,
}

impl<'a> RequestField<'a> {
    /// A field with these values.
    pub fn new<V: Into<Cow<'a, [u8]>>>(draw_of: Draw, values: impl IntoIterator<Item = V>) -> Self {
        Self { draw_of, values: values.into_iter().map(Into::into).collect() }
    }

    /// A constant field.
    pub fn only(draw_of: Draw, value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { draw_of, values: vec![value.into()] }
    }

    /// A field that no request has: httpd writes `-`.
    pub fn absent(draw_of: Draw) -> Self {
        Self::only(draw_of, b"-".as_slice())
    }

    /// Whether no request has it.
    pub fn is_absent(&self) -> bool {
        self.values.iter().all(|value| **value == *b"-")
    }
}

/// A named field, such as `%{X-Request-Id}i`.
#[derive(Debug, Clone)]
pub struct NamedRequestField<'a> {
    /// The namespace of the name.
    pub namespace: Namespace,
    /// The name; case-insensitive, as headers and cookies are.
    pub name: &'a str,
    /// The fact.
    pub field: RequestField<'a>,
}

/// All fields with a fixed set of values.
#[derive(Debug, Clone)]
pub struct RequestFields<'a> {
    /// The client's host name or address (`%h`).
    pub remote_host: RequestField<'a>,
    /// The client's address (`%a`).
    pub client_address: RequestField<'a>,
    /// The name by identd (`%l`).
    pub remote_logname: RequestField<'a>,
    /// The authenticated user (`%u`).
    pub remote_user: RequestField<'a>,
    /// The message that replaces the request line (`%r`), if there is one.
    pub message: Option<RequestField<'a>>,
    /// The request line (`%r`), if it isn't method, target and protocol.
    pub request_line: Option<RequestField<'a>>,
    /// The method (`%m`).
    pub method: RequestField<'a>,
    /// The request target: path and query as received.
    pub target: RequestField<'a>,
    /// The path, decoded and normalized by httpd (`%U`).
    pub path: RequestField<'a>,
    /// The query with its `?`, or nothing (`%q`).
    pub query: RequestField<'a>,
    /// The protocol (`%H`).
    pub protocol: RequestField<'a>,
    /// The final status (`%>s`).
    pub status: RequestField<'a>,
    /// The status of the request that was redirected within the server (`%s`).
    pub original_status: RequestField<'a>,
    /// The referer (`%{Referer}i`).
    pub referer: RequestField<'a>,
    /// The user agent (`%{User-Agent}i`).
    pub user_agent: RequestField<'a>,
    /// The host that the request names (`%{Host}i`).
    pub host: RequestField<'a>,
    /// The virtual host's name (`%v`).
    pub virtual_host: RequestField<'a>,
    /// The server's name (`%V`).
    pub server_name: RequestField<'a>,
    /// The server's address (`%A`).
    pub local_address: RequestField<'a>,
    /// The server's port (`%p`).
    pub port: RequestField<'a>,
    /// The port that the connection came to (`%{local}p`).
    pub local_port: RequestField<'a>,
    /// The file (`%f`).
    pub filename: RequestField<'a>,
    /// The handler (`%R`).
    pub handler: RequestField<'a>,
    /// The identifier that the error log has, too (`%L`).
    pub log_id: RequestField<'a>,
    /// The type of the response's body (`%{Content-Type}o`).
    pub content_type: RequestField<'a>,
    /// The connection's protocol (`%{SSL_PROTOCOL}x`).
    pub tls_protocol: RequestField<'a>,
    /// The connection's cipher by OpenSSL's name (`%{SSL_CIPHER}x`).
    pub tls_cipher: RequestField<'a>,
    /// For each exchange, whether the request has a unique id; `None` if each has one.
    pub has_id: Option<Box<[bool]>>,
    /// Whether it has headers.
    pub has_headers: bool,
    /// The fields of directives that name something.
    pub named: Vec<NamedRequestField<'a>>,
}

impl RequestFields<'_> {
    /// The constant fields of the default server: with TLS, at an address that is reserved for
    /// documentation. All others are absent.
    pub fn defaults() -> Self {
        let port = server::PORT.to_string().into_bytes();
        Self {
            remote_host: RequestField::absent(Draw::CLIENT),
            client_address: RequestField::absent(Draw::CLIENT),
            remote_logname: RequestField::absent(Draw::CLIENT),
            remote_user: RequestField::absent(Draw::USER),
            message: None,
            request_line: None,
            method: RequestField::absent(Draw::EXCHANGE),
            target: RequestField::absent(Draw::TARGET),
            path: RequestField::absent(Draw::TARGET),
            query: RequestField::absent(Draw::TARGET),
            protocol: RequestField::absent(Draw::PROTOCOL),
            status: RequestField::absent(Draw::EXCHANGE),
            original_status: RequestField::absent(Draw::EXCHANGE),
            referer: RequestField::absent(Draw::REFERER),
            user_agent: RequestField::absent(Draw::USER_AGENT),
            host: RequestField::absent(Draw::HOST),
            virtual_host: RequestField::absent(Draw::VIRTUAL_HOST),
            server_name: RequestField::absent(Draw::HOST),
            local_address: RequestField::only(Draw::CLIENT, server::ADDRESS.as_bytes()),
            port: RequestField::only(Draw::CLIENT, port.clone()),
            local_port: RequestField::only(Draw::CLIENT, port),
            filename: RequestField::absent(Draw::TARGET),
            handler: RequestField::absent(Draw::TARGET),
            log_id: RequestField::absent(Draw::TARGET),
            content_type: RequestField::absent(Draw::CONTENT_TYPE),
            tls_protocol: RequestField::absent(Draw::TLS),
            tls_cipher: RequestField::absent(Draw::TLS),
            has_id: None,
            has_headers: true,
            named: Vec::new(),
        }
    }

    /// The configured field of a directive that names something.
    pub fn named(&self, namespace: Namespace, name: &str) -> Option<&RequestField<'_>> {
        let is_it = |named: &&NamedRequestField<'_>| {
            named.namespace == namespace && named.name.eq_ignore_ascii_case(name)
        };
        self.named.iter().find(is_it).map(|named| &named.field)
    }
}
