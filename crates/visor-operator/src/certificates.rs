//! The webhook's serving certificate: self-signed, and pinned in the `caBundle` of the webhook
//! configurations. There is no certificate authority.
//!
//! | module | idea |
//! |---|---|
//! | `x509` | reads certificates |
//! | `certificate` | creates them |
//! | `action` | the next action, and when to check again (pure) |
//! | `store` | the Secret that holds the certificates |
//! | `trust` | the `caBundle` of the webhook configurations |
//! | `reconciler` | carries out the actions, on the leader |
//! | `managed` | follows the Secret, on every operator |
//! | `files` | uses certificates from a directory instead, such as those of cert-manager |
//! | `resolver` | the certificate that the server presents |
//!
//! A certificate is presented when the API server has been told to trust it, and has had the time to
//! learn of that. It stays trusted until every operator has had the time to present the next one. So
//! no operator ever presents a certificate that the API server doesn't trust, although both learn of
//! changes late.

mod action;
mod certificate;
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
