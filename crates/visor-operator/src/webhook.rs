//! The webhook's HTTPS server: HTTP/1.1 over TLS 1.2 or later, with the certificate that the
//! [`Resolver`] has at the time. It knows nothing of what is asked and answered; that is the
//! router's.
//!
//! A connection is kept open for as long as a client would keep it, and longer: a server that closes
//! a connection on which the next request is on its way loses that request. If there are many
//! connections at once, those on which nothing happens make room.

mod connection;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::certificates::Resolver;

/// The longest that a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The pause after a connection could not be taken, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// How much the server holds, and for how long.
#[derive(Clone, Copy)]
struct Limits {
    /// Connections at once; further ones wait to be taken.
    connections: usize,
    /// A connection on which nothing was asked for so long is closed.
    idle: Duration,
    /// The same when there is no room for others.
    idle_when_full: Duration,
}

/// API servers close idle connections after 90 s, or never.
const LIMITS: Limits = Limits {
    connections: 512,
    idle: Duration::from_mins(5),
    idle_when_full: Duration::from_secs(10),
};

/// Listens on an address, and answers there in a task of its own until the end of the program.
///
/// # Errors
///
/// When it can't listen there.
pub(crate) async fn serve(
    address: SocketAddr,
    certificates: Arc<Resolver>,
    router: Router,
) -> io::Result<SocketAddr> {
    serve_within(LIMITS, address, certificates, router).await
}

async fn serve_within(
    limits: Limits,
    address: SocketAddr,
    certificates: Arc<Resolver>,
    router: Router,
) -> io::Result<SocketAddr> {
    let acceptor = TlsAcceptor::from(Arc::new(config(certificates)?));
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let room = Arc::new(Semaphore::new(limits.connections));
    tokio::spawn(async move {
        loop {
            // It is never closed.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "a connection could not be taken");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (acceptor, router, room) = (acceptor.clone(), router.clone(), Arc::clone(&room));
            tokio::spawn(async move {
                let is_full = || room.available_permits() == 0;
                answer(stream, &acceptor, router, &limits, is_full).await;
                drop(place);
            });
        }
    });
    Ok(address)
}

fn config(certificates: Arc<Resolver>) -> io::Result<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Every connection begins with the certificate of the time.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Answers what is asked on one connection.
async fn answer(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    router: Router,
    limits: &Limits,
    is_full: impl Fn() -> bool,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection is slower than it could be");
    }
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection::answer(stream, router, limits, is_full).await,
        Ok(Err(error)) => debug!(%error, "a handshake failed"),
        Err(_) => debug!("a handshake took too long"),
    }
}
