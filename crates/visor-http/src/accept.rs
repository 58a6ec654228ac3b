//! The loop that accepts connections, whatever is spoken on them.

use std::{
    any::Any,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::sleep,
};
use tracing::{debug, warn};

use crate::{Progress, connections::Connections};

/// The pause after `accept` has failed, for example with too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection. Clones are the same one. It is among the extensions of its HTTP requests.
#[derive(Clone)]
pub struct Connection {
    peer: SocketAddr,
    progress: Progress,
    end: Arc<Notify>,
    state: Arc<OnceLock<Box<dyn Any + Send + Sync>>>,
}

impl Connection {
    /// The address of the client.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What it is doing.
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Closes it, whatever is being answered.
    pub fn close(&self) {
        self.end.notify_one();
    }

    /// Waits until it has to be closed, because there are too many.
    pub async fn closed(&self) {
        self.end.notified().await;
    }

    /// What is kept for it from one request to the next, of one type: made with the first request.
    /// `None` if it is of another type.
    pub fn state<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.state.get_or_init(|| Box::new(make())).downcast_ref()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Accepts connections, at most so many at a time, and serves each in a task; never returns.
pub async fn accept<F>(
    listener: TcpListener,
    max_connections: usize,
    serve: impl Fn(TcpStream, Connection) -> F,
) where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    accept_within(listener, Connections::new(max_connections), serve).await;
}

pub(crate) async fn accept_within<F>(
    listener: TcpListener,
    connections: Connections,
    serve: impl Fn(TcpStream, Connection) -> F,
) where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let progress = Progress::default();
        let Some(slot) = connections.take(peer.ip().to_canonical(), progress.clone()) else {
            debug!(
                "rejected a connection: there are too many, and requests are being answered on all of them"
            );
            continue;
        };
        let end = Arc::clone(&slot.end);
        let connection = Connection { peer, progress, end, state: Arc::default() };
        let served = serve(stream, connection);
        tokio::spawn(async move {
            if let Err(error) = served.await {
                debug!(%error, "a connection failed");
            }
            drop(slot);
        });
    }
}
