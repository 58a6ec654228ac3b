//! The bytes of bodies that are held at once, all together. Where they would be too many, the largest
//! of those that are still arriving gives way: so neither many senders nor slow ones keep out a small
//! body that arrives at once.

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

/// A number of bytes that bodies share. Clones share it, too.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    held: Mutex<Held>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    total: usize,
    bodies: HashMap<u64, Share>,
}

#[derive(Debug)]
struct Share {
    bytes: usize,
    /// Told to give way; `None` once the body is whole.
    give_way: Option<Arc<Notify>>,
}

/// A body, whole. Its bytes are those of others again when this is dropped.
#[derive(Debug)]
pub struct HeldBody {
    bytes: Vec<u8>,
    _share: Reservation,
}

impl HeldBody {
    /// What has arrived.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than it may be.
    TooLong,
    /// It gave way to others.
    NoRoom,
    /// It ended before its end.
    BrokeOff,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most, held: Mutex::default(), freed: Notify::new() }))
    }

    /// Reads a body of at most so many bytes.
    ///
    /// # Errors
    ///
    /// See [`BodyError`].
    pub async fn read(
        &self,
        body: Body,
        longest: usize,
        progress: &Progress,
    ) -> Result<HeldBody, BodyError> {
        progress.waits();
        if body.size_hint().lower() > longest as u64 {
            return Err(BodyError::TooLong);
        }
        let (share, give_way) = self.begin();
        let mut frames = body.into_data_stream();
        let mut bytes = Vec::new();
        loop {
            let frame: Option<Result<Bytes, _>> = select! {
                () = give_way.notified() => return Err(BodyError::NoRoom),
                frame = frames.next() => frame,
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| BodyError::BrokeOff)?;
            if bytes.len() + frame.len() > longest {
                return Err(BodyError::TooLong);
            }
            share.grow(frame.len(), &give_way).await?;
            bytes.extend_from_slice(&frame);
        }
        share.is_whole()?;
        progress.works();
        Ok(HeldBody { bytes, _share: share })
    }

    fn begin(&self) -> (Reservation, Arc<Notify>) {
        let give_way = Arc::new(Notify::new());
        let mut held = self.lock();
        let number = held.next;
        held.next += 1;
        held.bodies.insert(number, Share { bytes: 0, give_way: Some(Arc::clone(&give_way)) });
        (Reservation { number, budget: self.clone() }, give_way)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a body has of the budget.
#[derive(Debug)]
struct Reservation {
    number: u64,
    budget: Budget,
}

impl Reservation {
    /// Has so many bytes more, as soon as there is room.
    async fn grow(&self, more: usize, give_way: &Notify) -> Result<(), BodyError> {
        loop {
            let freed = self.budget.0.freed.notified();
            match self.budget.lock().grow(self.number, more, self.budget.0.most) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => return Err(BodyError::NoRoom),
            }
            select! {
                () = give_way.notified() => return Err(BodyError::NoRoom),
                () = freed => {}
            }
        }
    }

    /// From now on it gives way to nobody.
    fn is_whole(&self) -> Result<(), BodyError> {
        match self.budget.lock().bodies.get_mut(&self.number) {
            Some(share) => {
                share.give_way = None;
                Ok(())
            }
            None => Err(BodyError::NoRoom),
        }
    }
}

impl Held {
    /// Gives a body more bytes, if need be by having larger ones give way. `None` if there is no room
    /// because of this one itself; `Some(false)` if there may be some later.
    fn grow(&mut self, number: u64, more: usize, most: usize) -> Option<bool> {
        let wanted = self.bodies.get(&number)?.bytes + more;
        while self.total + more > most {
            let arriving = self.bodies.iter().filter(|(_, share)| share.give_way.is_some());
            let bytes = |(other, share): (&u64, &Share)| {
                let bytes = if *other == number { wanted } else { share.bytes };
                (bytes, *other)
            };
            match arriving.map(bytes).max() {
                // What is whole is done with soon.
                Some((_, largest)) if largest == number && self.total > wanted - more => {
                    let whole = self.bodies.values().any(|share| share.give_way.is_none());
                    return whole.then_some(false);
                }
                Some((_, largest)) if largest != number => {
                    let share = self.bodies.remove(&largest)?;
                    self.total -= share.bytes;
                    if let Some(give_way) = share.give_way {
                        give_way.notify_one();
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
        let mut held = self.budget.lock();
        if let Some(share) = held.bodies.remove(&self.number) {
            held.total -= share.bytes;
        }
        drop(held);
        self.budget.0.freed.notify_waiters();
    }
}
