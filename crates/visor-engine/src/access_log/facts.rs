//! The facts of requests as formats see them: each with all the values that it can have, and the
//! draw that says which of them a request has.
//!
//! The names are those of httpd's directives in `mod_log_config`. Texts are plain bytes: escaping is
//! the format's business.

use std::borrow::Cow;

use visor_api::log_format::Namespace;

use crate::server;

/// What is drawn for a request. Facts that hang together have one draw: a resource has a path and a
/// query, an exchange has a method and a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick(u16);

impl Pick {
    /// Who asks.
    pub const CLIENT: Self = Self(0);
    /// As whom.
    pub const USER: Self = Self(1);
    /// For what.
    pub const RESOURCE: Self = Self(2);
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
    /// What comes back. Not drawn: the resource and the status say it.
    pub const CONTENT_TYPE: Self = Self(9);
    /// What stands in place of the request line.
    pub const MESSAGE: Self = Self(10);

    const FIRST_NAMED: u16 = 11;

    /// That of a directive that names something, by its number in the document.
    #[expect(clippy::cast_possible_truncation, reason = "a document has far fewer")]
    pub const fn named(number: usize) -> Self {
        Self(Self::FIRST_NAMED + number as u16)
    }
}

/// Which value each fact of one request has, by number. Kept between lines, so that a line allocates
/// nothing.
#[derive(Debug, Clone, Default)]
pub struct Picks {
    common: [u32; Pick::FIRST_NAMED as usize],
    named: Vec<u32>,
}

impl Picks {
    /// Room for these draws and those of so many directives that name something.
    pub fn with_named(named: usize) -> Self {
        Self { named: vec![0; named], ..Self::default() }
    }

    /// The number of the value that was drawn.
    #[inline]
    pub fn get(&self, pick: Pick) -> usize {
        let at = usize::from(pick.0);
        match self.common.get(at) {
            Some(number) => *number as usize,
            None => self.named.get(at - self.common.len()).map_or(0, |number| *number as usize),
        }
    }

    /// Notes the number of a value: of a table, so it has 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "no table has more values")]
    #[inline]
    pub fn set(&mut self, pick: Pick, number: usize) {
        let at = usize::from(pick.0);
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

/// A fact: the values that it can have, and the draw that says which.
#[derive(Debug, Clone)]
pub struct Fact<'a> {
    /// The draw.
    pub pick: Pick,
    /// The values, as plain bytes.
    pub values: Vec<Cow<'a, [u8]>>,
}

impl<'a> Fact<'a> {
    /// A fact of these values.
    pub fn new<V: Into<Cow<'a, [u8]>>>(pick: Pick, values: impl IntoIterator<Item = V>) -> Self {
        Self { pick, values: values.into_iter().map(Into::into).collect() }
    }

    /// A fact that is the same in every request.
    pub fn only(pick: Pick, value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { pick, values: vec![value.into()] }
    }

    /// A fact that no request has: httpd writes `-` in its place.
    pub fn absent(pick: Pick) -> Self {
        Self::only(pick, b"-".as_slice())
    }

    /// Whether no request has it.
    pub fn is_absent(&self) -> bool {
        self.values.iter().all(|value| **value == *b"-")
    }
}

/// A fact that a document or a header names, such as `%{X-Request-Id}i`.
#[derive(Debug, Clone)]
pub struct NamedFact<'a> {
    /// Where the directive looks for the name.
    pub namespace: Namespace,
    /// The name; in any letter case, as headers and cookies are.
    pub name: &'a str,
    /// The fact.
    pub fact: Fact<'a>,
}

/// All facts that aren't a number of each request's own.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The client's host name or address (`%h`).
    pub remote_host: Fact<'a>,
    /// The client's address (`%a`).
    pub client_address: Fact<'a>,
    /// The name by identd (`%l`).
    pub remote_logname: Fact<'a>,
    /// The authenticated user (`%u`).
    pub remote_user: Fact<'a>,
    /// What stands in place of the request line (`%r`) where it isn't made of its parts.
    pub message: Option<Fact<'a>>,
    /// The method (`%m`).
    pub method: Fact<'a>,
    /// The path and the query as they were asked for.
    pub target: Fact<'a>,
    /// The path as httpd understands it, decoded and normalised (`%U`).
    pub path: Fact<'a>,
    /// The query with its `?`, or nothing (`%q`).
    pub query: Fact<'a>,
    /// The protocol (`%H`).
    pub protocol: Fact<'a>,
    /// The final status (`%>s`).
    pub status: Fact<'a>,
    /// The status of the request that was redirected within the server (`%s`).
    pub original_status: Fact<'a>,
    /// The page that it came from (`%{Referer}i`).
    pub referer: Fact<'a>,
    /// The user agent (`%{User-Agent}i`).
    pub user_agent: Fact<'a>,
    /// The virtual host's name (`%v`, and `%{Host}i`).
    pub virtual_host: Fact<'a>,
    /// The server's name (`%V`).
    pub server_name: Fact<'a>,
    /// The server's address (`%A`).
    pub local_address: Fact<'a>,
    /// The server's port (`%p`).
    pub port: Fact<'a>,
    /// The port that the connection came to (`%{local}p`).
    pub local_port: Fact<'a>,
    /// The file (`%f`).
    pub filename: Fact<'a>,
    /// The handler (`%R`).
    pub handler: Fact<'a>,
    /// The identifier that the error log has, too (`%L`).
    pub log_id: Fact<'a>,
    /// The type of the response's body (`%{Content-Type}o`).
    pub content_type: Fact<'a>,
    /// The connection's protocol (`%{SSL_PROTOCOL}x`).
    pub tls_protocol: Fact<'a>,
    /// The connection's cipher by OpenSSL's name (`%{SSL_CIPHER}x`).
    pub tls_cipher: Fact<'a>,
    /// What directives that name something are replaced by.
    pub named: Vec<NamedFact<'a>>,
}

impl Facts<'_> {
    /// What is the same for all requests of the default server: behind TLS, at an address that is set
    /// aside for documentation. All else is absent.
    pub fn of_the_server() -> Self {
        let port = server::PORT.to_string().into_bytes();
        Self {
            remote_host: Fact::absent(Pick::CLIENT),
            client_address: Fact::absent(Pick::CLIENT),
            remote_logname: Fact::absent(Pick::CLIENT),
            remote_user: Fact::absent(Pick::USER),
            message: None,
            method: Fact::absent(Pick::EXCHANGE),
            target: Fact::absent(Pick::RESOURCE),
            path: Fact::absent(Pick::RESOURCE),
            query: Fact::absent(Pick::RESOURCE),
            protocol: Fact::absent(Pick::PROTOCOL),
            status: Fact::absent(Pick::EXCHANGE),
            original_status: Fact::absent(Pick::EXCHANGE),
            referer: Fact::absent(Pick::REFERER),
            user_agent: Fact::absent(Pick::USER_AGENT),
            virtual_host: Fact::absent(Pick::VIRTUAL_HOST),
            server_name: Fact::absent(Pick::VIRTUAL_HOST),
            local_address: Fact::only(Pick::CLIENT, server::ADDRESS.as_bytes()),
            port: Fact::only(Pick::CLIENT, port.clone()),
            local_port: Fact::only(Pick::CLIENT, port),
            filename: Fact::absent(Pick::RESOURCE),
            handler: Fact::absent(Pick::RESOURCE),
            log_id: Fact::absent(Pick::RESOURCE),
            content_type: Fact::absent(Pick::CONTENT_TYPE),
            tls_protocol: Fact::absent(Pick::TLS),
            tls_cipher: Fact::absent(Pick::TLS),
            named: Vec::new(),
        }
    }

    /// What a document gives for a directive that names something.
    pub fn named(&self, namespace: Namespace, name: &str) -> Option<&Fact<'_>> {
        let is_it = |named: &&NamedFact<'_>| {
            named.namespace == namespace && named.name.eq_ignore_ascii_case(name)
        };
        self.named.iter().find(is_it).map(|named| &named.fact)
    }
}
