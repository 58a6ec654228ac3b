//! The connections that there are. When there is no room for another, one makes room that waits for
//! its peer: of the peer that has the most of them, and there rather one that has not asked for
//! anything yet, and the one that has waited longest. So whoever opens thousands of connections
//! takes the places of his own.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::phase::{Phase, Progress};

/// The connections of a server. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    most: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    connections: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    progress: Progress,
    end: Arc<Notify>,
}

/// A connection's place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    /// Told when another connection takes the place.
    pub(crate) end: Arc<Notify>,
    connections: Connections,
}

impl Connections {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }

    /// A place for another connection; `None` if all are being answered at this moment.
    pub(crate) fn take(&self, peer: IpAddr, progress: Progress) -> Option<Place> {
        let mut held = self.lock();
        if held.connections.len() >= self.most && !held.end_one(|phase| phase != Phase::Work) {
            return None;
        }
        let number = held.next;
        held.next += 1;
        let end = Arc::new(Notify::new());
        let connection = Connection { peer, progress, end: Arc::clone(&end) };
        held.connections.insert(number, connection);
        Some(Place { number, end, connections: self.clone() })
    }

    /// Ends a connection whose answer isn't read, if there is one.
    pub(crate) fn end_slow_reader(&self) {
        self.lock().end_one(|phase| phase == Phase::Answer);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing in here panics with the connections half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Ends one of the connections in such a phase. Says whether there was one.
    fn end_one(&mut self, may_end: impl Fn(Phase) -> bool) -> bool {
        let mut of_peer: HashMap<IpAddr, usize> = HashMap::new();
        for connection in self.connections.values() {
            *of_peer.entry(connection.peer).or_default() += 1;
        }
        let candidates = self.connections.iter().filter_map(|(number, connection)| {
            let now = connection.progress.get();
            let count = of_peer.get(&connection.peer).copied().unwrap_or_default();
            let order = (Reverse(count), now.phase != Phase::New, now.since, *number);
            may_end(now.phase).then_some((order, *number))
        });
        let Some((_, number)) = candidates.min() else { return false };
        if let Some(connection) = self.connections.remove(&number) {
            connection.end.notify_one();
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().connections.remove(&self.number);
    }
}
