//! For tests: certificates, and a client that trusts some.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Resolver, certificate::CertificateAndKey, reconciler::now, resolver::Loaded, x509};

/// The name that the certificates here are for.
pub(crate) const NAME: &str = "visor-webhook.visor-system.svc";

/// A certificate that a server can show.
pub(crate) struct Shown(CertificateAndKey);

impl Shown {
    pub(crate) fn new() -> Self {
        Self(created(NAME))
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        x509::from_pem(self.0.certificate.as_bytes()).remove(0)
    }

    /// Has it shown from now on.
    pub(crate) fn show(&self, resolver: &Resolver) {
        let CertificateAndKey { certificate, key } = &self.0;
        resolver.set(Loaded::read(certificate.as_bytes(), key.as_bytes()).unwrap());
    }
}

/// A certificate for a name.
pub(super) fn created(name: &str) -> CertificateAndKey {
    CertificateAndKey::create(&[name.to_owned()], now(), Duration::from_hours(24)).unwrap()
}

/// Connects as an API server does, that trusts these certificates.
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
