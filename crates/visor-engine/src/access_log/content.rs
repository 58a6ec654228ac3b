//! How a request is drawn: who asks for what, how it ends, and what that makes of its size.
//!
//! A resource is drawn first. Its class says which methods it is asked with, and the method which
//! statuses it is answered with, in one draw; both say whether there is a body. So a 304 and a
//! HEAD have none, and a style sheet is never posted to, unless a document says otherwise.

use std::sync::Arc;

use visor_api::{
    log_format::Namespace,
    resolved::{Choices, Requests},
    source::DOCUMENT_ROOT,
};

use super::{
    columns::Uses,
    defaults::{Defaults, Tls},
    exchange::{Exchange, Exchanges, Response},
    facts::{Fact, Facts, NamedFact, Pick, Picks},
    request::{Connection, Request},
    resource::{Range, Resource},
};
use crate::{
    choice::{NothingToDraw, Table},
    clients,
    random::{Random, Seed},
    server::{self, Thread},
    text::Text,
    time::Time,
};

/// What the requests of a stream are made of. Streams that say nothing of their own share one.
#[derive(Debug)]
pub struct Content {
    clients: Table<Text>,
    users: Arc<Table<String>>,
    resources: Arc<Table<Resource>>,
    exchanges: Arc<Exchanges>,
    protocols: Arc<Table<String>>,
    referers: Arc<Table<String>>,
    user_agents: Arc<Table<String>>,
    virtual_hosts: Arc<Table<String>>,
    durations: Arc<Table<Range>>,
    sizes: Arc<Table<Range>>,
    tls: Arc<Table<Tls>>,
    named: Box<[Named]>,
}

/// The values that a directive such as `%{X-Request-Id}i` can have.
#[derive(Debug)]
struct Named {
    namespace: Namespace,
    name: String,
    values: Table<String>,
}

/// The numbers that a content type has among its fact's values; those of the resources follow.
const NO_CONTENT: usize = 0;
const ERROR_PAGE: usize = 1;
const FIRST_RESOURCE: usize = 2;

impl Content {
    /// What a document asks for; where it says nothing, the default server's. The pool of clients
    /// depends on `seed`.
    ///
    /// # Errors
    ///
    /// If one of our own lists of choices can't be drawn from.
    pub fn new(requests: &Requests, seed: Seed) -> Result<Self, NothingToDraw> {
        let defaults = Defaults::get()?;
        let resources = match (&requests.resources, &requests.sizes) {
            (Some(resources), _) => Arc::new(Table::of(resources, Resource::of)),
            (None, Some(_)) => Arc::new(Defaults::resources(|_| None)?),
            (None, None) => Arc::clone(&defaults.resources),
        };
        let exchanges = match (&requests.methods, &requests.statuses) {
            (None, None) => Arc::clone(&defaults.exchanges),
            (methods, statuses) => Arc::new(Exchanges::new(methods.as_ref(), statuses.as_ref())?),
        };
        let named = requests.directives.iter().map(|directive| Named {
            namespace: directive.namespace,
            name: directive.name.clone(),
            values: Table::of(&directive.values, String::clone),
        });
        let own =
            |list: &Option<Choices<String>>, default| or(default, list.as_ref(), String::clone);
        Ok(Self {
            clients: clients::pool(&requests.clients, seed)?,
            users: own(&requests.users, &defaults.users),
            resources,
            exchanges,
            protocols: own(&requests.protocols, &defaults.protocols),
            referers: own(&requests.referers, &defaults.referers),
            user_agents: own(&requests.user_agents, &defaults.user_agents),
            virtual_hosts: own(&requests.virtual_hosts, &defaults.virtual_hosts),
            durations: or(&defaults.durations, requests.durations.as_ref(), Range::of_durations),
            sizes: or(&defaults.sizes, requests.sizes.as_ref(), Range::of_sizes),
            tls: Arc::clone(&defaults.tls),
            named: named.collect(),
        })
    }

    /// What formats can say of its requests.
    pub fn facts(&self) -> Facts<'_> {
        let resource = |value: fn(&Resource) -> &[u8]| {
            Fact::new(Pick::RESOURCE, self.resources.values().iter().map(value))
        };
        let filename = |resource: &Resource| [DOCUMENT_ROOT.as_bytes(), &resource.path].concat();
        let status = |exchange: &Exchange| exchange.status.to_string().into_bytes();
        let exchanges = self.exchanges.all();
        let status = Fact::new(Pick::EXCHANGE, exchanges.iter().map(status));
        let client = Fact::new(Pick::CLIENT, self.clients.values().iter().map(|client| &**client));
        let virtual_host = texts(Pick::VIRTUAL_HOST, &self.virtual_hosts);
        let content_types = self.resources.values().iter().map(|resource| resource.content_type);
        let content_types = ["-", "text/html; charset=iso-8859-1"].into_iter().chain(content_types);
        let named = self.named.iter().enumerate().map(|(number, named)| NamedFact {
            namespace: named.namespace,
            name: &named.name,
            fact: texts(Pick::named(number), &named.values),
        });
        let tls = self.tls.values();
        Facts {
            remote_host: client.clone(),
            client_address: client,
            remote_user: texts(Pick::USER, &self.users),
            method: Fact::new(Pick::EXCHANGE, exchanges.iter().map(|own| own.method.as_bytes())),
            target: resource(|resource| resource.target.as_bytes()),
            path: resource(|resource| &resource.path),
            query: resource(|resource| resource.query().as_bytes()),
            filename: Fact::new(Pick::RESOURCE, self.resources.values().iter().map(filename)),
            protocol: texts(Pick::PROTOCOL, &self.protocols),
            status: status.clone(),
            original_status: status,
            referer: texts(Pick::REFERER, &self.referers),
            user_agent: texts(Pick::USER_AGENT, &self.user_agents),
            server_name: virtual_host.clone(),
            virtual_host,
            content_type: Fact::new(Pick::CONTENT_TYPE, content_types.map(str::as_bytes)),
            tls_protocol: Fact::new(Pick::TLS, tls.iter().map(|tls| tls.protocol.as_bytes())),
            tls_cipher: Fact::new(Pick::TLS, tls.iter().map(|tls| tls.cipher.as_bytes())),
            named: named.collect(),
            ..Facts::of_the_server()
        }
    }

    /// Room for what a request of it draws.
    pub fn picks(&self) -> Picks {
        Picks::with_named(self.named.len())
    }

    /// Draws a request that ends at `time`.
    #[inline]
    pub fn draw<'a>(
        &self,
        time: Time,
        uses: Uses,
        random: &mut Random,
        picks: &'a mut Picks,
    ) -> Request<'a> {
        let [resource, client] = random.chances();
        let [exchange, protocol] = random.chances();
        let resource_number = self.resources.index(resource);
        let resource = &self.resources.values()[resource_number];
        let exchange_number = self.exchanges.index(resource.class, exchange);
        let exchange = &self.exchanges.all()[exchange_number];
        picks.set(Pick::RESOURCE, resource_number);
        picks.set(Pick::EXCHANGE, exchange_number);
        picks.set(Pick::CLIENT, self.clients.index(client));
        let body_bytes = self.body_bytes(resource, exchange.response, random);
        picks.set(Pick::PROTOCOL, self.protocols.index(protocol));
        picks.set(
            Pick::CONTENT_TYPE,
            match exchange.status {
                _ if body_bytes == 0 => NO_CONTENT,
                300.. => ERROR_PAGE,
                _ => FIRST_RESOURCE + resource_number,
            },
        );
        // What the format doesn't write isn't drawn, but for the other half of a number.
        if uses.user || uses.virtual_host {
            let [own_user, own_host] = random.chances();
            picks.set(Pick::USER, self.users.index(own_user));
            picks.set(Pick::VIRTUAL_HOST, self.virtual_hosts.index(own_host));
        }
        if uses.referer || uses.user_agent {
            let [referer, user_agent] = random.chances();
            picks.set(Pick::REFERER, self.referers.index(referer));
            picks.set(Pick::USER_AGENT, self.user_agents.index(user_agent));
        }
        // httpd's own unit, so that beginning, end and duration agree to the last digit.
        let duration = if uses.duration {
            self.durations.draw(random).draw(random) / 1_000 * 1_000
        } else {
            0
        };
        let bytes_in =
            if uses.bytes_in { self.bytes_in(resource, exchange, picks, random) } else { 0 };
        let id =
            if uses.id { u128::from(random.bits()) << 64 | u128::from(random.bits()) } else { 0 };
        if uses.tls {
            picks.set(Pick::TLS, self.tls.draw_index(random));
        }
        let connection = if uses.connection { connection(random) } else { Connection::NONE };
        for (number, named) in self.named.iter().enumerate() {
            picks.set(Pick::named(number), named.values.draw_index(random));
        }
        Request {
            picks,
            time: time.saturating_add(-i64::try_from(duration).unwrap_or(i64::MAX)),
            duration,
            body_bytes,
            bytes_in,
            bytes_out: body_bytes + exchange.head_bytes,
            connection,
            id,
        }
    }

    /// The bytes of the body: the response's own, or those of the resource, whole or in part.
    #[inline]
    fn body_bytes(&self, resource: &Resource, response: Response, random: &mut Random) -> u64 {
        if let Response::Bytes(bytes) = response {
            return bytes;
        }
        let size = match resource.size {
            Some(size) => size.draw(random),
            None => self.sizes.draw(random).draw(random),
        };
        if response == Response::Part { random.between(size.min(1), size) } else { size }
    }

    /// The bytes of the request: what is known of its head, other headers, and a body if it has one.
    fn bytes_in(
        &self,
        resource: &Resource,
        exchange: &Exchange,
        picks: &Picks,
        random: &mut Random,
    ) -> u64 {
        let user_agent = &self.user_agents.values()[picks.get(Pick::USER_AGENT)];
        let referer = &self.referers.values()[picks.get(Pick::REFERER)];
        let texts = [&exchange.method, &resource.target, user_agent, referer];
        let known: usize = texts.into_iter().map(String::len).sum();
        let body = if exchange.has_request_body { random.between(40, 2_000) } else { 0 };
        known as u64 + random.between(180, 640) + body
    }
}

/// The connection that a request came by.
#[expect(clippy::cast_possible_truncation, reason = "it is below 12")]
fn connection(random: &mut Random) -> Connection {
    let thread = Thread::draw(random);
    Connection {
        process_id: thread.process,
        thread_id: thread.thread,
        remote_port: server::client_port(random),
        keep_alive_requests: random.below(12) as u32,
        status: if random.below(20) == 0 { b'-' } else { b'+' },
    }
}

/// The table of a document's list, or the default one where there is no list.
fn or<C, T>(
    default: &Arc<Table<T>>,
    list: Option<&Choices<C>>,
    make: impl Fn(&C) -> T,
) -> Arc<Table<T>> {
    list.map_or_else(|| Arc::clone(default), |list| Arc::new(Table::of(list, make)))
}

/// The fact that a table of texts is.
fn texts(pick: Pick, table: &Table<String>) -> Fact<'_> {
    Fact::new(pick, table.values().iter().map(String::as_bytes))
}
