//! Faults on purpose: what a sink may do wrong, and to which requests. Collectors lose and duplicate
//! lines where their destination fails, so this is where they have to be tried.

mod parse;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use rand::RngExt;

use visor_protocols::records::Item;

/// A fault, and when it happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    kind: Kind,
    when: When,
}

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// The request isn't taken, and its client is told so.
    Reject { status: StatusCode, retry_after: Option<Duration> },
    /// The request is taken, and its client is told that it isn't.
    Error { status: StatusCode },
    /// The connection is closed without an answer.
    Close { is_taken: bool },
    /// The answer comes later.
    Delay { by: Duration },
    /// An item of a bulk request isn't taken, and its client is told so.
    RejectItems { status: StatusCode },
    /// The records are taken, and not acknowledged.
    WithholdAcknowledgements,
    /// So many bytes are read in a second.
    SlowRead { bytes_per_second: u32 },
}

/// Which requests it happens to.
#[derive(Debug, Clone, PartialEq)]
struct When {
    /// Of this protocol alone.
    protocol: Option<String>,
    /// So many of them, at random.
    share: f64,
    /// Each one of so many.
    every: u64,
    /// At most so often.
    count: u64,
    /// From this time after the start on.
    after: Duration,
    /// For so long.
    period: Duration,
}

/// The faults of a sink.
#[derive(Debug)]
pub(crate) struct Faults {
    faults: Vec<Counted>,
    start: Instant,
}

#[derive(Debug)]
struct Counted {
    fault: Fault,
    /// How many requests there were that it could have happened to.
    asked: AtomicU64,
    /// How often it has happened, by protocol.
    happened: Mutex<BTreeMap<&'static str, u64>>,
}

/// How often faults have happened, by protocol and by the name of the fault.
pub(crate) type FaultCounts = BTreeMap<(&'static str, &'static str), u64>;

/// What is done wrong with a request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Wrong {
    /// It isn't taken, and answered with this status.
    pub(crate) reject: Option<(StatusCode, Option<Duration>)>,
    /// It is taken, and answered with this status.
    pub(crate) error: Option<StatusCode>,
    /// Its connection is closed, before it is taken (`false`) or after that.
    pub(crate) close: Option<bool>,
    /// Its answer comes later.
    pub(crate) delay: Duration,
    /// Its records aren't acknowledged.
    pub(crate) is_withheld: bool,
    /// So many bytes of it are read in a second.
    pub(crate) bytes_per_second: Option<u32>,
}

impl Wrong {
    /// Whether its client may believe that it wasn't taken.
    pub(crate) fn is_denied(&self) -> bool {
        let is_late = !self.delay.is_zero();
        self.error.is_some() || self.close == Some(true) || self.is_withheld || is_late
    }
}

impl Faults {
    pub(crate) fn new(faults: &[Fault]) -> Self {
        let counted = faults.iter().cloned().map(Counted::new);
        Self { faults: counted.collect(), start: Instant::now() }
    }

    /// What is done wrong with the next request of this protocol.
    pub(crate) fn of_request(&self, protocol: &'static str) -> Wrong {
        let mut wrong = Wrong::default();
        for counted in &self.faults {
            if matches!(counted.fault.kind, Kind::RejectItems { .. })
                || !counted.happens(protocol, self.start.elapsed())
            {
                continue;
            }
            match counted.fault.kind {
                Kind::Reject { status, retry_after } => wrong.reject = Some((status, retry_after)),
                Kind::Error { status } => wrong.error = Some(status),
                Kind::Close { is_taken } => wrong.close = Some(is_taken),
                Kind::Delay { by } => wrong.delay = by,
                Kind::WithholdAcknowledgements => wrong.is_withheld = true,
                Kind::SlowRead { bytes_per_second } => {
                    wrong.bytes_per_second = Some(bytes_per_second);
                }
                Kind::RejectItems { .. } => {}
            }
        }
        wrong
    }

    /// What is done with the next item of a request of this protocol.
    pub(crate) fn of_item(&self, protocol: &'static str) -> Item {
        for counted in &self.faults {
            if let Kind::RejectItems { status } = counted.fault.kind
                && counted.happens(protocol, self.start.elapsed())
            {
                return Item::Rejected(status);
            }
        }
        Item::Taken
    }

    /// How often each fault has happened to each protocol.
    pub(crate) fn counts(&self) -> FaultCounts {
        let mut counts = FaultCounts::new();
        for counted in &self.faults {
            for (protocol, happened) in &*counted.happened() {
                *counts.entry((*protocol, counted.fault.kind.name())).or_default() += happened;
            }
        }
        counts
    }
}

impl Counted {
    fn new(fault: Fault) -> Self {
        Self { fault, asked: AtomicU64::new(0), happened: Mutex::default() }
    }

    fn happened(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // Nothing panics while it is locked.
        self.happened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it happens now.
    fn happens(&self, protocol: &'static str, elapsed: Duration) -> bool {
        let When { protocol: only, share, every, count, after, period } = &self.fault.when;
        let is_time = elapsed.checked_sub(*after).is_some_and(|since| since < *period);
        if !is_time || only.as_ref().is_some_and(|only| only != protocol) {
            return false;
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        if !number.is_multiple_of(*every) || (*share < 1.0 && !rand::rng().random_bool(*share)) {
            return false;
        }
        let mut happened = self.happened();
        if happened.values().sum::<u64>() >= *count {
            return false;
        }
        *happened.entry(protocol).or_default() += 1;
        true
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Reject { .. } => "reject",
            Self::Error { .. } => "error",
            Self::Close { .. } => "close",
            Self::Delay { .. } => "delay",
            Self::RejectItems { .. } => "reject-items",
            Self::WithholdAcknowledgements => "withhold-acknowledgements",
            Self::SlowRead { .. } => "slow-read",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(texts: &[&str]) -> Faults {
        let faults: Vec<Fault> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Faults::new(&faults)
    }

    #[test]
    fn it_happens_to_each_one_of_so_many_and_at_most_so_often() {
        let faults = faults(&["reject,every=3,count=2", "error,protocol=loki"]);
        let rejected: Vec<usize> =
            (1..=12).filter(|_| faults.of_request("http").reject.is_some()).collect();
        assert_eq!(rejected, [3, 6]);
        assert_eq!(faults.of_request("loki").error, Some(StatusCode::INTERNAL_SERVER_ERROR));
        assert_eq!(faults.of_request("http"), Wrong::default());
        let counts = [(("http", "reject"), 2), (("loki", "error"), 1)];
        assert_eq!(faults.counts(), BTreeMap::from(counts));
    }

    #[test]
    fn it_happens_to_a_share() {
        let faults = faults(&["reject-items,share=25%"]);
        let rejected = (0..10_000).filter(|_| faults.of_item("elasticsearch") != Item::Taken);
        let rejected = rejected.count();
        // Ten standard deviations.
        assert!(rejected.abs_diff(2_500) < 433, "{rejected}");
        assert_eq!(faults.of_request("elasticsearch"), Wrong::default());
    }

    #[test]
    fn it_happens_in_its_time() {
        let fault = Counted::new("close,after=10s,for=5s".parse().unwrap());
        let happens = [9, 10, 14, 15].map(|at| fault.happens("http", Duration::from_secs(at)));
        assert_eq!(happens, [false, true, true, false]);
    }
}
