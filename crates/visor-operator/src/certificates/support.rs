//! For tests: an authority, a resolver that shows what it signs, and a client that trusts it.

pub(super) mod server;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Resolver,
    authority::{Authority, Signed},
    reconciler::now,
    resolver::Loaded,
};

/// The name that the certificates here are for.
pub(crate) const NAME: &str = "visor-webhook.visor-system.svc";

const DAY: Duration = Duration::from_hours(24);

/// A CA that is trusted by no other.
pub(crate) struct Signer(Authority);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(Authority::create(now(), DAY).unwrap())
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.certificate.clone()
    }

    /// Signs a certificate and has it shown from now on.
    pub(crate) fn show(&self, resolver: &Resolver) {
        let Signed { chain, key } = self.0.sign(&[NAME.to_owned()], now(), DAY).unwrap();
        resolver.set(Loaded::read(chain.as_bytes(), key.as_bytes()).unwrap());
    }
}

/// A certificate of its own authority.
pub(super) fn signed(name: &str) -> Signed {
    Signer::new().0.sign(&[name.to_owned()], now(), DAY).unwrap()
}

/// Connects as an API server does, that trusts these authorities.
pub(crate) async fn connect(
    address: SocketAddr,
    trusted: &[CertificateDer<'static>],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
