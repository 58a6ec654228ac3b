//! What a connection is doing. One that waits for its client may be closed for another one, and is
//! closed when it times out.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use crate::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its first request hasn't been received yet.
    New,
    /// It is receiving the body of a request.
    Body,
    /// A request is being answered: it waits for this program, not for its client.
    Work,
    /// The client is reading a response.
    ResponseBody,
    /// There is no request.
    Idle,
}

/// A phase, and when it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    pub(crate) phase: Phase,
    pub(crate) since: Instant,
}

impl Since {
    pub(crate) fn now(phase: Phase) -> Self {
        Self { phase, since: Instant::now() }
    }

    /// When a connection in this phase times out.
    pub(crate) fn end(self, limits: &Limits) -> Instant {
        let max_length: Duration = match self.phase {
            Phase::New => limits.head,
            Phase::Body => limits.body,
            Phase::Work => limits.work,
            Phase::ResponseBody => limits.answer,
            Phase::Idle => limits.idle,
        };
        self.since + max_length
    }
}

/// The phase of a request's connection. It is among the extensions of the request.
#[derive(Debug, Clone)]
pub struct Progress(watch::Sender<Since>);

impl Default for Progress {
    fn default() -> Self {
        Self(watch::Sender::new(Since::now(Phase::New)))
    }
}

impl Progress {
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.send_replace(Since::now(phase));
    }

    pub(crate) fn get(&self) -> Since {
        *self.0.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Since> {
        self.0.subscribe()
    }

    /// The request waits for its client or for its turn: the connection may be closed for another one.
    pub fn waiting(&self) {
        self.enter(Phase::Body);
    }

    /// The request has been received and is being answered.
    pub fn answering(&self) {
        self.enter(Phase::Work);
    }
}
