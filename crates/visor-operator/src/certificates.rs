//! The certificates that the API server knows the webhook by.
//!
//! | module | idea |
//! |---|---|
//! | `x509` | what a certificate says |
//! | `authority` | makes an authority, and has it sign certificates |
//! | `plan` | what to do next, and when to look again (pure) |
//! | `store` | the Secret in which they are kept |
//! | `trust` | the authorities that the API server trusts: the webhook configuration's `caBundle` |
//! | `writer` | the operator that acts carries out the plan |
//! | `keep` | every operator follows the Secret |
//! | `files` | instead of all that: certificates that somebody else puts into a directory |
//! | `resolver` | the certificate that the server shows |
//!
//! A certificate is shown as soon as it is in the Secret, so it is put there only when the API
//! server has trusted its authority for a while. An authority is no longer trusted only when the
//! certificates that it signed have been out of use for a while. So there is no moment at which an
//! operator shows what the API server doesn't trust, though both learn of changes late.

mod authority;
mod files;
mod keep;
mod plan;
mod resolver;
mod store;
#[cfg(test)]
pub(crate) mod support;
#[cfg(test)]
mod tests;
mod trust;
mod writer;
mod x509;

pub(crate) use files::follow_files;
pub(crate) use keep::{Settings, keep};
pub(crate) use resolver::Resolver;
pub(crate) use trust::Configuration;

/// The names by which the API server may call a Service.
pub(crate) fn names(service: &str, namespace: &str) -> Vec<String> {
    let full = format!("{service}.{namespace}.svc");
    vec![
        service.to_owned(),
        format!("{service}.{namespace}"),
        full.clone(),
        format!("{full}.cluster.local"),
    ]
}
