//! The Secret in which authority and certificate are kept. Reading is lenient: what can't be read
//! isn't there, and is made anew.
//!
//! | key | |
//! |---|---|
//! | `ca.crt` | the present authority, then those before it as long as they are trusted |
//! | `ca.key` | the present authority's key |
//! | `tls.crt`, `tls.key` | what the server shows |

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use rustls::pki_types::CertificateDer;

use crate::build::labels::{MANAGED_BY, MANAGER};

use super::{
    authority::{Authority, AuthorityError, Signed},
    plan::{Held, Kept, Trusted},
    resolver::{LoadError, Loaded},
    x509,
};

const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// What is written into the Secret; the rest of it stays as it is.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<String, ByteString>);

impl Changes {
    /// The authorities, the present one first.
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

    /// The Secret with these changes. It has the version that it was read with, so that it is
    /// refused if somebody else has written it since.
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
        (MANAGED_BY, MANAGER),
    ];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// What a Secret holds. Who signed its certificate is looked for among its authorities and these.
pub(super) fn read(secret: Option<&Secret>, others: &[Trusted]) -> Kept {
    let Some(secret) = secret else { return Kept::default() };
    let authorities = authorities(text(secret, AUTHORITIES));
    let certificate = loaded(secret).ok().and_then(|loaded| {
        let certificate = loaded.certificate()?;
        let mut known = authorities.iter().chain(others);
        let issuer = known.find(|known| x509::is_signed_by(certificate, &known.certificate));
        Some(Held { facts: x509::facts(certificate)?, issuer: issuer.cloned() })
    });
    Kept { signs: authority(secret).is_ok(), authorities, certificate }
}

/// The authorities in a PEM text.
pub(super) fn authorities(text: &[u8]) -> Vec<Trusted> {
    let certificates = x509::from_pem(text).into_iter();
    let trusted = certificates.filter_map(|certificate| {
        x509::authority_life(&certificate).map(|life| Trusted { certificate, life })
    });
    trusted.collect()
}

/// The text of the authorities, as it is published.
pub(super) fn bundle(secret: &Secret) -> &[u8] {
    text(secret, AUTHORITIES)
}

/// The present authority.
pub(super) fn authority(secret: &Secret) -> Result<Authority, AuthorityError> {
    let present = authorities(bundle(secret)).into_iter().next();
    let present = present.ok_or(AuthorityError::Unreadable)?;
    Authority::read(&present.certificate, &String::from_utf8_lossy(text(secret, AUTHORITY_KEY)))
}

/// Whether there is a certificate, be it good or bad.
pub(super) fn has_certificate(secret: &Secret) -> bool {
    !text(secret, CERTIFICATE).is_empty()
}

/// What the server shows.
pub(super) fn loaded(secret: &Secret) -> Result<Loaded, LoadError> {
    Loaded::read(text(secret, CERTIFICATE), text(secret, KEY))
}

fn text<'a>(secret: &'a Secret, key: &str) -> &'a [u8] {
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    value.map_or(&[], |value| value.0.as_slice())
}
