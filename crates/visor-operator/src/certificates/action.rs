//! The next action for the certificates, and when to check again. Pure: the time is an argument.
//!
//! Two things are published, and each is learned of with a delay: the certificate by the operators,
//! the CA bundle by the API servers. So they never change at the same time:
//!
//! 1. A new CA is added to the Secret, in front of the current one.
//! 2. The bundle is written into the webhook configurations.
//! 3. When every API server has had the time to learn of it (`settle`), the new CA issues a
//!    certificate.
//! 4. When every operator has had the time to present that one (`overlap`), the old CA is removed
//!    from the Secret, and then from the configurations.
//!
//! Only if nothing works anyway, as at the very beginning, nothing is waited for.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use rustls::pki_types::CertificateDer;

use super::x509::{CertificateInfo, UnixSeconds, Validity};

/// The maximum number of old CAs next to a new one: if the Secret is lost again and again, the
/// bundle doesn't grow without bound.
const MAX_OLD_AUTHORITIES: usize = 4;

/// A CA in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trusted {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) validity: Validity,
}

/// The certificate in the Secret, if its key matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServingCertificate {
    pub(super) info: CertificateInfo,
    /// The CA that signed it, if known.
    pub(super) issuer: Option<Trusted>,
}

/// The contents of the Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StoredCertificates {
    /// The current CA, then the previous ones.
    pub(super) authorities: Vec<Trusted>,
    /// Whether the Secret has the key of the current CA.
    pub(super) signs: bool,
    pub(super) certificate: Option<ServingCertificate>,
}

/// The CA bundle of the webhook configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The CAs that at least one webhook trusts.
    pub(super) authorities: Vec<Trusted>,
    /// Whether all webhooks trust exactly the CAs of the Secret.
    pub(super) is_current: bool,
    /// Since when all of them have trusted the current CA, as far as observed.
    pub(super) since: Option<UnixSeconds>,
}

/// The desired state.
#[derive(Debug, Clone)]
pub(super) struct DesiredCertificates {
    pub(super) names: BTreeSet<String>,
    /// How long API servers may take to learn of a bundle.
    pub(super) settle: UnixSeconds,
    /// How long a CA is kept after it has been replaced.
    pub(super) overlap: UnixSeconds,
}

/// The next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CertificateAction {
    /// Create a CA and keep these others behind it. Issue a certificate at once, or keep the
    /// current one.
    CreateAuthority { stored: Vec<CertificateDer<'static>>, sign: bool },
    /// Write the CAs of the Secret into the configurations.
    Publish,
    /// Have the current CA issue a certificate.
    IssueCertificate,
    /// Remove all CAs but the current one.
    DropOldAuthorities,
    /// Nothing until then.
    Wait(UnixSeconds),
}

impl DesiredCertificates {
    /// Delays that fit into the shorter of the two validities: a certificate and a CA are renewed
    /// when a third of their validity is left.
    pub(super) fn new(
        names: impl IntoIterator<Item = String>,
        certificate: Duration,
        authority: Duration,
    ) -> Self {
        const MAX_SETTLE: UnixSeconds = 60;
        let shorter =
            UnixSeconds::try_from(certificate.min(authority).as_secs()).unwrap_or(UnixSeconds::MAX);
        Self {
            names: names.into_iter().collect(),
            settle: (shorter / 20).clamp(1, MAX_SETTLE),
            overlap: (shorter / 10).max(1),
        }
    }
}

/// Decides. Without a webhook configuration, there are no requests to serve.
pub(super) fn next_action(
    stored: &StoredCertificates,
    bundle: Option<&Bundle>,
    desired: &DesiredCertificates,
    now: UnixSeconds,
) -> CertificateAction {
    let is_accepted = is_accepted(stored, bundle, desired, now);
    let authority = stored.authorities.first().filter(|authority| {
        stored.signs && authority.validity.contains(now) && now < authority.validity.renewal_at()
    });
    let Some(authority) = authority else {
        return CertificateAction::CreateAuthority {
            stored: still_trusted(stored, bundle, now),
            sign: !is_accepted,
        };
    };
    let publish = bundle.is_some_and(|bundle| !bundle.is_current);
    let own =
        stored.certificate.as_ref().filter(|serving| serving.issuer.as_ref() == Some(authority));
    let Some(serving) = own.filter(|serving| needs_no_renewal(serving, desired, now)) else {
        // A certificate of this CA is in use, so the CA is trusted already.
        if own.is_some() {
            return CertificateAction::IssueCertificate;
        }
        if publish {
            return CertificateAction::Publish;
        }
        let since = bundle.and_then(|bundle| bundle.since).unwrap_or(now).min(now);
        let settled = since.saturating_add(desired.settle);
        if !is_accepted || settled <= now {
            return CertificateAction::IssueCertificate;
        }
        let expires = stored.certificate.as_ref().map(|serving| serving.info.validity.until + 1);
        return CertificateAction::Wait(expires.map_or(settled, |expires| settled.min(expires)));
    };
    if publish {
        return CertificateAction::Publish;
    }
    let next = authority.validity.renewal_at().min(serving.info.validity.renewal_at());
    if stored.authorities.len() == 1 {
        return CertificateAction::Wait(next);
    }
    let over = serving.info.validity.created_at().saturating_add(desired.overlap);
    if over <= now {
        CertificateAction::DropOldAuthorities
    } else {
        CertificateAction::Wait(next.min(over))
    }
}

/// Whether a certificate needs no renewal yet.
fn needs_no_renewal(
    serving: &ServingCertificate,
    desired: &DesiredCertificates,
    now: UnixSeconds,
) -> bool {
    let CertificateInfo { validity, names } = &serving.info;
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
    let mut trusted = bundle.authorities.iter().filter(|trusted| trusted.validity.contains(now));
    match &stored.certificate {
        Some(ServingCertificate { info, issuer: Some(issuer) }) => {
            info.validity.contains(now)
                && info.names.is_superset(&desired.names)
                && trusted.any(|trusted| trusted == issuer)
        }
        Some(ServingCertificate { issuer: None, .. }) => false,
        // If the Secret was lost, the operators still present its last certificate.
        None => trusted.any(|trusted| stored.authorities.first() != Some(trusted)),
    }
}

/// The CAs to keep behind a new one: those whose certificates may still be in use.
fn still_trusted(
    stored: &StoredCertificates,
    bundle: Option<&Bundle>,
    now: UnixSeconds,
) -> Vec<CertificateDer<'static>> {
    let issuer = stored.certificate.iter().filter_map(|serving| serving.issuer.as_ref());
    let trusted = bundle.iter().flat_map(|bundle| &bundle.authorities);
    let mut trusted_still: Vec<CertificateDer<'static>> = Vec::new();
    for authority in issuer.chain(&stored.authorities).chain(trusted) {
        let known = trusted_still.contains(&authority.certificate);
        if authority.validity.contains(now) && !known && trusted_still.len() < MAX_OLD_AUTHORITIES {
            trusted_still.push(authority.certificate.clone());
        }
    }
    trusted_still
}
