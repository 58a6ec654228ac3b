//! The model of the lines of an access log: requests or heartbeats.

use std::sync::Arc;

use super::{
    fields::RequestFields, heartbeat::Heartbeat, request::Request, requests::RequestModel,
};
use crate::{
    line::{Draws, NeededDraws},
    random::Random,
    time::Time,
};

/// The model of a stream's lines. Streams with the same model share it.
#[derive(Debug, Clone)]
pub enum AccessModel {
    /// Requests.
    Requests(Arc<RequestModel>),
    /// Heartbeats.
    Heartbeats(Arc<Heartbeat>),
}

impl AccessModel {
    /// Its fields.
    pub fn fields(&self) -> RequestFields<'_> {
        match self {
            Self::Requests(requests) => requests.fields(),
            Self::Heartbeats(heartbeat) => heartbeat.fields(),
        }
    }

    /// The fields of its malformed requests, if there are some.
    pub fn malformed_fields(&self) -> Option<RequestFields<'_>> {
        match self {
            Self::Requests(requests) => requests.malformed_fields(),
            Self::Heartbeats(_) => None,
        }
    }

    /// Creates the draws of a line.
    pub fn draws(&self) -> Draws {
        match self {
            Self::Requests(requests) => requests.draws(),
            Self::Heartbeats(_) => Draws::default(),
        }
    }

    /// Draws the request of the line that is due at `time`, as far as the format needs it.
    #[inline]
    pub fn draw<'a>(
        &self,
        time: Time,
        needed: NeededDraws,
        random: &mut Random,
        draws: &'a mut Draws,
    ) -> Request<'a> {
        match self {
            Self::Requests(requests) => requests.draw(time, needed, random, draws),
            Self::Heartbeats(heartbeat) => heartbeat.draw(time, needed, random, draws),
        }
    }
}
