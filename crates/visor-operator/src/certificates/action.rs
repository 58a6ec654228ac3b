//! The next action for the certificates, and when to check again. Pure: the time is an argument.
//!
//! Two things are published, and each is learned of with a delay: the certificate by the operators,
//! the CA bundle by the API servers. So they never change at the same time:
//!
//! 1. The next certificate is created, and pinned in front of the current one.
//! 2. The pinned certificates are written into the webhook configurations.
//! 3. When every API server has had the time to learn of them (`settle`), the next certificate is
//!    promoted: the operators present it.
//! 4. When every operator has had the time to do so (`overlap`), the old certificate is no longer
//!    pinned.
//!
//! Only if nothing works anyway, as at the very beginning, nothing is waited for.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use rustls::pki_types::CertificateDer;

use super::x509::{CertificateInfo, UnixSeconds};

/// The maximum number of old certificates next to a new one: if the Secret is lost again and again,
/// the bundle doesn't grow without bound.
const MAX_OLD: usize = 4;

/// A certificate, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    pub(super) info: CertificateInfo,
}

/// The contents of the Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StoredCertificates {
    /// What the API server is to trust: the newest certificate first. A Secret of an operator with a
    /// certificate authority has that here.
    pub(super) pinned: Vec<Certificate>,
    /// What the operators present, if its key matches.
    pub(super) serving: Option<Certificate>,
    /// What they present next, if its key matches.
    pub(super) next: Option<Certificate>,
}

/// The CA bundle of the webhook configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The certificates that at least one webhook trusts.
    pub(super) trusted: Vec<Certificate>,
    /// Whether one of these makes what the operators present trusted.
    pub(super) accepts_serving: bool,
    /// Whether all webhooks trust exactly the pinned certificates of the Secret.
    pub(super) is_current: bool,
}

/// Since when something has been so, as far as it has been observed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Since {
    /// That all webhooks trust the newest pinned certificate.
    pub(super) trusted: Option<UnixSeconds>,
    /// That the Secret has this certificate for the operators to present.
    pub(super) serving: Option<UnixSeconds>,
}

/// The desired state.
#[derive(Debug, Clone)]
pub(super) struct DesiredCertificates {
    pub(super) names: BTreeSet<String>,
    /// How long API servers may take to learn of a bundle.
    pub(super) settle: UnixSeconds,
    /// How long a certificate stays pinned after it has been replaced.
    pub(super) overlap: UnixSeconds,
}

/// The next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CertificateAction {
    /// Create a certificate, pinned in front of these. It is presented at once, or is the next one.
    Create { pinned: Vec<CertificateDer<'static>>, at_once: bool },
    /// Write the pinned certificates into the configurations.
    Publish,
    /// Have the next certificate presented.
    Promote,
    /// Pin the presented certificate alone.
    DropOld,
    /// Nothing until then.
    Wait(UnixSeconds),
}

impl DesiredCertificates {
    /// Delays that fit into the validity: a certificate is renewed when a third of it is left.
    pub(super) fn new(names: impl IntoIterator<Item = String>, validity: Duration) -> Self {
        const MAX_SETTLE: UnixSeconds = 60;
        let validity = UnixSeconds::try_from(validity.as_secs()).unwrap_or(UnixSeconds::MAX);
        Self {
            names: names.into_iter().collect(),
            settle: (validity / 20).clamp(1, MAX_SETTLE),
            overlap: (validity / 10).max(1),
        }
    }
}

/// Decides. Without a webhook configuration, there are no requests to serve.
pub(super) fn next_action(
    stored: &StoredCertificates,
    bundle: Option<&Bundle>,
    since: Since,
    desired: &DesiredCertificates,
    now: UnixSeconds,
) -> CertificateAction {
    let publish = bundle.is_some_and(|bundle| !bundle.is_current);
    let is_good = |certificate: &&Certificate| {
        needs_no_renewal(certificate, desired, now) && stored.pinned.contains(certificate)
    };
    if let Some(serving) = stored.serving.as_ref().filter(is_good) {
        if publish {
            return CertificateAction::Publish;
        }
        let renewal = serving.info.validity.renewal_at();
        if stored.pinned.len() == 1 && stored.next.is_none() {
            return CertificateAction::Wait(renewal);
        }
        let over = since.serving.unwrap_or(now).min(now).saturating_add(desired.overlap);
        return if over <= now {
            CertificateAction::DropOld
        } else {
            CertificateAction::Wait(renewal.min(over))
        };
    }
    let is_accepted = is_accepted(stored, bundle, desired, now);
    if !stored.next.as_ref().is_some_and(|next| is_good(&next)) {
        let pinned = still_trusted(stored, bundle, now);
        return CertificateAction::Create { pinned, at_once: !is_accepted };
    }
    if !is_accepted {
        return CertificateAction::Promote;
    }
    if publish {
        return CertificateAction::Publish;
    }
    let settled = since.trusted.unwrap_or(now).min(now).saturating_add(desired.settle);
    if settled <= now {
        return CertificateAction::Promote;
    }
    let expires = stored.serving.as_ref().map(|serving| serving.info.validity.until + 1);
    CertificateAction::Wait(expires.map_or(settled, |expires| settled.min(expires)))
}

/// Whether a certificate needs no renewal yet.
fn needs_no_renewal(
    certificate: &Certificate,
    desired: &DesiredCertificates,
    now: UnixSeconds,
) -> bool {
    let CertificateInfo { validity, names } = &certificate.info;
    *names == desired.names && validity.contains(now) && now < validity.renewal_at()
}

/// Whether the API server accepts what the operators present now.
fn is_accepted(
    stored: &StoredCertificates,
    bundle: Option<&Bundle>,
    desired: &DesiredCertificates,
    now: UnixSeconds,
) -> bool {
    let Some(bundle) = bundle else { return false };
    if let Some(Certificate { info, .. }) = &stored.serving {
        return bundle.accepts_serving
            && info.validity.contains(now)
            && info.names.is_superset(&desired.names);
    }
    // If the Secret was lost, the operators still present its last certificate.
    let mut valid = bundle.trusted.iter().filter(|trusted| trusted.info.validity.contains(now));
    valid.any(|trusted| stored.next.as_ref() != Some(trusted))
}

/// The certificates to keep behind a new one: those that may still be in use.
fn still_trusted(
    stored: &StoredCertificates,
    bundle: Option<&Bundle>,
    now: UnixSeconds,
) -> Vec<CertificateDer<'static>> {
    let trusted = bundle.iter().flat_map(|bundle| &bundle.trusted);
    let known: Vec<&Certificate> = stored.pinned.iter().chain(trusted).collect();
    // First, for it is in use. One that an authority has signed isn't pinned itself.
    let serving = stored.serving.iter().filter(|serving| known.contains(serving));
    let mut kept: Vec<CertificateDer<'static>> = Vec::new();
    for certificate in serving.chain(known.iter().copied()) {
        let is_known = kept.contains(&certificate.der);
        if certificate.info.validity.contains(now) && !is_known && kept.len() < MAX_OLD {
            kept.push(certificate.der.clone());
        }
    }
    kept
}
