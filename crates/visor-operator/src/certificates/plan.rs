//! What to do next about the certificates, and when to look again. Pure: time comes in as an
//! argument.
//!
//! Two things are told to others, who learn of it a little late: the certificate, to the operators;
//! the bundle of authorities, to the API servers. So one never changes together with the other:
//!
//! 1. A new authority goes into the Secret, before the one that is in use.
//! 2. The bundle is written into the webhook's configuration.
//! 3. When every API server has had the time to learn of it (`settle`), the new authority signs a
//!    certificate.
//! 4. When every operator has had the time to show that one (`overlap`), the old authority is
//!    dropped from the Secret, and then from the configuration.
//!
//! Only if nothing works anyway, as at the very beginning, there is nothing to wait for.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use rustls::pki_types::CertificateDer;

use super::x509::{Facts, Life, Moment};

/// Authorities are kept beside a new one, so many at the most: if it should happen again and again
/// that the Secret is lost, the bundle doesn't grow without an end.
const MOST_KEPT: usize = 4;

/// An authority that is trusted, or could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trusted {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) life: Life,
}

/// The certificate in the Secret, with which its key fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) facts: Facts,
    /// The authority that signed it, if it is known.
    pub(super) issuer: Option<Trusted>,
}

/// What the Secret holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// The present authority, then those before it.
    pub(super) authorities: Vec<Trusted>,
    /// Whether the key of the present authority is there, too.
    pub(super) signs: bool,
    pub(super) certificate: Option<Held>,
}

/// What the webhook's configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The authorities that at least one of its webhooks trusts.
    pub(super) authorities: Vec<Trusted>,
    /// Whether all of its webhooks trust exactly the Secret's authorities.
    pub(super) is_kept: bool,
    /// Since when all of them trust the Secret's present authority, as far as it was seen.
    pub(super) since: Option<Moment>,
}

/// What there should be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) names: BTreeSet<String>,
    /// How long API servers may take to learn of a bundle.
    pub(super) settle: Moment,
    /// How long an authority is trusted after it has been followed by another one.
    pub(super) overlap: Moment,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Make an authority and keep these others behind it. Have it sign a certificate at once, or
    /// leave the present one as it is.
    Found { kept: Vec<CertificateDer<'static>>, sign: bool },
    /// Write the Secret's authorities into the configuration.
    Publish,
    /// Have the present authority sign a certificate.
    Sign,
    /// Drop all authorities but the present one.
    Retire,
    /// Nothing, until then.
    Wait(Moment),
}

impl Wanted {
    /// Times that leave room within the shorter of two validities: a certificate is renewed when a
    /// third of its time is left, and so is an authority.
    pub(super) fn new(
        names: impl IntoIterator<Item = String>,
        certificate: Duration,
        authority: Duration,
    ) -> Self {
        const LONGEST_SETTLE: Moment = 60;
        let shorter = Moment::try_from(certificate.min(authority).as_secs()).unwrap_or(Moment::MAX);
        Self {
            names: names.into_iter().collect(),
            settle: (shorter / 20).clamp(1, LONGEST_SETTLE),
            overlap: (shorter / 10).max(1),
        }
    }
}

/// Decides. There may be no configuration: then nobody asks for anything.
pub(super) fn plan(kept: &Kept, bundle: Option<&Bundle>, wish: &Wanted, now: Moment) -> Step {
    let works = works(kept, bundle, wish, now);
    let authority = kept.authorities.first().filter(|authority| {
        kept.signs && authority.life.holds(now) && now < authority.life.renewal()
    });
    let Some(authority) = authority else {
        return Step::Found { kept: worth_keeping(kept, bundle, now), sign: !works };
    };
    let publish = bundle.is_some_and(|bundle| !bundle.is_kept);
    let own = kept.certificate.as_ref().filter(|held| held.issuer.as_ref() == Some(authority));
    let Some(held) = own.filter(|held| fits(held, wish, now)) else {
        // What the same authority signed is in use, so it has been trusted for long.
        if own.is_some() {
            return Step::Sign;
        }
        if publish {
            return Step::Publish;
        }
        let since = bundle.and_then(|bundle| bundle.since).unwrap_or(now).min(now);
        let settled = since.saturating_add(wish.settle);
        if !works || settled <= now {
            return Step::Sign;
        }
        let expires = kept.certificate.as_ref().map(|held| held.facts.life.until + 1);
        return Step::Wait(expires.map_or(settled, |expires| settled.min(expires)));
    };
    if publish {
        return Step::Publish;
    }
    let next = authority.life.renewal().min(held.facts.life.renewal());
    if kept.authorities.len() == 1 {
        return Step::Wait(next);
    }
    let over = held.facts.life.made().saturating_add(wish.overlap);
    if over <= now { Step::Retire } else { Step::Wait(next.min(over)) }
}

/// Whether a certificate is good for a while yet.
fn fits(held: &Held, wish: &Wanted, now: Moment) -> bool {
    let Facts { life, names } = &held.facts;
    *names == wish.names && life.holds(now) && now < life.renewal()
}

/// Whether an API server may be content with what an operator shows now.
fn works(kept: &Kept, bundle: Option<&Bundle>, wish: &Wanted, now: Moment) -> bool {
    let Some(bundle) = bundle else { return false };
    let mut trusted = bundle.authorities.iter().filter(|trusted| trusted.life.holds(now));
    match &kept.certificate {
        Some(Held { facts, issuer: Some(issuer) }) => {
            facts.life.holds(now)
                && facts.names.is_superset(&wish.names)
                && trusted.any(|trusted| trusted == issuer)
        }
        Some(Held { issuer: None, .. }) => false,
        // Operators go on showing the certificate that was in a Secret that is lost.
        None => trusted.any(|trusted| kept.authorities.first() != Some(trusted)),
    }
}

/// The authorities that a new one is added to: the ones whose certificates may still be in use.
fn worth_keeping(
    kept: &Kept,
    bundle: Option<&Bundle>,
    now: Moment,
) -> Vec<CertificateDer<'static>> {
    let issuer = kept.certificate.iter().filter_map(|held| held.issuer.as_ref());
    let trusted = bundle.iter().flat_map(|bundle| &bundle.authorities);
    let mut worth: Vec<CertificateDer<'static>> = Vec::new();
    for authority in issuer.chain(&kept.authorities).chain(trusted) {
        let known = worth.contains(&authority.certificate);
        if authority.life.holds(now) && !known && worth.len() < MOST_KEPT {
            worth.push(authority.certificate.clone());
        }
    }
    worth
}
