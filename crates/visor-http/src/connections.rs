//! The open connections. When there are too many, one that waits for its client is closed: of the
//! client with the most of them, preferably one without a request yet, and the one that has waited
//! longest. So a client that opens thousands of connections closes only its own.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::phase::{Phase, Progress};

/// The connections of a server. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    limit: usize,
    state: Arc<Mutex<State>>,
    /// Whether connections end after the request that is being answered.
    drain: watch::Sender<bool>,
    /// Notified when the last connection has ended.
    empty: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    connections: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    client: IpAddr,
    progress: Progress,
    end: Arc<Notify>,
}

/// The slot of a connection. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    number: u64,
    /// Notified when the connection must close.
    pub(crate) end: Arc<Notify>,
    connections: Connections,
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Self {
        let drain = watch::Sender::new(false);
        Self { limit, state: Arc::default(), drain, empty: Arc::default() }
    }

    /// A slot for another connection; `None` if requests are being answered on all of them.
    pub(crate) fn take(&self, client: IpAddr, progress: Progress) -> Option<Slot> {
        let mut state = self.lock();
        if state.connections.len() >= self.limit && !state.close_one(|phase| phase != Phase::Work) {
            return None;
        }
        let number = state.next;
        state.next += 1;
        let end = Arc::new(Notify::new());
        let connection = Connection { client, progress, end: Arc::clone(&end) };
        state.connections.insert(number, connection);
        Some(Slot { number, end, connections: self.clone() })
    }

    /// Closes a connection whose response isn't read, if there is one.
    pub(crate) fn close_slow_client(&self) {
        self.lock().close_one(|phase| phase == Phase::ResponseBody);
    }

    /// Ends each connection after the request that is being answered, and waits until there is none.
    pub(crate) async fn drain(&self) {
        self.drain.send_replace(true);
        loop {
            let empty = self.empty.notified();
            if self.lock().connections.is_empty() {
                return;
            }
            empty.await;
        }
    }

    /// Becomes true when connections have to end.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the connections are partly changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes one of the connections in such a phase. Returns whether there was one.
    fn close_one(&mut self, may_end: impl Fn(Phase) -> bool) -> bool {
        let mut of_client: HashMap<IpAddr, usize> = HashMap::new();
        for connection in self.connections.values() {
            *of_client.entry(connection.client).or_default() += 1;
        }
        let candidates = self.connections.iter().filter_map(|(number, connection)| {
            let now = connection.progress.get();
            let count = of_client.get(&connection.client).copied().unwrap_or_default();
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

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.connections.lock();
        state.connections.remove(&self.number);
        if state.connections.is_empty() {
            self.connections.empty.notify_waiters();
        }
    }
}
