//! How a request is drawn: who asks for what, how it ends, and what that makes of its size.
//!
//! A resource is drawn first. Its class says which methods it is asked with, and the method which
//! statuses it is answered with, in one draw; both say whether there is a body. So a 304 and a
//! HEAD have none, and a style sheet is never posted to, unless a document says otherwise.

use std::sync::Arc;

use visor_api::resolved::{Choices, Requests};

use super::{
    defaults::Defaults,
    escaping::Escaping,
    exchange::{Exchange, Response, exchanges},
    format::{Format, Uses},
    request::{NamedTable, NamedValues, Request, RequestLine, ServerFacts, Tls},
    resource::{Range, Resource},
};
use crate::{
    choice::{NothingToDraw, Table},
    clients,
    random::{Random, Seed},
    server,
    text::{Lines, Text},
    time::Time,
};

/// What the requests of a stream are made of. Streams that say nothing of their own share one.
#[derive(Debug, Clone)]
pub struct Content {
    clients: Arc<Table<Text>>,
    users: Arc<Table<Text>>,
    resources: Arc<Table<Resource>>,
    exchanges: Arc<[Table<Exchange>]>,
    protocols: Arc<Table<Text>>,
    referers: Arc<Table<Text>>,
    user_agents: Arc<Table<Text>>,
    virtual_hosts: Arc<Table<Text>>,
    durations: Arc<Table<Range>>,
    sizes: Arc<Table<Range>>,
    tls: Arc<Table<Tls>>,
    named: Box<[NamedTable]>,
    server: ServerFacts,
    nothing: Text,
    error_page_type: Text,
}

/// The indices of the values that were drawn for named directives, kept between lines so that a
/// line allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Drawn(Vec<usize>);

impl Content {
    /// What a document asks for, as its format escapes it; where it says nothing, the default
    /// server's. The pool of clients depends on `seed`.
    ///
    /// # Errors
    ///
    /// If one of our own lists of choices can't be drawn from.
    pub fn new(
        requests: &Requests,
        seed: Seed,
        escaping: &Escaping,
    ) -> Result<Self, NothingToDraw> {
        let defaults = escaping.defaults()?;
        let text = |plain: &String| escaping.text(plain);
        let resources = match (&requests.resources, &requests.sizes) {
            (Some(resources), _) => {
                Arc::new(Table::of(resources, |resource| Resource::of(resource, escaping)))
            }
            (None, Some(_)) => Arc::new(Defaults::resources(escaping, |_| None)?),
            (None, None) => Arc::clone(&defaults.resources),
        };
        let exchanges = match (&requests.methods, &requests.statuses) {
            (None, None) => Arc::clone(&defaults.exchanges),
            (methods, statuses) => exchanges(methods.as_ref(), statuses.as_ref(), escaping)?,
        };
        let named = requests.directives.iter().map(|directive| NamedTable {
            namespace: directive.namespace,
            name: directive.name.clone(),
            values: Table::of(&directive.values, text),
        });
        Ok(Self {
            clients: Arc::new(clients::pool(&requests.clients, seed)?),
            users: or(&defaults.users, requests.users.as_ref(), text),
            resources,
            exchanges,
            protocols: or(&defaults.protocols, requests.protocols.as_ref(), text),
            referers: or(&defaults.referers, requests.referers.as_ref(), text),
            user_agents: or(&defaults.user_agents, requests.user_agents.as_ref(), text),
            virtual_hosts: or(&defaults.virtual_hosts, requests.virtual_hosts.as_ref(), text),
            durations: or(&defaults.durations, requests.durations.as_ref(), Range::of_durations),
            sizes: or(&defaults.sizes, requests.sizes.as_ref(), Range::of_sizes),
            tls: Arc::clone(&defaults.tls),
            named: named.collect(),
            server: ServerFacts::new(escaping),
            nothing: Text::absent(),
            error_page_type: escaping.text("text/html; charset=iso-8859-1"),
        })
    }

    /// Draws a request that ends at `time`, and writes its line.
    pub fn write(
        &self,
        time: Time,
        format: &mut Format,
        random: &mut Random,
        drawn: &mut Drawn,
        out: &mut Lines,
    ) {
        let request = self.draw(time, format.uses(), random, drawn);
        format.write(&request, out);
    }

    #[inline]
    fn draw<'a>(
        &'a self,
        time: Time,
        uses: Uses,
        random: &mut Random,
        drawn: &'a mut Drawn,
    ) -> Request<'a> {
        let resource = self.resources.draw(random);
        let exchange = self.exchanges[resource.class].draw(random);
        let client = self.clients.draw(random);
        let body_bytes = self.body_bytes(resource, exchange.response, random);
        let first = |table: &'a Table<Text>| &table.values()[0];
        let mut request = Request {
            time,
            duration: 0,
            time_to_first_byte: 0,
            remote_host: client,
            client_address: client,
            remote_user: first(&self.users),
            request_line: RequestLine {
                whole: None,
                method: &exchange.method,
                path: &resource.path,
                uri: &resource.uri,
                query: &resource.query,
                protocol: self.protocols.draw(random),
            },
            status_code: exchange.status_code,
            status: &exchange.status,
            original_status: &exchange.status,
            body_bytes,
            bytes_in: 0,
            bytes_out: body_bytes + head_bytes(exchange.status_code),
            referer: first(&self.referers),
            user_agent: first(&self.user_agents),
            virtual_host: first(&self.virtual_hosts),
            remote_port: 0,
            pid: 0,
            tid: 0,
            keep_alive_requests: 0,
            id: 0,
            content_type: self.content_type(resource, exchange.status_code, body_bytes),
            tls: &self.tls.values()[0],
            connection_status: b'+',
            named: NamedValues::NONE,
            server: &self.server,
        };
        // What the format doesn't write isn't drawn.
        if uses.remote_user {
            request.remote_user = self.users.draw(random);
        }
        if uses.referer {
            request.referer = self.referers.draw(random);
        }
        if uses.user_agent {
            request.user_agent = self.user_agents.draw(random);
        }
        if uses.virtual_host {
            request.virtual_host = self.virtual_hosts.draw(random);
        }
        if uses.duration {
            // httpd's own unit, so that beginning, end and duration agree to the last digit.
            request.duration = self.durations.draw(random).draw(random) / 1_000 * 1_000;
            let duration = i64::try_from(request.duration).unwrap_or(i64::MAX);
            request.time = time.saturating_add(-duration);
            // What comes first takes most of the time, but for large bodies.
            request.time_to_first_byte = request.duration - request.duration / 8;
        }
        if uses.bytes_in {
            let line = &request.request_line;
            let head = line.method.len() + line.path.len() + line.query.len();
            let body = if exchange.has_request_body { random.between(40, 2_000) } else { 0 };
            request.bytes_in = (head + request.user_agent.len() + request.referer.len()) as u64
                + random.between(180, 640)
                + body;
        }
        if uses.id {
            request.id = u128::from(random.bits()) << 64 | u128::from(random.bits());
        }
        if uses.tls {
            request.tls = self.tls.draw(random);
        }
        if uses.connection {
            draw_connection(&mut request, random);
        }
        if !self.named.is_empty() {
            drawn.0.clear();
            drawn.0.extend(self.named.iter().map(|named| named.values.draw_index(random)));
            request.named = NamedValues { tables: &self.named, drawn: &drawn.0 };
        }
        request
    }

    /// The type of the response's body: the resource's, or that of httpd's own page about a status.
    #[inline]
    fn content_type<'a>(&'a self, resource: &'a Resource, status: u16, bytes: u64) -> &'a Text {
        match status {
            _ if bytes == 0 => &self.nothing,
            300.. => &self.error_page_type,
            _ => &resource.content_type,
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
}

/// The bytes of a response's head: a not-modified one has fewer headers.
const fn head_bytes(status: u16) -> u64 {
    match status {
        304 => 181,
        301..=308 => 276,
        400..=599 => 213,
        _ => 284,
    }
}

/// The connection that a request came by.
#[expect(clippy::cast_possible_truncation, reason = "it is below 12")]
fn draw_connection(request: &mut Request<'_>, random: &mut Random) {
    let server::Thread { process, thread } = server::Thread::draw(random);
    (request.pid, request.tid) = (process, thread);
    request.remote_port = server::client_port(random);
    request.keep_alive_requests = random.below(12) as u32;
    request.connection_status = if random.below(20) == 0 { b'-' } else { b'+' };
}

/// The table of a document's list, or the default one where there is no list.
fn or<C, T>(
    default: &Arc<Table<T>>,
    list: Option<&Choices<C>>,
    make: impl Fn(&C) -> T,
) -> Arc<Table<T>> {
    list.map_or_else(|| Arc::clone(default), |list| Arc::new(Table::of(list, make)))
}
