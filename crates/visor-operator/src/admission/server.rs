//! The webhook's HTTPS server: HTTP/1.1 over TLS 1.2 or later, with the current certificate of the
//! [`Resolver`]. The routes are given by the caller.

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
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use visor_http::{Handshake, Limits, ListenAddress, ServerHandle, bind};

use crate::certificates::Resolver;

/// Limits. API servers close idle connections after 90 s, or never, and wait at most 30 s for an
/// answer. If the server closes a connection on which the next request is being sent, that request
/// fails, so idle connections are kept for longer than a client would keep them.
const LIMITS: Limits = Limits {
    connections: 512,
    head: Duration::from_secs(10),
    body: Duration::from_secs(10),
    work: Duration::from_secs(30),
    answer: Duration::from_secs(10),
    idle: Duration::from_mins(5),
    buffer: 16 << 10,
    socket_buffer: 32 << 10,
};

/// Listens on an address, and serves in a task until the end of the process. Returns the address, and
/// what ends the connections.
///
/// # Errors
///
/// If it can't listen there.
pub(crate) fn serve(
    address: ListenAddress,
    certificates: Arc<Resolver>,
    router: Router,
) -> io::Result<(SocketAddr, ServerHandle)> {
    serve_within(LIMITS, address, certificates, router)
}

fn serve_within(
    limits: Limits,
    address: ListenAddress,
    certificates: Arc<Resolver>,
    router: Router,
) -> io::Result<(SocketAddr, ServerHandle)> {
    let tls = Tls(TlsAcceptor::from(Arc::new(config(certificates)?)));
    let listener = bind(address, &limits)?;
    let address = listener.local_addr()?;
    let handle = ServerHandle::new(&limits);
    tokio::spawn(visor_http::serve_with(handle.clone(), listener, limits, tls, router));
    Ok((address, handle))
}

#[derive(Clone)]
struct Tls(TlsAcceptor);

impl Handshake for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn perform(&self, stream: TcpStream) -> io::Result<Self::Stream> {
        self.0.accept(stream).await
    }
}

fn config(certificates: Arc<Resolver>) -> io::Result<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Every connection starts with the current certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
