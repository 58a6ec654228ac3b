//! The fields of requests. The names are those of httpd's directives in `mod_log_config`.

use visor_logs::{access_format::TokenPlace, log_format::Namespace};
use visor_proof::token::PLACEHOLDER;

use crate::{
    line::{Draw, Field},
    server,
};

/// A named field, such as `%{X-Request-Id}i`.
#[derive(Debug, Clone)]
pub struct NamedRequestField<'a> {
    /// The namespace of the name.
    pub namespace: Namespace,
    /// The name; case-insensitive, as headers and cookies are.
    pub name: &'a str,
    /// The fact.
    pub field: Field<'a>,
}

/// All fields with a fixed set of values.
#[derive(Debug, Clone)]
pub struct RequestFields<'a> {
    /// The client's host name or address (`%h`).
    pub remote_host: Field<'a>,
    /// The client's address (`%a`).
    pub client_address: Field<'a>,
    /// The name by identd (`%l`).
    pub remote_logname: Field<'a>,
    /// The authenticated user (`%u`).
    pub remote_user: Field<'a>,
    /// The message that replaces the request line (`%r`), if there is one.
    pub message: Option<Field<'a>>,
    /// The request line (`%r`), if it isn't method, target and protocol.
    pub request_line: Option<Field<'a>>,
    /// The method (`%m`).
    pub method: Field<'a>,
    /// The request target: path and query as received.
    pub target: Field<'a>,
    /// The path, decoded and normalized by httpd (`%U`).
    pub path: Field<'a>,
    /// The query with its `?`, or nothing (`%q`).
    pub query: Field<'a>,
    /// The protocol (`%H`).
    pub protocol: Field<'a>,
    /// The final status (`%>s`).
    pub status: Field<'a>,
    /// The status of the request that was redirected within the server (`%s`).
    pub original_status: Field<'a>,
    /// The referer (`%{Referer}i`).
    pub referer: Field<'a>,
    /// The user agent (`%{User-Agent}i`).
    pub user_agent: Field<'a>,
    /// The host that the request names (`%{Host}i`).
    pub host: Field<'a>,
    /// The virtual host's name (`%v`).
    pub virtual_host: Field<'a>,
    /// The server's name (`%V`).
    pub server_name: Field<'a>,
    /// The server's address (`%A`).
    pub local_address: Field<'a>,
    /// The server's port (`%p`).
    pub port: Field<'a>,
    /// The port that the connection came to (`%{local}p`).
    pub local_port: Field<'a>,
    /// The file (`%f`).
    pub filename: Field<'a>,
    /// The handler (`%R`).
    pub handler: Field<'a>,
    /// The identifier that the error log has, too (`%L`).
    pub log_id: Field<'a>,
    /// The type of the response's body (`%{Content-Type}o`).
    pub content_type: Field<'a>,
    /// The connection's protocol (`%{SSL_PROTOCOL}x`).
    pub tls_protocol: Field<'a>,
    /// The connection's cipher by OpenSSL's name (`%{SSL_CIPHER}x`).
    pub tls_cipher: Field<'a>,
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
            remote_host: Field::absent(Draw::CLIENT),
            client_address: Field::absent(Draw::CLIENT),
            remote_logname: Field::absent(Draw::CLIENT),
            remote_user: Field::absent(Draw::USER),
            message: None,
            request_line: None,
            method: Field::absent(Draw::EXCHANGE),
            target: Field::absent(Draw::TARGET),
            path: Field::absent(Draw::TARGET),
            query: Field::absent(Draw::TARGET),
            protocol: Field::absent(Draw::PROTOCOL),
            status: Field::absent(Draw::EXCHANGE),
            original_status: Field::absent(Draw::EXCHANGE),
            referer: Field::absent(Draw::REFERER),
            user_agent: Field::absent(Draw::USER_AGENT),
            host: Field::absent(Draw::HOST),
            virtual_host: Field::absent(Draw::VIRTUAL_HOST),
            server_name: Field::absent(Draw::HOST),
            local_address: Field::only(Draw::CLIENT, server::ADDRESS.as_bytes()),
            port: Field::only(Draw::CLIENT, port.clone()),
            local_port: Field::only(Draw::CLIENT, port),
            filename: Field::absent(Draw::TARGET),
            handler: Field::absent(Draw::TARGET),
            log_id: Field::absent(Draw::TARGET),
            content_type: Field::absent(Draw::CONTENT_TYPE),
            tls_protocol: Field::absent(Draw::TLS),
            tls_cipher: Field::absent(Draw::TLS),
            has_id: None,
            has_headers: true,
            named: Vec::new(),
        }
    }

    /// With a token in each line, in this place.
    #[must_use]
    pub fn with_token(mut self, place: TokenPlace) -> Self {
        let changed = match place {
            TokenPlace::Id => vec![],
            TokenPlace::Target => vec![&mut self.target, &mut self.query],
            TokenPlace::Referer => vec![&mut self.referer],
        };
        for value in changed.into_iter().flat_map(|field| &mut field.values) {
            *value = with_parameter(value).into();
        }
        // A message isn't a request, and has no identifier.
        for value in self.message.iter_mut().flat_map(|message| &mut message.values) {
            *value = [&**value, b" id=", PLACEHOLDER].concat().into();
        }
        self
    }

    /// The configured field of a directive that names something.
    pub fn named(&self, namespace: Namespace, name: &str) -> Option<&Field<'_>> {
        let is_it = |named: &&NamedRequestField<'_>| {
            named.namespace == namespace && named.name.eq_ignore_ascii_case(name)
        };
        self.named.iter().find(is_it).map(|named| &named.field)
    }
}

/// A target, a query or a page with a token as a parameter.
fn with_parameter(value: &[u8]) -> Vec<u8> {
    let (value, fragment) =
        value.split_at(value.iter().position(|b| *b == b'#').unwrap_or(value.len()));
    let (page, separator): (&[u8], &[u8]) = match value {
        // An absent referer.
        b"-" => (b"https://shop.example/", b"?"),
        value if value.contains(&b'?') => (value, b"&"),
        value => (value, b"?"),
    };
    [page, separator, b"id=", PLACEHOLDER, fragment].concat()
}
