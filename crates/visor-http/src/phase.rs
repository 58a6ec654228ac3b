//! What a connection waits for. Where it is the peer, the connection may be ended for another one,
//! and is ended when it has waited too long.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use crate::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its first request hasn't arrived yet.
    New,
    /// The body of a request is arriving.
    Body,
    /// A request is being answered: what it waits for is ours.
    Work,
    /// An answer is being read.
    Answer,
    /// Nothing is asked.
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

    /// When a connection has been in its phase for too long.
    pub(crate) fn end(self, limits: &Limits) -> Instant {
        let longest: Duration = match self.phase {
            Phase::New => limits.head,
            Phase::Body => limits.body,
            Phase::Work => limits.work,
            Phase::Answer => limits.answer,
            Phase::Idle => limits.idle,
        };
        self.since + longest
    }
}

/// How far the connection of a request has come; a request has it among its extensions.
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

    /// The request waits for its peer, or for its turn: the connection may be ended for another.
    pub fn waits(&self) {
        self.enter(Phase::Body);
    }

    /// The request has arrived and is being answered.
    pub fn works(&self) {
        self.enter(Phase::Work);
    }
}
