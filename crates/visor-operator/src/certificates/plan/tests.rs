//! Every branch of the plan, and long lives of it under a simulated clock.

use super::*;
use crate::certificates::x509::BACKDATED;
use proptest::{prelude::*, sample::Index};

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn wish() -> Wanted {
    Wanted::new(names(&["a.svc"]), Duration::from_secs(1000), Duration::from_secs(4000))
}

fn life(now: Moment, validity: Moment) -> Life {
    Life { from: now - BACKDATED, until: now + validity }
}

fn authority(number: u8, made: Moment) -> Trusted {
    Trusted { certificate: CertificateDer::from(vec![number]), life: life(made, 4000) }
}

fn held(issuer: &Trusted, made: Moment) -> Held {
    let facts = Facts { life: life(made, 1000), names: names(&["a.svc"]) };
    Held { facts, issuer: Some(issuer.clone()) }
}

fn kept(authorities: &[&Trusted], certificate: Option<Held>) -> Kept {
    let authorities = authorities.iter().copied().cloned().collect();
    Kept { authorities, signs: true, certificate }
}

fn bundle(authorities: &[&Trusted], since: Moment) -> Bundle {
    let authorities = authorities.iter().copied().cloned().collect();
    Bundle { authorities, is_kept: true, since: Some(since) }
}

fn ids(authorities: &[&Trusted]) -> Vec<CertificateDer<'static>> {
    authorities.iter().map(|authority| authority.certificate.clone()).collect()
}

#[test]
fn times_fit_into_the_shorter_validity() {
    let hours = Duration::from_hours;
    let usual = Wanted::new(names(&[]), hours(2160), hours(8760));
    assert_eq!((usual.settle, usual.overlap), (60, 9 * 24 * 3600));
    let short = Wanted::new(names(&[]), Duration::from_mins(2), hours(1));
    assert_eq!((short.settle, short.overlap), (6, 12));
    let shortest = Wanted::new(names(&[]), Duration::ZERO, Duration::ZERO);
    assert_eq!((shortest.settle, shortest.overlap), (1, 1));
    Wanted::new(names(&[]), Duration::MAX, Duration::MAX);
}

#[test]
fn at_the_beginning_everything_is_made_at_once() {
    let everything = Step::Found { kept: vec![], sign: true };
    assert_eq!(plan(&Kept::default(), None, &wish(), 0), everything);
    let empty = Bundle { is_kept: true, ..Bundle::default() };
    assert_eq!(plan(&Kept::default(), Some(&empty), &wish(), 0), everything);
    let a = authority(1, 0);
    let made = kept(&[&a], Some(held(&a, 0)));
    let unkept = Bundle { is_kept: false, ..empty };
    assert_eq!(plan(&made, Some(&unkept), &wish(), 0), Step::Publish);
    assert_eq!(plan(&made, Some(&bundle(&[&a], 0)), &wish(), 0), Step::Wait(667));
    assert_eq!(plan(&made, None, &wish(), 0), Step::Wait(667));
}

#[test]
fn a_certificate_is_renewed_by_the_same_authority_without_waiting() {
    let a = authority(1, 0);
    let made = kept(&[&a], Some(held(&a, 0)));
    let seen = bundle(&[&a], 667);
    assert_eq!(plan(&made, Some(&seen), &wish(), 666), Step::Wait(667));
    assert_eq!(plan(&made, Some(&seen), &wish(), 667), Step::Sign);
    // Even if the configuration can't be written.
    let unkept = Bundle { is_kept: false, ..seen.clone() };
    assert_eq!(plan(&made, Some(&unkept), &wish(), 667), Step::Sign);
    let others = Wanted { names: names(&["b.svc"]), ..wish() };
    assert_eq!(plan(&made, Some(&seen), &others, 1), Step::Sign);
    let none = kept(&[&a], None);
    assert_eq!(plan(&none, Some(&seen), &wish(), 1), Step::Sign);
}

#[test]
fn an_authority_is_followed_by_another_one_step_by_step() {
    let (a, b) = (authority(1, 0), authority(2, 2667));
    let (old, new) = (held(&a, 2600), held(&b, 2720));
    let look = |kept: &Kept, bundle: &Bundle, now| plan(kept, Some(bundle), &wish(), now);
    let step = look(&kept(&[&a], Some(old.clone())), &bundle(&[&a], 0), 2667);
    assert_eq!(step, Step::Found { kept: ids(&[&a]), sign: false });
    let both = kept(&[&b, &a], Some(old));
    let unkept = Bundle { is_kept: false, since: None, ..bundle(&[&a], 0) };
    assert_eq!(look(&both, &unkept, 2667), Step::Publish);
    let seen = bundle(&[&b, &a], 2668);
    assert_eq!(look(&both, &seen, 2668), Step::Wait(2718));
    assert_eq!(look(&both, &seen, 2717), Step::Wait(2718));
    assert_eq!(look(&both, &seen, 2718), Step::Sign);
    let both = kept(&[&b, &a], Some(new.clone()));
    assert_eq!(look(&both, &seen, 2720), Step::Wait(2820));
    assert_eq!(look(&both, &seen, 2820), Step::Retire);
    let after = kept(&[&b], Some(new));
    assert_eq!(look(&after, &Bundle { is_kept: false, ..seen }, 2820), Step::Publish);
    assert_eq!(look(&after, &bundle(&[&b], 2668), 2820), Step::Wait(2720 + 667));
}

#[test]
fn what_does_not_work_anyway_is_replaced_at_once() {
    let (a, b) = (authority(1, 0), authority(2, 0));
    let step = |kept: &Kept, bundle: &Bundle, now| plan(kept, Some(bundle), &wish(), now);
    // The certificate ends while the new authority isn't known for long enough.
    let both = kept(&[&b, &a], Some(held(&a, 0)));
    assert_eq!(step(&both, &bundle(&[&b, &a], 990), 990), Step::Wait(1001));
    assert_eq!(step(&both, &bundle(&[&b, &a], 990), 1001), Step::Sign);
    // Nobody trusts the one who signed it.
    assert_eq!(step(&both, &bundle(&[&b], 0), 1), Step::Sign);
    let stranger = Held { issuer: None, ..held(&a, 0) };
    assert_eq!(step(&kept(&[&b], Some(stranger)), &bundle(&[&b], 0), 1), Step::Sign);
    // Everything has run out.
    let gone = step(&kept(&[&a], Some(held(&a, 0))), &bundle(&[&a], 0), 5000);
    assert_eq!(gone, Step::Found { kept: vec![], sign: true });
    // The clock was set back by a day.
    let early = step(&kept(&[&a], Some(held(&a, 0))), &bundle(&[&a], 0), -86400);
    assert_eq!(early, Step::Found { kept: vec![], sign: true });
}

#[test]
fn a_lost_key_or_secret_leaves_what_is_in_use_trusted() {
    let (a, b) = (authority(1, 0), authority(2, 10));
    let lost = Kept { signs: false, ..kept(&[&a], Some(held(&a, 0))) };
    let found = Step::Found { kept: ids(&[&a]), sign: false };
    assert_eq!(plan(&lost, Some(&bundle(&[&a], 0)), &wish(), 10), found);
    assert_eq!(plan(&Kept::default(), Some(&bundle(&[&a], 0)), &wish(), 10), found);
    let without = kept(&[&b, &a], None);
    let seen = bundle(&[&b, &a], 10);
    assert_eq!(plan(&without, Some(&seen), &wish(), 10), Step::Wait(60));
    assert_eq!(plan(&without, Some(&seen), &wish(), 60), Step::Sign);
}

#[test]
fn the_bundle_stays_short() {
    let many: Vec<Trusted> = (0..20).map(|number| authority(number, 0)).collect();
    let many: Vec<&Trusted> = many.iter().collect();
    let issuer = many[19];
    let lost = Kept { signs: false, ..kept(&many, Some(held(issuer, 0))) };
    let Step::Found { kept, .. } = plan(&lost, Some(&bundle(&many, 0)), &wish(), 1) else {
        panic!("it has no key")
    };
    assert_eq!(kept.len(), MOST_KEPT);
    assert_eq!(kept[0], issuer.certificate, "it signed what is in use");
}

/// What happens to a cluster beside the passing of time.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    /// The operator that acts ends. For a while nobody acts, and then one who remembers nothing.
    Restart,
    /// Somebody deletes the Secret.
    Loss,
}

/// A cluster whose API servers learn of a bundle, and whose operators of a certificate, late.
struct Cluster {
    wish: Wanted,
    certificate_validity: Moment,
    authority_validity: Moment,
    now: Moment,
    made: u8,
    kept: Kept,
    trusted: Vec<Trusted>,
    since: Option<(CertificateDer<'static>, Moment)>,
    /// The certificates that some operator may show, each with when it was replaced.
    shown: Vec<(Held, Moment)>,
    /// The bundles that some API server may go by.
    bundles: Vec<(Vec<Trusted>, Moment)>,
}

impl Cluster {
    fn new(certificate: Moment, authority: Moment) -> Self {
        let seconds = |moment: Moment| Duration::from_secs(moment.unsigned_abs());
        Self {
            wish: Wanted::new(names(&["a.svc"]), seconds(certificate), seconds(authority)),
            certificate_validity: certificate,
            authority_validity: authority,
            now: 1_800_000_000,
            made: 0,
            kept: Kept::default(),
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
        let mut held = held(&authority, self.now);
        held.facts.life = life(self.now, self.certificate_validity);
        held.facts.life.until = held.facts.life.until.min(authority.life.until);
        if let Some((_, replaced)) = self.shown.last_mut() {
            *replaced = self.now;
        }
        self.shown.push((held.clone(), Moment::MAX));
        self.kept.certificate = Some(held);
    }

    /// Acts until there is nothing to do, and says when there will be.
    fn act(&mut self) -> Moment {
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
                is_kept: self.trusted == self.kept.authorities,
                since: self.since.as_ref().map(|(_, since)| *since),
            };
            match plan(&self.kept, Some(&bundle), &self.wish, self.now) {
                Step::Wait(until) => {
                    assert!(until > self.now, "it would look again and again");
                    return until;
                }
                Step::Found { kept, sign } => {
                    let known = |wished: &CertificateDer<'static>| {
                        let mut known = self.kept.authorities.iter().chain(&self.trusted);
                        known.find(|known| known.certificate == *wished).cloned()
                    };
                    let others: Vec<Trusted> = kept.iter().filter_map(known).collect();
                    self.made += 1;
                    let mut authority = authority(self.made, self.now);
                    authority.life = life(self.now, self.authority_validity);
                    self.kept.authorities = [vec![authority], others].concat();
                    self.kept.signs = true;
                    if sign {
                        self.replace_certificate();
                    }
                }
                Step::Publish => {
                    if let Some((_, replaced)) = self.bundles.last_mut() {
                        *replaced = self.now;
                    }
                    self.trusted = self.kept.authorities.clone();
                    self.bundles.push((self.trusted.clone(), Moment::MAX));
                }
                Step::Sign => self.replace_certificate(),
                Step::Retire => self.kept.authorities.truncate(1),
            }
        }
        panic!("it comes to no end: {:?}", self.kept)
    }

    /// Whatever an operator shows is good for whatever an API server trusts.
    fn check(&mut self) {
        let late = (self.wish.settle - 1, self.wish.overlap / 2);
        let now = self.now;
        self.bundles.retain(|(_, replaced)| replaced.saturating_add(late.0) >= now);
        self.shown.retain(|(_, replaced)| replaced.saturating_add(late.1) >= now);
        for (held, replaced) in &self.shown {
            assert!(held.facts.life.holds(now), "{now}: {held:?}, replaced at {replaced}, is over");
            for (bundle, replaced) in &self.bundles {
                let issuer = held.issuer.as_ref().unwrap();
                assert!(
                    issuer.life.holds(now) && bundle.contains(issuer),
                    "{now}: {held:?} is shown, and {bundle:?} trusted, replaced at {replaced}"
                );
            }
        }
    }

    /// Lets time pass, looking at every moment at which something may change, and just before it.
    fn pass(&mut self, mut next: Moment, until: Moment) -> Moment {
        while next <= until {
            self.now = next - 1;
            self.check();
            self.now = next;
            next = self.act();
            self.check();
        }
        self.now = until;
        self.check();
        next
    }
}

proptest! {
    /// However long the certificates are good for, and whatever happens.
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
        let mut cluster = Cluster::new(certificate, authority);
        let shorter = certificate.min(authority);
        let mut next = cluster.act();
        for (after, event) in events {
            // Long enough for what has begun, and for anything to happen in the midst of anything.
            let least = 2 * cluster.wish.settle;
            let most = usize::try_from(shorter).unwrap();
            let after = least + i64::try_from(after.index(most)).unwrap();
            next = cluster.pass(next, cluster.now + after);
            match event {
                Event::Restart => {
                    cluster.since = None;
                    cluster.now += shorter / 40;
                    cluster.check();
                    next = cluster.act();
                }
                Event::Loss if cluster.kept.certificate.is_some() => {
                    cluster.kept = Kept::default();
                    next = cluster.act();
                }
                Event::Nothing | Event::Loss => {}
            }
            cluster.check();
        }
        let end = cluster.now + 3 * authority.min(20 * certificate);
        cluster.pass(next, end);
        prop_assert!(cluster.kept.authorities.len() <= 2);
    }
}
