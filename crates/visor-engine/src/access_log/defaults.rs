//! What requests are made of where a document says nothing: the default server's tables.

use std::sync::Arc;

use super::{
    escaping::Escaping,
    exchange::{Exchange, exchanges},
    request::Tls,
    resource::{Range, Resource},
};
use crate::{
    choice::{NothingToDraw, Table},
    server::traffic,
    text::Text,
};

/// The tables of the default server, as one format escapes them.
#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) users: Arc<Table<Text>>,
    pub(super) resources: Arc<Table<Resource>>,
    pub(super) exchanges: Arc<[Table<Exchange>]>,
    pub(super) protocols: Arc<Table<Text>>,
    pub(super) referers: Arc<Table<Text>>,
    pub(super) user_agents: Arc<Table<Text>>,
    pub(super) virtual_hosts: Arc<Table<Text>>,
    pub(super) durations: Arc<Table<Range>>,
    pub(super) sizes: Arc<Table<Range>>,
    pub(super) tls: Arc<Table<Tls>>,
}

impl Defaults {
    /// As a format escapes them.
    pub(super) fn new(escaping: &Escaping) -> Result<Self, NothingToDraw> {
        let text = |plain: &str| escaping.text(plain);
        let texts = |texts: &[(&str, u32)]| {
            Table::new(texts.iter().map(|(plain, weight)| (text(plain), u64::from(*weight))))
                .map(Arc::new)
        };
        let range = |min, max, weight| (Range { min, max }, u64::from(weight));
        let durations =
            traffic::DURATIONS.iter().map(|(min, max, w)| range(min * 1000, max * 1000, *w));
        let sizes = traffic::SIZES.iter().map(|(min, max, w)| range(*min, *max, *w));
        Ok(Self {
            users: texts(traffic::USERS)?,
            resources: Arc::new(Self::resources(escaping, |page| {
                Some(Range { min: page.size.0, max: page.size.1 })
            })?),
            exchanges: exchanges(None, None, escaping)?,
            protocols: texts(traffic::PROTOCOLS)?,
            referers: texts(traffic::REFERERS)?,
            user_agents: texts(traffic::USER_AGENTS)?,
            virtual_hosts: texts(traffic::VIRTUAL_HOSTS)?,
            durations: Arc::new(Table::new(durations)?),
            sizes: Arc::new(Table::new(sizes)?),
            tls: Arc::new(Table::new(traffic::TLS.iter().map(|(protocol, cipher, weight)| {
                let (protocol, cipher) = (text(protocol), text(cipher));
                (Tls { protocol, cipher }, u64::from(*weight))
            }))?),
        })
    }

    /// Its resources, each with the size of its body or one that is to be drawn.
    pub(super) fn resources(
        escaping: &Escaping,
        size: impl Fn(&traffic::Page) -> Option<Range>,
    ) -> Result<Table<Resource>, NothingToDraw> {
        Table::new(traffic::RESOURCES.iter().map(|page| {
            let class = page.class as usize;
            (Resource::new(page.target, class, size(page), escaping), u64::from(page.weight))
        }))
    }
}
