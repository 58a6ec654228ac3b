//! Every branch of the plan, and long lives of it under a simulated clock.

use super::*;
use crate::certificates::x509::BACKDATED;
use proptest::{prelude::*, sample::Index};

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn desired() -> DesiredCertificates {
    DesiredCertificates::new(
        names(&["a.svc"]),
        Duration::from_secs(1000),
        Duration::from_secs(4000),
    )
}

fn validity(now: UnixSeconds, validity: UnixSeconds) -> Validity {
    Validity { from: now - BACKDATED, until: now + validity }
}

fn authority(number: u8, made: UnixSeconds) -> Trusted {
    Trusted { certificate: CertificateDer::from(vec![number]), validity: validity(made, 4000) }
}

fn serving_certificate(issuer: &Trusted, made: UnixSeconds) -> ServingCertificate {
    let info = CertificateInfo { validity: validity(made, 1000), names: names(&["a.svc"]) };
    ServingCertificate { info, issuer: Some(issuer.clone()) }
}

fn kept(authorities: &[&Trusted], certificate: Option<ServingCertificate>) -> StoredCertificates {
    let authorities = authorities.iter().copied().cloned().collect();
    StoredCertificates { authorities, signs: true, certificate }
}

fn bundle(authorities: &[&Trusted], since: UnixSeconds) -> Bundle {
    let authorities = authorities.iter().copied().cloned().collect();
    Bundle { authorities, is_current: true, since: Some(since) }
}

fn ids(authorities: &[&Trusted]) -> Vec<CertificateDer<'static>> {
    authorities.iter().map(|authority| authority.certificate.clone()).collect()
}

#[test]
fn times_fit_into_the_shorter_validity() {
    let hours = Duration::from_hours;
    let usual = DesiredCertificates::new(names(&[]), hours(2160), hours(8760));
    assert_eq!((usual.settle, usual.overlap), (60, 9 * 24 * 3600));
    let short = DesiredCertificates::new(names(&[]), Duration::from_mins(2), hours(1));
    assert_eq!((short.settle, short.overlap), (6, 12));
    let shortest = DesiredCertificates::new(names(&[]), Duration::ZERO, Duration::ZERO);
    assert_eq!((shortest.settle, shortest.overlap), (1, 1));
    DesiredCertificates::new(names(&[]), Duration::MAX, Duration::MAX);
}

#[test]
fn at_the_beginning_everything_is_made_at_once() {
    let everything = CertificateAction::CreateAuthority { stored: vec![], sign: true };
    assert_eq!(next_action(&StoredCertificates::default(), None, &desired(), 0), everything);
    let empty = Bundle { is_current: true, ..Bundle::default() };
    assert_eq!(
        next_action(&StoredCertificates::default(), Some(&empty), &desired(), 0),
        everything
    );
    let a = authority(1, 0);
    let made = kept(&[&a], Some(serving_certificate(&a, 0)));
    let unkept = Bundle { is_current: false, ..empty };
    assert_eq!(next_action(&made, Some(&unkept), &desired(), 0), CertificateAction::Publish);
    assert_eq!(
        next_action(&made, Some(&bundle(&[&a], 0)), &desired(), 0),
        CertificateAction::Wait(667)
    );
    assert_eq!(next_action(&made, None, &desired(), 0), CertificateAction::Wait(667));
}

#[test]
fn a_certificate_is_renewed_by_the_same_authority_without_waiting() {
    let a = authority(1, 0);
    let made = kept(&[&a], Some(serving_certificate(&a, 0)));
    let seen = bundle(&[&a], 667);
    assert_eq!(next_action(&made, Some(&seen), &desired(), 666), CertificateAction::Wait(667));
    assert_eq!(
        next_action(&made, Some(&seen), &desired(), 667),
        CertificateAction::IssueCertificate
    );
    // Even if the configuration can't be written.
    let unkept = Bundle { is_current: false, ..seen.clone() };
    assert_eq!(
        next_action(&made, Some(&unkept), &desired(), 667),
        CertificateAction::IssueCertificate
    );
    let others = DesiredCertificates { names: names(&["b.svc"]), ..desired() };
    assert_eq!(next_action(&made, Some(&seen), &others, 1), CertificateAction::IssueCertificate);
    let none = kept(&[&a], None);
    assert_eq!(next_action(&none, Some(&seen), &desired(), 1), CertificateAction::IssueCertificate);
}

#[test]
fn an_authority_is_followed_by_another_one_step_by_step() {
    let (a, b) = (authority(1, 0), authority(2, 2667));
    let (old, new) = (serving_certificate(&a, 2600), serving_certificate(&b, 2720));
    let reconcile = |kept: &StoredCertificates, bundle: &Bundle, now| {
        next_action(kept, Some(bundle), &desired(), now)
    };
    let step = reconcile(&kept(&[&a], Some(old.clone())), &bundle(&[&a], 0), 2667);
    assert_eq!(step, CertificateAction::CreateAuthority { stored: ids(&[&a]), sign: false });
    let both = kept(&[&b, &a], Some(old));
    let unkept = Bundle { is_current: false, since: None, ..bundle(&[&a], 0) };
    assert_eq!(reconcile(&both, &unkept, 2667), CertificateAction::Publish);
    let seen = bundle(&[&b, &a], 2668);
    assert_eq!(reconcile(&both, &seen, 2668), CertificateAction::Wait(2718));
    assert_eq!(reconcile(&both, &seen, 2717), CertificateAction::Wait(2718));
    assert_eq!(reconcile(&both, &seen, 2718), CertificateAction::IssueCertificate);
    let both = kept(&[&b, &a], Some(new.clone()));
    assert_eq!(reconcile(&both, &seen, 2720), CertificateAction::Wait(2820));
    assert_eq!(reconcile(&both, &seen, 2820), CertificateAction::DropOldAuthorities);
    let after = kept(&[&b], Some(new));
    assert_eq!(
        reconcile(&after, &Bundle { is_current: false, ..seen }, 2820),
        CertificateAction::Publish
    );
    assert_eq!(reconcile(&after, &bundle(&[&b], 2668), 2820), CertificateAction::Wait(2720 + 667));
}

#[test]
fn what_does_not_work_anyway_is_replaced_at_once() {
    let (a, b) = (authority(1, 0), authority(2, 0));
    let step = |kept: &StoredCertificates, bundle: &Bundle, now| {
        next_action(kept, Some(bundle), &desired(), now)
    };
    // The certificate ends while the new authority isn't known for long enough.
    let both = kept(&[&b, &a], Some(serving_certificate(&a, 0)));
    assert_eq!(step(&both, &bundle(&[&b, &a], 990), 990), CertificateAction::Wait(1001));
    assert_eq!(step(&both, &bundle(&[&b, &a], 990), 1001), CertificateAction::IssueCertificate);
    // Its CA is not trusted.
    assert_eq!(step(&both, &bundle(&[&b], 0), 1), CertificateAction::IssueCertificate);
    let stranger = ServingCertificate { issuer: None, ..serving_certificate(&a, 0) };
    assert_eq!(
        step(&kept(&[&b], Some(stranger)), &bundle(&[&b], 0), 1),
        CertificateAction::IssueCertificate
    );
    // Everything has expired.
    let gone = step(&kept(&[&a], Some(serving_certificate(&a, 0))), &bundle(&[&a], 0), 5000);
    assert_eq!(gone, CertificateAction::CreateAuthority { stored: vec![], sign: true });
    // The clock was set back by a day.
    let early = step(&kept(&[&a], Some(serving_certificate(&a, 0))), &bundle(&[&a], 0), -86400);
    assert_eq!(early, CertificateAction::CreateAuthority { stored: vec![], sign: true });
}

#[test]
fn a_lost_key_or_secret_leaves_what_is_in_use_trusted() {
    let (a, b) = (authority(1, 0), authority(2, 10));
    let lost = StoredCertificates { signs: false, ..kept(&[&a], Some(serving_certificate(&a, 0))) };
    let found = CertificateAction::CreateAuthority { stored: ids(&[&a]), sign: false };
    assert_eq!(next_action(&lost, Some(&bundle(&[&a], 0)), &desired(), 10), found);
    assert_eq!(
        next_action(&StoredCertificates::default(), Some(&bundle(&[&a], 0)), &desired(), 10),
        found
    );
    let without = kept(&[&b, &a], None);
    let seen = bundle(&[&b, &a], 10);
    assert_eq!(next_action(&without, Some(&seen), &desired(), 10), CertificateAction::Wait(60));
    assert_eq!(
        next_action(&without, Some(&seen), &desired(), 60),
        CertificateAction::IssueCertificate
    );
}

#[test]
fn the_bundle_stays_short() {
    let many: Vec<Trusted> = (0..20).map(|number| authority(number, 0)).collect();
    let many: Vec<&Trusted> = many.iter().collect();
    let issuer = many[19];
    let lost =
        StoredCertificates { signs: false, ..kept(&many, Some(serving_certificate(issuer, 0))) };
    let CertificateAction::CreateAuthority { stored, .. } =
        next_action(&lost, Some(&bundle(&many, 0)), &desired(), 1)
    else {
        panic!("it has no key")
    };
    assert_eq!(stored.len(), MAX_OLD_AUTHORITIES);
    assert_eq!(stored[0], issuer.certificate, "it signed what is in use");
}

/// What happens to a cluster, besides the passage of time.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    /// The leader exits. After a while there is a new leader without state.
    Restart,
    /// The Secret is deleted.
    Loss,
}

/// A cluster whose API servers learn of a bundle, and whose operators of a certificate, late.
struct Cluster {
    desired: DesiredCertificates,
    certificate_validity: UnixSeconds,
    authority_validity: UnixSeconds,
    now: UnixSeconds,
    made: u8,
    kept: StoredCertificates,
    trusted: Vec<Trusted>,
    since: Option<(CertificateDer<'static>, UnixSeconds)>,
    /// The certificates that some operator may show, each with when it was replaced.
    shown: Vec<(ServingCertificate, UnixSeconds)>,
    /// The bundles that some API server may go by.
    bundles: Vec<(Vec<Trusted>, UnixSeconds)>,
}

impl Cluster {
    fn new(certificate: UnixSeconds, authority: UnixSeconds) -> Self {
        let seconds = |time: UnixSeconds| Duration::from_secs(time.unsigned_abs());
        Self {
            desired: DesiredCertificates::new(
                names(&["a.svc"]),
                seconds(certificate),
                seconds(authority),
            ),
            certificate_validity: certificate,
            authority_validity: authority,
            now: 1_800_000_000,
            made: 0,
            kept: StoredCertificates::default(),
            trusted: Vec::new(),
            since: None,
            shown: Vec::new(),
            bundles: Vec::new(),
        }
    }

    fn replace_certificate(&mut self) {
        let Some(authority) = self.kept.authorities.first().cloned() else {
            panic!("no authority")
        };
        let mut certificate = serving_certificate(&authority, self.now);
        certificate.info.validity = validity(self.now, self.certificate_validity);
        certificate.info.validity.until =
            certificate.info.validity.until.min(authority.validity.until);
        if let Some((_, replaced)) = self.shown.last_mut() {
            *replaced = self.now;
        }
        self.shown.push((certificate.clone(), UnixSeconds::MAX));
        self.kept.certificate = Some(certificate);
    }

    /// Performs all actions, and returns the time of the next one.
    fn run_controllers(&mut self) -> UnixSeconds {
        for _ in 0..8 {
            let present = self.kept.authorities.first();
            let is_trusted = present.is_some_and(|present| self.trusted.contains(present));
            self.since = present.filter(|_| is_trusted).map(|present| {
                let before = self.since.take();
                let before = before.filter(|(authority, _)| *authority == present.certificate);
                before.unwrap_or((present.certificate.clone(), self.now))
            });
            let bundle = Bundle {
                authorities: self.trusted.clone(),
                is_current: self.trusted == self.kept.authorities,
                since: self.since.as_ref().map(|(_, since)| *since),
            };
            match next_action(&self.kept, Some(&bundle), &self.desired, self.now) {
                CertificateAction::Wait(until) => {
                    assert!(until > self.now, "it would look again and again");
                    return until;
                }
                CertificateAction::CreateAuthority { stored, sign } => {
                    let known = |desired: &CertificateDer<'static>| {
                        let mut known = self.kept.authorities.iter().chain(&self.trusted);
                        known.find(|known| known.certificate == *desired).cloned()
                    };
                    let others: Vec<Trusted> = stored.iter().filter_map(known).collect();
                    self.made += 1;
                    let mut authority = authority(self.made, self.now);
                    authority.validity = validity(self.now, self.authority_validity);
                    self.kept.authorities = [vec![authority], others].concat();
                    self.kept.signs = true;
                    if sign {
                        self.replace_certificate();
                    }
                }
                CertificateAction::Publish => {
                    if let Some((_, replaced)) = self.bundles.last_mut() {
                        *replaced = self.now;
                    }
                    self.trusted = self.kept.authorities.clone();
                    self.bundles.push((self.trusted.clone(), UnixSeconds::MAX));
                }
                CertificateAction::IssueCertificate => self.replace_certificate(),
                CertificateAction::DropOldAuthorities => self.kept.authorities.truncate(1),
            }
        }
        panic!("it comes to no end: {:?}", self.kept)
    }

    /// Every certificate that an operator presents is trusted by every API server.
    fn check(&mut self) {
        let late = (self.desired.settle - 1, self.desired.overlap / 2);
        let now = self.now;
        self.bundles.retain(|(_, replaced)| replaced.saturating_add(late.0) >= now);
        self.shown.retain(|(_, replaced)| replaced.saturating_add(late.1) >= now);
        for (certificate, replaced) in &self.shown {
            assert!(
                certificate.info.validity.contains(now),
                "{now}: {certificate:?}, replaced at {replaced}, is over"
            );
            for (bundle, replaced) in &self.bundles {
                let issuer = certificate.issuer.as_ref().unwrap();
                assert!(
                    issuer.validity.contains(now) && bundle.contains(issuer),
                    "{now}: {certificate:?} is shown, and {bundle:?} trusted, replaced at {replaced}"
                );
            }
        }
    }

    /// Advances the time, with a check at every time at which something may change, and just before
    /// it.
    fn pass(&mut self, mut next: UnixSeconds, until: UnixSeconds) -> UnixSeconds {
        while next <= until {
            self.now = next - 1;
            self.check();
            self.now = next;
            next = self.run_controllers();
            self.check();
        }
        self.now = until;
        self.check();
        next
    }
}

proptest! {
    /// With any validity, and any events.
    #[test]
    fn what_is_shown_is_always_trusted(
        certificate in 1_000_i64..10_000_000,
        authority in 1_000_i64..40_000_000,
        events in prop::collection::vec(
            (any::<Index>(), prop_oneof![
                2 => Just(Event::Nothing),
                1 => Just(Event::Restart),
                1 => Just(Event::Loss),
            ]),
            0..30,
        ),
    ) {
        let mut api_server = Cluster::new(certificate, authority);
        let shorter = certificate.min(authority);
        let mut next = api_server.run_controllers();
        for (after, event) in events {
            // Long enough for every action to complete, and to be interrupted.
            let least = 2 * api_server.desired.settle;
            let most = usize::try_from(shorter).unwrap();
            let after = least + i64::try_from(after.index(most)).unwrap();
            next = api_server.pass(next, api_server.now + after);
            match event {
                Event::Restart => {
                    api_server.since = None;
                    api_server.now += shorter / 40;
                    api_server.check();
                    next = api_server.run_controllers();
                }
                Event::Loss if api_server.kept.certificate.is_some() => {
                    api_server.kept = StoredCertificates::default();
                    next = api_server.run_controllers();
                }
                Event::Nothing | Event::Loss => {}
            }
            api_server.check();
        }
        let end = api_server.now + 3 * authority.min(20 * certificate);
        api_server.pass(next, end);
        prop_assert!(api_server.kept.authorities.len() <= 2);
    }
}
