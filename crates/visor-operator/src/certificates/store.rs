//! The Secret that holds CA and certificate. Reading is lenient: what can't be parsed is treated as
//! missing, and is created again.
//!
//! | key | |
//! |---|---|
//! | `ca.crt` | the current CA, then the previous ones as long as they are trusted |
//! | `ca.key` | the private key of the current CA |
//! | `tls.crt`, `tls.key` | the certificate that the server presents |

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use rustls::pki_types::CertificateDer;

use crate::labels::{FIELD_MANAGER, MANAGED_BY_LABEL};

use super::{
    action::{ServingCertificate, StoredCertificates, Trusted},
    authority::{Authority, AuthorityError, Signed},
    resolver::{LoadError, Loaded},
    x509,
};

const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Changes to the Secret's keys; the others stay as they are.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<String, ByteString>);

impl Changes {
    /// The CAs, the current one first.
    pub(super) fn authorities<'a>(
        &mut self,
        authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    ) {
        self.set(AUTHORITIES, x509::to_pem(authorities));
    }

    pub(super) fn authority_key(&mut self, key: String) {
        self.set(AUTHORITY_KEY, key);
    }

    pub(super) fn certificate(&mut self, signed: Signed) {
        self.set(CERTIFICATE, signed.chain);
        self.set(KEY, signed.key);
    }

    fn set(&mut self, key: &str, text: String) {
        self.0.insert(key.to_owned(), ByteString(text.into_bytes()));
    }

    /// The Secret with these changes. It keeps its resourceVersion, so that the server rejects the
    /// write if it has changed meanwhile.
    pub(super) fn to(self, secret: Option<Secret>, name: &str) -> Secret {
        let mut secret = secret.unwrap_or_else(|| Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        });
        secret.data.get_or_insert_default().extend(self.0);
        secret
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

/// Reads a Secret. The issuer of its certificate is searched among its CAs and `others`.
pub(super) fn read(secret: Option<&Secret>, others: &[Trusted]) -> StoredCertificates {
    let Some(secret) = secret else { return StoredCertificates::default() };
    let authorities = authorities(text(secret, AUTHORITIES));
    let certificate = loaded(secret).ok().and_then(|loaded| {
        let certificate = loaded.certificate()?;
        let mut known = authorities.iter().chain(others);
        let issuer = known.find(|known| x509::is_signed_by(certificate, &known.certificate));
        Some(ServingCertificate {
            info: x509::certificate_info(certificate)?,
            issuer: issuer.cloned(),
        })
    });
    StoredCertificates { signs: authority(secret).is_ok(), authorities, certificate }
}

/// The CAs in a PEM text.
pub(super) fn authorities(text: &[u8]) -> Vec<Trusted> {
    let certificates = x509::from_pem(text).into_iter();
    let trusted = certificates.filter_map(|certificate| {
        x509::authority_validity(&certificate).map(|validity| Trusted { certificate, validity })
    });
    trusted.collect()
}

/// The CA bundle to publish, as PEM.
pub(super) fn bundle(secret: &Secret) -> &[u8] {
    text(secret, AUTHORITIES)
}

/// The current CA.
pub(super) fn authority(secret: &Secret) -> Result<Authority, AuthorityError> {
    let present = authorities(bundle(secret)).into_iter().next();
    let present = present.ok_or(AuthorityError::Unreadable)?;
    Authority::load(&present.certificate, &String::from_utf8_lossy(text(secret, AUTHORITY_KEY)))
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
