//! The certificate that the server presents in a handshake. It can be replaced while the server
//! runs: existing connections continue, and new ones get the new certificate.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use jiff::Timestamp;
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use tracing::info;

use super::x509::{self, UnixSeconds};

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("no certificate found")]
    NoCertificate,
    #[error("no private key found: {0}")]
    NoKey(rustls::pki_types::pem::Error),
    #[error("cannot parse the certificate")]
    Unreadable,
    #[error("cannot use the certificate and its key: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate to present, once there is one.
pub(crate) struct Resolver {
    current: RwLock<Option<Loaded>>,
    on_change: Box<dyn Fn(UnixSeconds) + Send + Sync>,
}

/// A certificate chain and its private key.
#[derive(Clone)]
pub(super) struct Loaded {
    key: Arc<CertifiedKey>,
    expires: UnixSeconds,
}

impl Loaded {
    /// Loads a certificate chain, the server's certificate first, and its private key; both are
    /// PEM.
    pub(super) fn read(chain: &[u8], key: &[u8]) -> Result<Self, LoadError> {
        let chain = x509::from_pem(chain);
        let first = chain.first().ok_or(LoadError::NoCertificate)?;
        let expires = x509::certificate_info(first).ok_or(LoadError::Unreadable)?.validity.until;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(LoadError::NoKey)?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        Ok(Self { key: Arc::new(key), expires })
    }

    /// The server's own certificate.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }
}

impl Resolver {
    /// Without a certificate. `on_change` is called with the expiry of each new certificate, in seconds
    /// since 1970.
    pub(crate) fn new(on_change: impl Fn(UnixSeconds) + Send + Sync + 'static) -> Self {
        Self { current: RwLock::default(), on_change: Box::new(on_change) }
    }

    /// Whether there is a certificate.
    pub(crate) fn is_loaded(&self) -> bool {
        self.current().is_some()
    }

    /// When the certificate expires, in seconds since 1970.
    pub(crate) fn expires(&self) -> Option<UnixSeconds> {
        self.current().map(|current| current.expires)
    }

    /// Presents another certificate from now on.
    pub(super) fn set(&self, loaded: Loaded) {
        let expires = loaded.expires;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.key.cert == loaded.key.cert) {
            return;
        }
        *current = Some(loaded);
        drop(current);
        let until = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
        info!(%until, "webhook certificate loaded");
        (self.on_change)(expires);
    }

    fn current(&self) -> Option<Loaded> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Resolver {
    /// The requested name doesn't matter: only the Service's names are used.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current().map(|current| current.key)
    }
}

impl fmt::Debug for Resolver {
    /// Without the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Resolver").field("expires", &self.expires()).finish_non_exhaustive()
    }
}
