//! How a request is drawn: client, target, method, status, and sizes.
//!
//! The request target is drawn first. Its class determines the methods, and the method the
//! statuses, in one draw; both determine whether there is a body. So a 304 and a HEAD have none,
//! and a style sheet is never the target of a POST, unless the document configures it.

use std::sync::Arc;

use visor_logs::{
    Release,
    log_format::Namespace,
    resolved::{self, Choices, Requests},
};

use super::{
    defaults::{Defaults, Tls, with_malformed},
    exchange::{Exchange, Exchanges, Response},
    fields::{NamedRequestField, RequestFields},
    malformed::MalformedRequests,
    request::{Connection, Request},
    target::{Range, RequestTarget},
};
use crate::{
    choice::{InvalidWeights, Table},
    clients,
    line::{Draw, Draws, Field, NeededDraws},
    random::{Random, Seed},
    server::{self, Thread},
    text::Text,
    time::Time,
};

/// The model of the requests of a stream. Streams without choices of their own share one.
#[derive(Debug)]
pub struct RequestModel {
    clients: Table<Text>,
    users: Arc<Table<String>>,
    targets: Arc<Table<RequestTarget>>,
    exchanges: Arc<Exchanges>,
    protocols: Arc<Table<String>>,
    referers: Arc<Table<String>>,
    user_agents: Arc<Table<String>>,
    virtual_hosts: Arc<Table<String>>,
    durations: Arc<Table<Range>>,
    sizes: Arc<Table<Range>>,
    tls: Arc<Table<Tls>>,
    /// If there are some, the last target stands for them.
    malformed: Option<MalformedRequests>,
    named: Box<[Named]>,
}

/// The values of a directive such as `%{X-Request-Id}i`.
#[derive(Debug)]
struct Named {
    namespace: Namespace,
    name: String,
    values: Table<String>,
}

/// The indexes of content types; those of the targets follow.
const NO_CONTENT: usize = 0;
const ERROR_PAGE: usize = 1;
const FIRST_TARGET: usize = 2;

/// The indexes of files; those of the targets follow.
const NO_FILE: usize = 0;
const FIRST_FILE: usize = 1;

impl RequestModel {
    /// The configured choices, else the default server's, of this release. Malformed requests are to
    /// the server with this name. The pool of clients depends on `seed`.
    ///
    /// # Errors
    ///
    /// If one of the built-in lists of choices is invalid.
    pub fn new(
        requests: &Requests,
        release: Release,
        server_name: &str,
        seed: Seed,
    ) -> Result<Self, InvalidWeights> {
        let defaults = Defaults::get()?;
        let malformed = if requests.malformed && release > Release::V2_2_34 {
            Some(MalformedRequests::new(server_name, release)?)
        } else {
            None
        };
        let weighted = |target: (&resolved::RequestTarget, u32)| {
            (RequestTarget::of(target.0), u64::from(target.1))
        };
        let own = match (&requests.targets, &requests.sizes) {
            (Some(targets), _) => Some(targets.iter().map(weighted).collect()),
            (None, Some(_)) => Some(Defaults::targets(|_| None)),
            (None, None) => None,
        };
        let targets = match (own, &malformed) {
            (Some(targets), Some(_)) => Arc::new(Table::new(with_malformed(targets))?),
            (Some(targets), None) => Arc::new(Table::new(targets)?),
            (None, Some(_)) => Arc::clone(&defaults.with_malformed),
            (None, None) => Arc::clone(&defaults.targets),
        };
        let exchanges = match (&requests.methods, &requests.statuses) {
            (None, None) if release == Release::PRESENT => Arc::clone(&defaults.exchanges),
            (methods, statuses) => {
                Arc::new(Exchanges::new(methods.as_ref(), statuses.as_ref(), release)?)
            }
        };
        let named = requests.directives.iter().map(|directive| Named {
            namespace: directive.namespace,
            name: directive.name.clone(),
            values: Table::of(&directive.values, String::clone),
        });
        let given =
            |list: &Option<Choices<String>>, default| or(default, list.as_ref(), String::clone);
        Ok(Self {
            clients: clients::pool(&requests.clients, seed)?,
            users: given(&requests.users, &defaults.users),
            targets,
            exchanges,
            protocols: given(&requests.protocols, &defaults.protocols),
            referers: given(&requests.referers, &defaults.referers),
            user_agents: given(&requests.user_agents, &defaults.user_agents),
            virtual_hosts: given(&requests.virtual_hosts, &defaults.virtual_hosts),
            durations: or(&defaults.durations, requests.durations.as_ref(), Range::of_durations),
            sizes: or(&defaults.sizes, requests.sizes.as_ref(), Range::of_sizes),
            tls: Arc::clone(&defaults.tls),
            malformed,
            named: named.collect(),
        })
    }

    /// The fields of its requests.
    pub fn fields(&self) -> RequestFields<'_> {
        let target = |value: fn(&RequestTarget) -> &[u8]| {
            Field::new(Draw::TARGET, self.targets.values().iter().map(value))
        };
        let files = self.targets.values().iter().map(RequestTarget::filename);
        let files = [b"-".to_vec()].into_iter().chain(files);
        let status = |exchange: &Exchange| exchange.status.to_string().into_bytes();
        let exchanges = self.exchanges.all();
        let status = Field::new(Draw::EXCHANGE, exchanges.iter().map(status));
        let client = self.client();
        let virtual_host = texts(Draw::VIRTUAL_HOST, &self.virtual_hosts);
        let content_types = self.targets.values().iter().map(|target| target.content_type);
        let content_types = ["-", "text/html; charset=iso-8859-1"].into_iter().chain(content_types);
        let named = self.named.iter().enumerate().map(|(number, named)| NamedRequestField {
            namespace: named.namespace,
            name: &named.name,
            field: texts(Draw::named(number), &named.values),
        });
        let tls = self.tls.values();
        RequestFields {
            remote_host: client.clone(),
            client_address: client,
            remote_user: texts(Draw::USER, &self.users),
            method: Field::new(
                Draw::EXCHANGE,
                exchanges.iter().map(|given| given.method.as_bytes()),
            ),
            target: target(|target| target.text.as_bytes()),
            path: target(|target| &target.path),
            query: target(|target| target.query().as_bytes()),
            filename: Field::new(Draw::FILENAME, files),
            protocol: texts(Draw::PROTOCOL, &self.protocols),
            status: status.clone(),
            original_status: status,
            referer: texts(Draw::REFERER, &self.referers),
            user_agent: texts(Draw::USER_AGENT, &self.user_agents),
            host: self.hosts(<[u8]>::to_ascii_lowercase),
            server_name: self.hosts(|host| server_name(host).to_ascii_lowercase()),
            virtual_host,
            content_type: Field::new(Draw::CONTENT_TYPE, content_types.map(str::as_bytes)),
            tls_protocol: Field::new(Draw::TLS, tls.iter().map(|tls| tls.protocol.as_bytes())),
            tls_cipher: Field::new(Draw::TLS, tls.iter().map(|tls| tls.cipher.as_bytes())),
            named: named.collect(),
            ..RequestFields::defaults()
        }
    }

    /// The fields of its malformed requests, if there are some.
    pub fn malformed_fields(&self) -> Option<RequestFields<'_>> {
        self.malformed.as_ref().map(|malformed| malformed.fields(&self.client()))
    }

    fn client(&self) -> Field<'_> {
        Field::new(Draw::CLIENT, self.clients.values().iter().map(|client| &**client))
    }

    /// The hosts of its requests: the virtual hosts, and then those of the targets, as `write` has
    /// them.
    fn hosts(&self, write: impl Fn(&[u8]) -> Vec<u8>) -> Field<'_> {
        let own = self.virtual_hosts.values().iter().map(|host| host.as_bytes().to_vec());
        let targets = self.targets.values();
        let of_target = |target: &RequestTarget| target.authority().map_or_else(Vec::new, &write);
        let of_targets = targets.iter().map(of_target);
        // Nearly no target names a host, so nearly no column is that wide.
        let count =
            if targets.iter().any(|target| target.has_authority) { targets.len() } else { 0 };
        Field::new(Draw::HOST, own.chain(of_targets.take(count)))
    }

    /// Creates the draws of a request.
    pub fn draws(&self) -> Draws {
        Draws::with_named(self.named.len())
    }

    /// Draws a request that ends at `time`.
    #[inline]
    pub fn draw<'a>(
        &self,
        time: Time,
        needed: NeededDraws,
        random: &mut Random,
        draws: &'a mut Draws,
    ) -> Request<'a> {
        let [target, client] = random.chances();
        let [exchange, protocol] = random.chances();
        let target_number = self.targets.index(target);
        if let Some(malformed) = &self.malformed
            && target_number + 1 == self.targets.values().len()
        {
            let client = self.clients.index(client);
            let connection = if needed.connection { connection(random) } else { Connection::NONE };
            return malformed.draw(time, client, random, draws, connection);
        }
        let target = &self.targets.values()[target_number];
        let exchange_number = self.exchanges.index(target.class, exchange);
        let exchange = &self.exchanges.all()[exchange_number];
        draws.set(Draw::TARGET, target_number);
        draws.set(Draw::EXCHANGE, exchange_number);
        draws.set(Draw::CLIENT, self.clients.index(client));
        let body_bytes = self.body_bytes(target, exchange.response, random);
        draws.set(
            Draw::FILENAME,
            if exchange.is_rejected { NO_FILE } else { FIRST_FILE + target_number },
        );
        draws.set(Draw::PROTOCOL, self.protocols.index(protocol));
        draws.set(
            Draw::CONTENT_TYPE,
            match exchange.status {
                _ if body_bytes == 0 => NO_CONTENT,
                300.. => ERROR_PAGE,
                _ => FIRST_TARGET + target_number,
            },
        );
        // What the format doesn't need isn't drawn, unless it shares a random number.
        if needed.user || needed.virtual_host {
            let [own_user, own_host] = random.chances();
            draws.set(Draw::USER, self.users.index(own_user));
            let own_host = self.virtual_hosts.index(own_host);
            draws.set(Draw::VIRTUAL_HOST, own_host);
            let of_target = target.has_authority.then_some(self.virtual_hosts.values().len());
            draws.set(Draw::HOST, of_target.map_or(own_host, |first| first + target_number));
        }
        if needed.referer || needed.user_agent {
            let [referer, user_agent] = random.chances();
            draws.set(Draw::REFERER, self.referers.index(referer));
            draws.set(Draw::USER_AGENT, self.user_agents.index(user_agent));
        }
        // Microseconds as in httpd, so that start, end and duration are consistent.
        let duration = if needed.duration {
            self.durations.draw(random).draw(random) / 1_000 * 1_000
        } else {
            0
        };
        let bytes_in =
            if needed.bytes_in { self.bytes_in(target, exchange, draws, random) } else { 0 };
        let id =
            if needed.id { u128::from(random.bits()) << 64 | u128::from(random.bits()) } else { 0 };
        if needed.tls {
            draws.set(Draw::TLS, self.tls.draw_index(random));
        }
        let connection = if needed.connection { connection(random) } else { Connection::NONE };
        for (number, named) in self.named.iter().enumerate() {
            draws.set(Draw::named(number), named.values.draw_index(random));
        }
        Request {
            draws,
            time: time.saturating_add(-i64::try_from(duration).unwrap_or(i64::MAX)),
            duration,
            body_bytes,
            bytes_in,
            bytes_out: body_bytes + exchange.head_bytes,
            connection,
            id,
            is_malformed: false,
        }
    }

    /// The size of the body: that of the response, or of the target, complete or partial.
    #[inline]
    fn body_bytes(&self, target: &RequestTarget, response: Response, random: &mut Random) -> u64 {
        if let Response::Bytes(bytes) = response {
            return bytes;
        }
        let size = match target.size {
            Some(size) => size.draw(random),
            None => self.sizes.draw(random).draw(random),
        };
        if response == Response::Part { random.between(size.min(1), size) } else { size }
    }

    /// The size of the request: the known parts of its head, other headers, and a body if it has
    /// one.
    fn bytes_in(
        &self,
        target: &RequestTarget,
        exchange: &Exchange,
        draws: &Draws,
        random: &mut Random,
    ) -> u64 {
        let user_agent = &self.user_agents.values()[draws.get(Draw::USER_AGENT)];
        let referer = &self.referers.values()[draws.get(Draw::REFERER)];
        let texts = [&exchange.method, &target.text, user_agent, referer];
        let known: usize = texts.into_iter().map(String::len).sum();
        let body = if exchange.has_request_body { random.between(40, 2_000) } else { 0 };
        known as u64 + random.between(180, 640) + body
    }
}

/// The connection of a request.
#[expect(clippy::cast_possible_truncation, reason = "it is below 12")]
fn connection(random: &mut Random) -> Connection {
    let thread = Thread::draw(random);
    Connection {
        process_id: thread.process,
        thread_id: thread.posix,
        remote_port: server::client_port(random),
        keep_alive_requests: random.below(12) as u32,
        status: if random.below(20) == 0 { b'-' } else { b'+' },
    }
}

/// The name in a host and port.
fn server_name(host: &[u8]) -> &[u8] {
    let colon = host.iter().rposition(|byte| *byte == b':');
    let is_port = |port: &[u8]| port[1..].iter().all(u8::is_ascii_digit);
    match colon.map(|colon| host.split_at(colon)) {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    }
}

/// The table of a configured list, else the default one.
fn or<C, T>(
    default: &Arc<Table<T>>,
    list: Option<&Choices<C>>,
    make: impl Fn(&C) -> T,
) -> Arc<Table<T>> {
    list.map_or_else(|| Arc::clone(default), |list| Arc::new(Table::of(list, make)))
}

/// The field of a table of texts.
fn texts(draw_of: Draw, table: &Table<String>) -> Field<'_> {
    Field::new(draw_of, table.values().iter().map(String::as_bytes))
}
