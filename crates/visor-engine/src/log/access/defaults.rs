//! The default choices for requests: the default server's tables.

use std::sync::{Arc, OnceLock};

use visor_logs::Release;

use super::{
    exchange::Exchanges,
    target::{Range, RequestTarget},
};
use crate::{
    choice::{InvalidWeights, Table},
    server::{
        malformed,
        traffic::{self, Class},
    },
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
    /// The same, and a last one that stands for malformed requests.
    pub(super) with_malformed: Arc<Table<RequestTarget>>,
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
        let own_targets =
            || Self::targets(|page| Some(Range { min: page.size.0, max: page.size.1 }));
        Ok(Self {
            users: texts(traffic::USERS)?,
            targets: Arc::new(Table::new(own_targets())?),
            with_malformed: Arc::new(Table::new(with_malformed(own_targets()))?),
            exchanges: Arc::new(Exchanges::new(None, None, Release::PRESENT)?),
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

    /// Its request targets with their weights, each with the size of its body, or without one to draw
    /// it.
    pub(super) fn targets(size: impl Fn(&traffic::Page) -> Option<Range>) -> WeightedTargets {
        let target = |page: &traffic::Page| {
            let target = RequestTarget::new(page.target, page.class as usize, size(page));
            (target, u64::from(page.weight))
        };
        traffic::TARGETS.iter().map(target).collect()
    }
}

/// Request targets with their weights.
pub(super) type WeightedTargets = Vec<(RequestTarget, u64)>;

/// These targets, and a last one that stands for malformed requests.
pub(super) fn with_malformed(mut targets: WeightedTargets) -> WeightedTargets {
    let others: u64 = targets.iter().map(|(_, weight)| *weight).sum();
    // Weights in proportion, so that small ones have room for the share.
    for (_, weight) in &mut targets {
        *weight *= malformed::ONE_OF - 1;
    }
    targets.push((
        RequestTarget::new("-", Class::Other as usize, Some(Range { min: 0, max: 0 })),
        others,
    ));
    targets
}
