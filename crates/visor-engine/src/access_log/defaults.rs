//! The default choices for requests: the default server's tables.

use std::sync::{Arc, OnceLock};

use super::{
    exchange::Exchanges,
    target::{Range, RequestTarget},
};
use crate::{
    choice::{InvalidWeights, Table},
    server::traffic,
};

/// The parameters of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) protocol: &'static str,
    /// The cipher by OpenSSL's name.
    pub(super) cipher: &'static str,
}

/// The tables of the default server.
#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) users: Arc<Table<String>>,
    pub(super) targets: Arc<Table<RequestTarget>>,
    pub(super) exchanges: Arc<Exchanges>,
    pub(super) protocols: Arc<Table<String>>,
    pub(super) referers: Arc<Table<String>>,
    pub(super) user_agents: Arc<Table<String>>,
    pub(super) virtual_hosts: Arc<Table<String>>,
    pub(super) durations: Arc<Table<Range>>,
    pub(super) sizes: Arc<Table<Range>>,
    pub(super) tls: Arc<Table<Tls>>,
}

impl Defaults {
    /// The tables, created on first use and shared by all streams.
    pub(super) fn get() -> Result<&'static Self, InvalidWeights> {
        static DEFAULTS: OnceLock<Result<Defaults, InvalidWeights>> = OnceLock::new();
        DEFAULTS.get_or_init(Self::new).as_ref().map_err(|error| *error)
    }

    fn new() -> Result<Self, InvalidWeights> {
        let texts = |texts: &[(&str, u32)]| {
            Table::new(texts.iter().map(|(text, w)| ((*text).to_owned(), u64::from(*w))))
                .map(Arc::new)
        };
        let range = |min, max, weight| (Range { min, max }, u64::from(weight));
        let durations =
            traffic::DURATIONS.iter().map(|(min, max, w)| range(min * 1000, max * 1000, *w));
        let sizes = traffic::SIZES.iter().map(|(min, max, w)| range(*min, *max, *w));
        Ok(Self {
            users: texts(traffic::USERS)?,
            targets: Arc::new(Self::targets(|page| {
                Some(Range { min: page.size.0, max: page.size.1 })
            })?),
            exchanges: Arc::new(Exchanges::new(None, None)?),
            protocols: texts(traffic::PROTOCOLS)?,
            referers: texts(traffic::REFERERS)?,
            user_agents: texts(traffic::USER_AGENTS)?,
            virtual_hosts: texts(traffic::VIRTUAL_HOSTS)?,
            durations: Arc::new(Table::new(durations)?),
            sizes: Arc::new(Table::new(sizes)?),
            tls: Arc::new(Table::new(traffic::TLS.iter().map(|(protocol, cipher, weight)| {
                (Tls { protocol, cipher }, u64::from(*weight))
            }))?),
        })
    }

    /// Its request targets, each with the size of its body, or without one to draw it.
    pub(super) fn targets(
        size: impl Fn(&traffic::Page) -> Option<Range>,
    ) -> Result<Table<RequestTarget>, InvalidWeights> {
        Table::new(traffic::TARGETS.iter().map(|page| {
            let class = page.class as usize;
            (RequestTarget::new(page.target, class, size(page)), u64::from(page.weight))
        }))
    }
}
