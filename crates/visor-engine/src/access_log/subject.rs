//! What the lines of an access log tell of: requests, or signs of life.

use std::sync::Arc;

use super::{
    columns::Uses,
    content::Content,
    facts::{Facts, Picks},
    heartbeat::Heartbeat,
    request::Request,
};
use crate::{random::Random, time::Time};

/// What a stream's lines tell of. Streams that are alike share it.
#[derive(Debug, Clone)]
pub enum Subject {
    /// Requests.
    Requests(Arc<Content>),
    /// Signs of life.
    Heartbeats(Arc<Heartbeat>),
}

impl Subject {
    /// What formats can say of it.
    pub fn facts(&self) -> Facts<'_> {
        match self {
            Self::Requests(content) => content.facts(),
            Self::Heartbeats(heartbeat) => heartbeat.facts(),
        }
    }

    /// Room for what is drawn for a line.
    pub fn picks(&self) -> Picks {
        match self {
            Self::Requests(content) => content.picks(),
            Self::Heartbeats(_) => Picks::default(),
        }
    }

    /// Draws what the line that is due at `time` tells of, as far as that shows.
    #[inline]
    pub fn draw<'a>(
        &self,
        time: Time,
        uses: Uses,
        random: &mut Random,
        picks: &'a mut Picks,
    ) -> Request<'a> {
        match self {
            Self::Requests(content) => content.draw(time, uses, random, picks),
            Self::Heartbeats(heartbeat) => heartbeat.draw(time, uses, random, picks),
        }
    }
}
