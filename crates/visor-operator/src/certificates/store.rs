//! The Secret that holds the certificates. Reading is lenient: what can't be parsed is treated as
//! missing, and is created again.
//!
//! | key | |
//! |---|---|
//! | `tls.crt`, `tls.key` | the certificate that the server presents |
//! | `next.crt`, `next.key` | the certificate that it presents next, until it does |
//! | `ca.crt` | the certificates that the API server is to trust: the newest one first |

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use rustls::pki_types::CertificateDer;

use crate::labels::{FIELD_MANAGER, MANAGED_BY_LABEL};

use super::{
    action::{Certificate, StoredCertificates},
    certificate::CertificateAndKey,
    resolver::{LoadError, Loaded},
    x509,
};

const PINNED: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
/// An operator of before had a certificate authority, whose key was here.
const AUTHORITY_KEY: &str = "ca.key";

/// The Secret, changed. It keeps its resourceVersion, so that the server rejects the write if it has
/// changed meanwhile.
pub(super) struct Change(Secret);

impl Change {
    pub(super) fn of(secret: Option<Secret>, name: &str) -> Self {
        Self(secret.unwrap_or_else(|| Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        }))
    }

    /// Pins these certificates, the newest one first.
    pub(super) fn pin<'a>(
        &mut self,
        certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    ) {
        self.set(PINNED, x509::to_pem(certificates).into_bytes());
        self.remove(AUTHORITY_KEY);
    }

    /// Has a certificate presented, now or next.
    pub(super) fn store(&mut self, made: CertificateAndKey, at_once: bool) {
        let CertificateAndKey { certificate, key } = made;
        self.remove_next();
        let keys = if at_once { (CERTIFICATE, KEY) } else { (NEXT_CERTIFICATE, NEXT_KEY) };
        self.set(keys.0, certificate.into_bytes());
        self.set(keys.1, key.into_bytes());
    }

    /// Has the next certificate presented.
    pub(super) fn promote(&mut self) {
        for (next, present) in [(NEXT_CERTIFICATE, CERTIFICATE), (NEXT_KEY, KEY)] {
            if let Some(value) = self.remove(next) {
                self.set(present, value);
            }
        }
    }

    pub(super) fn remove_next(&mut self) {
        self.remove(NEXT_CERTIFICATE);
        self.remove(NEXT_KEY);
    }

    pub(super) fn into_secret(self) -> Secret {
        self.0
    }

    fn set(&mut self, key: &str, value: Vec<u8>) {
        self.0.data.get_or_insert_default().insert(key.to_owned(), ByteString(value));
    }

    fn remove(&mut self, key: &str) -> Option<Vec<u8>> {
        self.0.data.as_mut()?.remove(key).map(|value| value.0)
    }
}

fn labels() -> BTreeMap<String, String> {
    let labels = [
        ("app.kubernetes.io/name", "visor"),
        ("app.kubernetes.io/component", "injector"),
        ("app.kubernetes.io/part-of", "visor"),
        (MANAGED_BY_LABEL, FIELD_MANAGER),
    ];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Reads a Secret.
pub(super) fn read(secret: Option<&Secret>) -> StoredCertificates {
    let Some(secret) = secret else { return StoredCertificates::default() };
    let usable = |certificate: &str, key: &str| {
        let loaded = Loaded::read(text(secret, certificate), text(secret, key)).ok()?;
        read_certificate(loaded.certificate()?.clone())
    };
    StoredCertificates {
        pinned: certificates(bundle(secret)),
        serving: usable(CERTIFICATE, KEY),
        next: usable(NEXT_CERTIFICATE, NEXT_KEY),
    }
}

/// The certificates in a PEM text.
pub(super) fn certificates(text: &[u8]) -> Vec<Certificate> {
    x509::from_pem(text).into_iter().filter_map(read_certificate).collect()
}

fn read_certificate(der: CertificateDer<'static>) -> Option<Certificate> {
    let info = x509::certificate_info(&der)?;
    Some(Certificate { der, info })
}

/// The CA bundle to publish, as PEM.
pub(super) fn bundle(secret: &Secret) -> &[u8] {
    text(secret, PINNED)
}

/// Whether there is a certificate, valid or not.
pub(super) fn has_certificate(secret: &Secret) -> bool {
    !text(secret, CERTIFICATE).is_empty()
}

/// The certificate to present.
pub(super) fn loaded(secret: &Secret) -> Result<Loaded, LoadError> {
    Loaded::read(text(secret, CERTIFICATE), text(secret, KEY))
}

fn text<'a>(secret: &'a Secret, key: &str) -> &'a [u8] {
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    value.map_or(&[], |value| value.0.as_slice())
}
