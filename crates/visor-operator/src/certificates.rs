//! The webhook's serving certificate, and the certificate authority (CA) that signs it.
//!
//! | module | idea |
//! |---|---|
//! | `x509` | reads certificates |
//! | `authority` | creates a CA, and issues certificates |
//! | `action` | the next action, and when to check again (pure) |
//! | `store` | the Secret that holds CA and certificate |
//! | `trust` | the `caBundle` of the webhook configurations |
//! | `reconciler` | carries out the actions, on the leader |
//! | `managed` | follows the Secret, on every operator |
//! | `files` | uses certificates from a directory instead, such as those of cert-manager |
//! | `resolver` | the certificate that the server presents |
//!
//! A certificate is presented as soon as it is in the Secret, so it is stored there only when the API
//! server has trusted its CA for a while. A CA is removed from the bundle only when the certificates
//! that it signed have been out of use for a while. So no operator ever presents a certificate that
//! the API server doesn't trust, although both learn of changes late.

mod action;
mod authority;
mod files;
mod managed;
mod reconciler;
mod resolver;
mod store;
#[cfg(test)]
pub(crate) mod support;
#[cfg(test)]
mod tests;
mod trust;
mod x509;

pub(crate) use files::follow_files;
pub(crate) use managed::{CertificateSettings, manage};
pub(crate) use resolver::Resolver;
pub(crate) use trust::Configuration;

/// The DNS names by which the API server may call a Service.
pub(crate) fn names(service: &str, namespace: &str) -> Vec<String> {
    let full = format!("{service}.{namespace}.svc");
    vec![
        service.to_owned(),
        format!("{service}.{namespace}"),
        full.clone(),
        format!("{full}.cluster.local"),
    ]
}
