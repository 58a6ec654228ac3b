//! The certificate that the server shows in a handshake. It can be changed while the server runs:
//! connections that there are go on, and new ones see the new certificate.

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

use super::x509::{self, Moment};

/// Why a certificate can't be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("there is no certificate in it")]
    NoCertificate,
    #[error("there is no private key in it: {0}")]
    NoKey(rustls::pki_types::pem::Error),
    #[error("the certificate can't be read")]
    Unreadable,
    #[error("certificate and key can't be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// What is shown, once there is something to show.
pub(crate) struct Resolver {
    current: RwLock<Option<Loaded>>,
    told: Box<dyn Fn(Moment) + Send + Sync>,
}

/// A certificate and its key, that belong together.
#[derive(Clone)]
pub(super) struct Loaded {
    key: Arc<CertifiedKey>,
    expires: Moment,
}

impl Loaded {
    /// Reads a certificate, with those between it and its authority behind it, and its key; both
    /// PEM texts.
    pub(super) fn read(chain: &[u8], key: &[u8]) -> Result<Self, LoadError> {
        let chain = x509::from_pem(chain);
        let first = chain.first().ok_or(LoadError::NoCertificate)?;
        let expires = x509::facts(first).ok_or(LoadError::Unreadable)?.life.until;
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
    /// Shows nothing yet. `told` is told until when a certificate holds, each time that there is
    /// another one (in seconds since 1970).
    pub(crate) fn new(told: impl Fn(Moment) + Send + Sync + 'static) -> Self {
        Self { current: RwLock::default(), told: Box::new(told) }
    }

    /// Whether there is a certificate to show.
    pub(crate) fn is_loaded(&self) -> bool {
        self.current().is_some()
    }

    /// Until when what is shown holds, in seconds since 1970.
    pub(crate) fn expires(&self) -> Option<Moment> {
        self.current().map(|current| current.expires)
    }

    /// Shows another certificate from now on.
    pub(super) fn show(&self, loaded: Loaded) {
        let expires = loaded.expires;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.key.cert == loaded.key.cert) {
            return;
        }
        *current = Some(loaded);
        drop(current);
        let until = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
        info!(%until, "the webhook's certificate is loaded");
        (self.told)(expires);
    }

    fn current(&self) -> Option<Loaded> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Resolver {
    /// Whatever name is asked for: the Service's are the only ones there are.
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
