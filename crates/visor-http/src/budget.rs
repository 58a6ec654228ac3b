//! A memory limit for all request bodies together. When it is reached, the largest body that is still
//! being received is dropped, so neither many clients nor slow ones can block a small body that
//! arrives at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body::Body as _;
use tokio::{select, sync::Notify};

use crate::Progress;

/// A number of bytes that all bodies share. Clones share it, too.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    total: usize,
    bodies: HashMap<u64, Share>,
}

#[derive(Debug)]
struct Share {
    bytes: usize,
    /// Notified when the body is dropped; `None` once it is complete.
    dropped: Option<Arc<Notify>>,
}

/// A complete body. Its bytes are available to others again when this is dropped.
#[derive(Debug)]
pub struct CompleteBody {
    bytes: Vec<u8>,
    _share: Reservation,
}

impl CompleteBody {
    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than allowed.
    TooLong,
    /// It was dropped in favor of others.
    Dropped,
    /// The connection ended in the middle of it.
    Incomplete,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, state: Mutex::default(), freed: Notify::new() }))
    }

    /// Reads a body of at most this many bytes.
    ///
    /// # Errors
    ///
    /// See [`BodyError`].
    pub async fn read(
        &self,
        body: Body,
        max_length: usize,
        progress: &Progress,
    ) -> Result<CompleteBody, BodyError> {
        progress.waiting();
        if body.size_hint().lower() > max_length as u64 {
            return Err(BodyError::TooLong);
        }
        let (share, dropped) = self.begin();
        let mut frames = body.into_data_stream();
        let mut bytes = Vec::new();
        loop {
            let frame: Option<Result<Bytes, _>> = select! {
                () = dropped.notified() => return Err(BodyError::Dropped),
                frame = frames.next() => frame,
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| BodyError::Incomplete)?;
            if bytes.len() + frame.len() > max_length {
                return Err(BodyError::TooLong);
            }
            share.grow(frame.len(), &dropped).await?;
            bytes.extend_from_slice(&frame);
        }
        share.complete()?;
        progress.answering();
        Ok(CompleteBody { bytes, _share: share })
    }

    fn begin(&self) -> (Reservation, Arc<Notify>) {
        let dropped = Arc::new(Notify::new());
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.bodies.insert(number, Share { bytes: 0, dropped: Some(Arc::clone(&dropped)) });
        (Reservation { number, budget: self.clone() }, dropped)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of the budget that a body uses.
#[derive(Debug)]
struct Reservation {
    number: u64,
    budget: Budget,
}

impl Reservation {
    /// Reserves this many more bytes as soon as they are available.
    async fn grow(&self, more: usize, dropped: &Notify) -> Result<(), BodyError> {
        loop {
            let freed = self.budget.0.freed.notified();
            match self.budget.lock().grow(self.number, more, self.budget.0.limit) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => return Err(BodyError::Dropped),
            }
            select! {
                () = dropped.notified() => return Err(BodyError::Dropped),
                () = freed => {}
            }
        }
    }

    /// Marks the body as complete: it is never dropped in favor of others.
    fn complete(&self) -> Result<(), BodyError> {
        match self.budget.lock().bodies.get_mut(&self.number) {
            Some(share) => {
                share.dropped = None;
                Ok(())
            }
            None => Err(BodyError::Dropped),
        }
    }
}

impl State {
    /// Reserves more bytes for a body, dropping larger ones if necessary. `None` if this body is itself
    /// the largest; `Some(false)` if bytes may become available later.
    fn grow(&mut self, number: u64, more: usize, limit: usize) -> Option<bool> {
        let wanted = self.bodies.get(&number)?.bytes + more;
        while self.total + more > limit {
            let arriving = self.bodies.iter().filter(|(_, share)| share.dropped.is_some());
            let bytes = |(other, share): (&u64, &Share)| {
                let bytes = if *other == number { wanted } else { share.bytes };
                (bytes, *other)
            };
            match arriving.map(bytes).max() {
                // A complete body is processed soon.
                Some((_, largest)) if largest == number && self.total > wanted - more => {
                    let whole = self.bodies.values().any(|share| share.dropped.is_none());
                    return whole.then_some(false);
                }
                Some((_, largest)) if largest != number => {
                    let share = self.bodies.remove(&largest)?;
                    self.total -= share.bytes;
                    if let Some(dropped) = share.dropped {
                        dropped.notify_one();
                    }
                }
                _ => return None,
            }
        }
        self.total += more;
        self.bodies.get_mut(&number)?.bytes = wanted;
        Some(true)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        if let Some(share) = state.bodies.remove(&self.number) {
            state.total -= share.bytes;
        }
        drop(state);
        self.budget.0.freed.notify_waiters();
    }
}
