//! Every branch of the plan, and long lives of it under a simulated clock.

use super::*;
use crate::certificates::x509::{BACKDATED, Validity};
use proptest::{prelude::*, sample::Index};

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn desired() -> DesiredCertificates {
    DesiredCertificates::new(names(&["a.svc"]), Duration::from_secs(1000))
}

fn certificate(number: u8, made: UnixSeconds) -> Certificate {
    let validity = Validity { from: made - BACKDATED, until: made + 1000 };
    let info = CertificateInfo { validity, names: names(&["a.svc"]) };
    Certificate { der: CertificateDer::from(vec![number]), info }
}

fn stored(
    pinned: &[&Certificate],
    serving: Option<&Certificate>,
    next: Option<&Certificate>,
) -> StoredCertificates {
    let pinned = pinned.iter().copied().cloned().collect();
    StoredCertificates { pinned, serving: serving.cloned(), next: next.cloned() }
}

/// What all webhooks trust; that is what is pinned.
fn bundle(trusted: &[&Certificate]) -> Bundle {
    let trusted = trusted.iter().copied().cloned().collect();
    Bundle { trusted, accepts_serving: true, is_current: true }
}

fn since(trusted: UnixSeconds, serving: UnixSeconds) -> Since {
    Since { trusted: Some(trusted), serving: Some(serving) }
}

fn ids(certificates: &[&Certificate]) -> Vec<CertificateDer<'static>> {
    certificates.iter().map(|certificate| certificate.der.clone()).collect()
}

#[test]
fn times_fit_into_the_validity() {
    let usual = DesiredCertificates::new(names(&[]), Duration::from_hours(2160));
    assert_eq!((usual.settle, usual.overlap), (60, 9 * 24 * 3600));
    let short = DesiredCertificates::new(names(&[]), Duration::from_mins(2));
    assert_eq!((short.settle, short.overlap), (6, 12));
    let shortest = DesiredCertificates::new(names(&[]), Duration::ZERO);
    assert_eq!((shortest.settle, shortest.overlap), (1, 1));
    DesiredCertificates::new(names(&[]), Duration::MAX);
}

#[test]
fn at_the_beginning_everything_is_made_at_once() {
    let next = |stored: &StoredCertificates, bundle: Option<&Bundle>| {
        next_action(stored, bundle, Since::default(), &desired(), 0)
    };
    let create = CertificateAction::Create { pinned: vec![], at_once: true };
    assert_eq!(next(&StoredCertificates::default(), None), create);
    let empty = Bundle::default();
    assert_eq!(next(&StoredCertificates::default(), Some(&empty)), create);
    let a = certificate(1, 0);
    let made = stored(&[&a], Some(&a), None);
    assert_eq!(next(&made, Some(&empty)), CertificateAction::Publish);
    assert_eq!(next(&made, Some(&bundle(&[&a]))), CertificateAction::Wait(667));
    assert_eq!(next(&made, None), CertificateAction::Wait(667));
}

#[test]
fn a_certificate_is_followed_by_another_one_step_by_step() {
    let (a, b) = (certificate(1, 0), certificate(2, 667));
    let next = |stored: &StoredCertificates, bundle: &Bundle, since, now| {
        next_action(stored, Some(bundle), since, &desired(), now)
    };
    let old = stored(&[&a], Some(&a), None);
    let step = next(&old, &bundle(&[&a]), since(0, 0), 667);
    assert_eq!(step, CertificateAction::Create { pinned: ids(&[&a]), at_once: false });
    let both = stored(&[&b, &a], Some(&a), Some(&b));
    let outdated = Bundle { is_current: false, ..bundle(&[&a]) };
    let unknown = Since { trusted: None, serving: Some(0) };
    assert_eq!(next(&both, &outdated, unknown, 667), CertificateAction::Publish);
    let known = bundle(&[&b, &a]);
    assert_eq!(next(&both, &known, since(668, 0), 668), CertificateAction::Wait(718));
    assert_eq!(next(&both, &known, since(668, 0), 717), CertificateAction::Wait(718));
    assert_eq!(next(&both, &known, since(668, 0), 718), CertificateAction::Promote);
    let promoted = stored(&[&b, &a], Some(&b), None);
    assert_eq!(next(&promoted, &known, since(668, 718), 718), CertificateAction::Wait(818));
    assert_eq!(next(&promoted, &known, since(668, 718), 818), CertificateAction::DropOld);
    // A leader that doesn't know since when it is so waits as if it had just begun.
    assert_eq!(next(&both, &known, Since::default(), 700), CertificateAction::Wait(750));
    assert_eq!(next(&promoted, &known, Since::default(), 900), CertificateAction::Wait(1000));
    let alone = stored(&[&b], Some(&b), None);
    let outdated = Bundle { is_current: false, ..known };
    assert_eq!(next(&alone, &outdated, since(668, 718), 818), CertificateAction::Publish);
    let step = next(&alone, &bundle(&[&b]), since(668, 718), 818);
    assert_eq!(step, CertificateAction::Wait(667 + 667));
}

#[test]
fn a_certificate_for_other_names_is_replaced() {
    let a = certificate(1, 0);
    let made = stored(&[&a], Some(&a), None);
    let next = |wanted: &[&str]| {
        let desired = DesiredCertificates { names: names(wanted), ..desired() };
        next_action(&made, Some(&bundle(&[&a])), since(0, 0), &desired, 1)
    };
    let create = |at_once| CertificateAction::Create { pinned: ids(&[&a]), at_once };
    // It isn't good for the new name anyway.
    assert_eq!(next(&["a.svc", "b.svc"]), create(true));
    let mut more = certificate(2, 0);
    more.info.names.insert("b.svc".to_owned());
    let made = stored(&[&more], Some(&more), None);
    let step = next_action(&made, Some(&bundle(&[&more])), since(0, 0), &desired(), 1);
    assert_eq!(step, CertificateAction::Create { pinned: ids(&[&more]), at_once: false });
}

#[test]
fn what_does_not_work_anyway_is_replaced_at_once() {
    let (a, b) = (certificate(1, 0), certificate(2, 900));
    let next = |stored: &StoredCertificates, bundle: &Bundle, since, now| {
        next_action(stored, Some(bundle), since, &desired(), now)
    };
    // The certificate ends while the next one isn't known for long enough.
    let both = stored(&[&b, &a], Some(&a), Some(&b));
    let known = bundle(&[&b, &a]);
    assert_eq!(next(&both, &known, since(990, 0), 990), CertificateAction::Wait(1001));
    assert_eq!(next(&both, &known, since(990, 0), 1001), CertificateAction::Promote);
    // It isn't trusted.
    let strange = Bundle { accepts_serving: false, ..bundle(&[&b]) };
    assert_eq!(next(&both, &strange, since(990, 0), 990), CertificateAction::Promote);
    // Everything has expired, or the clock was set back by a day.
    let old = stored(&[&a], Some(&a), None);
    for now in [5000, -86_400] {
        let step = next(&old, &bundle(&[&a]), since(0, 0), now);
        assert_eq!(step, CertificateAction::Create { pinned: vec![], at_once: true }, "{now}");
    }
}

#[test]
fn a_lost_key_or_secret_leaves_what_is_in_use_trusted() {
    let (a, b) = (certificate(1, 0), certificate(2, 10));
    let next = |stored: &StoredCertificates, bundle: &Bundle, since, now| {
        next_action(stored, Some(bundle), since, &desired(), now)
    };
    let create = CertificateAction::Create { pinned: ids(&[&a]), at_once: false };
    let lost = StoredCertificates::default();
    assert_eq!(next(&lost, &bundle(&[&a]), Since::default(), 10), create);
    let without = stored(&[&b, &a], None, Some(&b));
    let known = bundle(&[&b, &a]);
    assert_eq!(next(&without, &known, since(10, 10), 10), CertificateAction::Wait(60));
    assert_eq!(next(&without, &known, since(10, 10), 60), CertificateAction::Promote);
    // The next one's key is lost.
    let step = next(&stored(&[&b, &a], Some(&a), None), &known, since(10, 0), 700);
    assert_eq!(step, CertificateAction::Create { pinned: ids(&[&a, &b]), at_once: false });
}

/// The Secret of an operator that had a certificate authority.
#[test]
fn what_an_authority_has_signed_is_replaced_without_haste() {
    let mut authority = certificate(1, 0);
    authority.info.names.clear();
    let (signed, b) = (certificate(2, 0), certificate(3, 5));
    let known = bundle(&[&authority]);
    let next = |stored: &StoredCertificates, since, now| {
        next_action(stored, Some(&known), since, &desired(), now)
    };
    let found = stored(&[&authority], Some(&signed), None);
    let pinned = ids(&[&authority]);
    let step = next(&found, since(0, 0), 5);
    assert_eq!(step, CertificateAction::Create { pinned, at_once: false });
    let both = stored(&[&b, &authority], Some(&signed), Some(&b));
    assert_eq!(next(&both, since(6, 0), 6), CertificateAction::Wait(56));
    assert_eq!(next(&both, since(6, 0), 56), CertificateAction::Promote);
}

#[test]
fn the_bundle_stays_short() {
    let many: Vec<Certificate> = (0..20).map(|number| certificate(number, 0)).collect();
    let many: Vec<&Certificate> = many.iter().collect();
    let serving = many[19];
    let lost = stored(&many, Some(serving), None);
    let step = next_action(&lost, Some(&bundle(&many)), since(0, 0), &desired(), 700);
    let CertificateAction::Create { pinned, .. } = step else { panic!("{step:?}") };
    assert_eq!(pinned.len(), MAX_OLD);
    assert_eq!(pinned[0], serving.der);
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
    validity: UnixSeconds,
    now: UnixSeconds,
    made: u16,
    stored: StoredCertificates,
    trusted: Vec<Certificate>,
    trusted_since: Option<(Certificate, UnixSeconds)>,
    serving_since: Option<(Certificate, UnixSeconds)>,
    /// The certificates that some operator may show, each with when it was replaced.
    shown: Vec<(Certificate, UnixSeconds)>,
    /// The bundles that some API server may go by.
    bundles: Vec<(Vec<Certificate>, UnixSeconds)>,
}

impl Cluster {
    fn new(validity: UnixSeconds) -> Self {
        let seconds = Duration::from_secs(validity.unsigned_abs());
        Self {
            desired: DesiredCertificates::new(names(&["a.svc"]), seconds),
            validity,
            now: 1_800_000_000,
            made: 0,
            stored: StoredCertificates::default(),
            trusted: Vec::new(),
            trusted_since: None,
            serving_since: None,
            shown: Vec::new(),
            bundles: Vec::new(),
        }
    }

    fn create(&mut self) -> Certificate {
        self.made += 1;
        let mut made = certificate(0, self.now);
        made.der = CertificateDer::from(self.made.to_be_bytes().to_vec());
        made.info.validity.until = self.now + self.validity;
        made
    }

    fn show(&mut self, certificate: Certificate) {
        if let Some((_, replaced)) = self.shown.last_mut() {
            *replaced = self.now;
        }
        self.shown.push((certificate.clone(), UnixSeconds::MAX));
        self.stored.serving = Some(certificate);
        self.stored.next = None;
    }

    /// Since when something has been so, as a leader notes it.
    fn note(
        noted: &mut Option<(Certificate, UnixSeconds)>,
        present: Option<&Certificate>,
        now: UnixSeconds,
    ) -> Option<UnixSeconds> {
        let before = noted.take().filter(|(known, _)| Some(known) == present);
        *noted = present.map(|present| before.unwrap_or((present.clone(), now)));
        noted.as_ref().map(|(_, since)| *since)
    }

    /// Performs all actions, and returns the time of the next one.
    fn run_controllers(&mut self) -> UnixSeconds {
        for _ in 0..8 {
            let newest = self.stored.pinned.first().cloned();
            let newest = newest.filter(|newest| self.trusted.contains(newest));
            let since = Since {
                trusted: Self::note(&mut self.trusted_since, newest.as_ref(), self.now),
                serving: Self::note(
                    &mut self.serving_since,
                    self.stored.serving.as_ref(),
                    self.now,
                ),
            };
            let serving = self.stored.serving.as_ref();
            let bundle = Bundle {
                trusted: self.trusted.clone(),
                accepts_serving: serving.is_some_and(|serving| self.trusted.contains(serving)),
                is_current: self.trusted == self.stored.pinned,
            };
            match next_action(&self.stored, Some(&bundle), since, &self.desired, self.now) {
                CertificateAction::Wait(until) => {
                    assert!(until > self.now, "it would look again and again");
                    return until;
                }
                CertificateAction::Create { pinned, at_once } => {
                    let known = |wanted: &CertificateDer<'static>| {
                        let pinned = self.stored.pinned.iter().chain(&self.stored.serving);
                        pinned.chain(&self.trusted).find(|known| known.der == *wanted).cloned()
                    };
                    let others: Vec<Certificate> = pinned.iter().filter_map(known).collect();
                    let made = self.create();
                    self.stored.pinned = [vec![made.clone()], others].concat();
                    if at_once {
                        self.show(made);
                    } else {
                        self.stored.next = Some(made);
                    }
                }
                CertificateAction::Publish => {
                    if let Some((_, replaced)) = self.bundles.last_mut() {
                        *replaced = self.now;
                    }
                    self.trusted = self.stored.pinned.clone();
                    self.bundles.push((self.trusted.clone(), UnixSeconds::MAX));
                }
                CertificateAction::Promote => {
                    let next = self.stored.next.take().unwrap();
                    self.show(next);
                }
                CertificateAction::DropOld => {
                    self.stored.pinned = self.stored.serving.iter().cloned().collect();
                    self.stored.next = None;
                }
            }
        }
        panic!("it comes to no end: {:?}", self.stored)
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
                assert!(
                    bundle.contains(certificate),
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
        validity in 1_000_i64..10_000_000,
        events in prop::collection::vec(
            (any::<Index>(), prop_oneof![
                2 => Just(Event::Nothing),
                1 => Just(Event::Restart),
                1 => Just(Event::Loss),
            ]),
            0..30,
        ),
    ) {
        let mut cluster = Cluster::new(validity);
        let mut next = cluster.run_controllers();
        for (after, event) in events {
            // Long enough for every action to complete, and to be interrupted.
            let least = 2 * cluster.desired.settle;
            let most = usize::try_from(validity).unwrap();
            let after = least + i64::try_from(after.index(most)).unwrap();
            next = cluster.pass(next, cluster.now + after);
            match event {
                Event::Restart => {
                    (cluster.trusted_since, cluster.serving_since) = (None, None);
                    cluster.now += validity / 40;
                    cluster.check();
                    next = cluster.run_controllers();
                }
                Event::Loss if cluster.stored.serving.is_some() => {
                    cluster.stored = StoredCertificates::default();
                    next = cluster.run_controllers();
                }
                Event::Nothing | Event::Loss => {}
            }
            cluster.check();
        }
        let end = cluster.now + 3 * validity;
        cluster.pass(next, end);
        prop_assert!(cluster.stored.pinned.len() <= 2);
    }
}
