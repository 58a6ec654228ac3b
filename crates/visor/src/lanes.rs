//! Lanes: each opening of an output numbers the lines with tokens that it writes. What is written of
//! each lane is what was emitted (`--report`, `/emitted`).

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use visor_engine::{
    random::{Random, Seed},
    time::Time,
};
use visor_proof::{
    Emitted, Lane,
    emitted::{EmittedLane, Omitted, VERSION},
    token::{self, Writer},
};

/// The maximum number of lanes with an entry of their own. Of further ones that have ended, only the
/// sums are kept.
const MAX_LANES: usize = 10_000;

/// All lanes of the process.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<Known>);

#[derive(Default)]
struct Known {
    identity: String,
    lanes: Vec<Arc<LaneMeter>>,
    omitted: Omitted,
}

/// The counts of a lane.
pub(crate) struct LaneMeter {
    lane: Lane,
    output: String,
    begun: Timestamp,
    sources: Mutex<BTreeSet<String>>,
    handed_over: AtomicU32,
    written: AtomicU32,
    /// No line follows.
    ended: AtomicBool,
    /// The output has been closed: nothing is on its way any more.
    closed: AtomicBool,
    unread: AtomicU64,
}

/// Numbers the lines with tokens of an opening of an output, in the order in which they are written.
pub(crate) struct Numbering {
    lanes: Arc<Lanes>,
    output: String,
    identities: Identities,
    current: Option<(Writer, Arc<LaneMeter>)>,
    /// The generator of the last line, as `SOURCE/GENERATOR`.
    source: String,
}

/// Where the identities of lanes come from.
enum Identities {
    /// The operating system: a process that starts again with the same seed has other lanes.
    Live,
    /// A seed: a simulated run has the same lanes each time.
    Simulated(Random),
}

impl Lanes {
    /// Sets the name of what runs the generator, such as the pod's.
    pub(crate) fn set_identity(&self, identity: Option<String>) {
        lock(&self.0).identity = identity.unwrap_or_default();
    }

    /// What has been written so far.
    pub(crate) fn emitted(&self, ended: bool, lines: u64, bytes: u64) -> Emitted {
        let known = lock(&self.0);
        Emitted {
            version: VERSION,
            identity: known.identity.clone(),
            ended,
            lines,
            bytes,
            lanes: known.lanes.iter().map(|lane| lane.emitted()).collect(),
            omitted: known.omitted,
        }
    }

    /// Notes that an output has been closed, and how many bytes its reader has left.
    pub(crate) fn close(&self, output: &str, unread: u64) {
        for lane in lock(&self.0).lanes.iter().filter(|lane| lane.output == output) {
            if lane.is_complete() && !lane.closed.swap(true, Ordering::Relaxed) {
                lane.unread.store(unread, Ordering::Relaxed);
            }
        }
    }

    fn add(&self, lane: &Arc<LaneMeter>) {
        let mut known = lock(&self.0);
        if known.lanes.len() >= MAX_LANES
            && let Some(at) =
                known.lanes.iter().position(|lane| lane.closed.load(Ordering::Relaxed))
        {
            let over = known.lanes.remove(at);
            known.omitted.lanes += 1;
            known.omitted.lines += u64::from(over.written.load(Ordering::Relaxed));
        }
        known.lanes.push(Arc::clone(lane));
    }
}

impl LaneMeter {
    /// Counts lines that are written.
    pub(crate) fn add_written(&self, lines: usize) {
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        self.written.fetch_add(lines, Ordering::Relaxed);
    }

    /// Whether all its lines are written, and no other follows.
    fn is_complete(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
            && self.written.load(Ordering::Relaxed) == self.handed_over.load(Ordering::Relaxed)
    }

    fn emitted(&self) -> EmittedLane {
        // In this order: what is written has been handed over.
        let lines = self.written.load(Ordering::Acquire);
        EmittedLane {
            lane: self.lane,
            output: self.output.clone(),
            sources: lock(&self.sources).iter().cloned().collect(),
            begun: self.begun.to_string(),
            lines,
            handed_over: self.handed_over.load(Ordering::Acquire),
            ended: self.closed.load(Ordering::Relaxed),
            unread: self.unread.load(Ordering::Relaxed),
        }
    }
}

impl Numbering {
    /// The numbering of an output in a live run.
    pub(crate) fn live(lanes: &Arc<Lanes>, output: &str) -> Self {
        Self::new(lanes, output, Identities::Live)
    }

    /// The numbering of an output in a simulated run.
    pub(crate) fn simulated(lanes: &Arc<Lanes>, output: &str, seed: Seed) -> Self {
        Self::new(lanes, output, Identities::Simulated(seed.random()))
    }

    fn new(lanes: &Arc<Lanes>, output: &str, identities: Identities) -> Self {
        let (lanes, output) = (Arc::clone(lanes), output.to_owned());
        Self { lanes, output, identities, current: None, source: String::new() }
    }

    /// The lines that follow are of this generator.
    pub(crate) fn set_generator(&mut self, source: &str, generator: &str) {
        let rest = self.source.strip_prefix(source).and_then(|rest| rest.strip_prefix('/'));
        if rest != Some(generator) {
            self.source = format!("{source}/{generator}");
            if let Some((_, lane)) = &self.current {
                lock(&lane.sources).insert(self.source.clone());
            }
        }
    }

    /// Puts the token of a record in its places, of which there are at most so many; `time` is when the
    /// output takes it. Returns its lane; `None` if it has no token.
    #[inline]
    pub(crate) fn complete(
        &mut self,
        record: &mut [u8],
        time: Time,
        places: usize,
    ) -> Option<&Arc<LaneMeter>> {
        let is_full =
            |lane: &LaneMeter| lane.handed_over.load(Ordering::Relaxed) >= Lane::MAX_LINES;
        if self.current.as_ref().is_none_or(|(_, lane)| is_full(lane)) {
            if !token::has_placeholder(record) {
                return None;
            }
            self.end();
            self.begin();
        }
        let (writer, lane) = self.current.as_mut()?;
        let number = lane.handed_over.load(Ordering::Relaxed);
        let milliseconds = u64::try_from(time.as_nanos() / 1_000_000).unwrap_or_default();
        if !writer.complete(record, milliseconds, number, places) {
            return None;
        }
        lane.handed_over.store(number + 1, Ordering::Release);
        Some(lane)
    }

    /// No line follows in the current lane.
    pub(crate) fn end(&mut self) {
        if let Some((_, lane)) = self.current.take() {
            lane.ended.store(true, Ordering::Relaxed);
        }
    }

    fn begin(&mut self) {
        let lane = match &mut self.identities {
            Identities::Live => Lane::live(rand::random()),
            Identities::Simulated(random) => Lane::simulated(random.bits()),
        };
        let lane = Arc::new(LaneMeter {
            lane,
            output: self.output.clone(),
            begun: Timestamp::now(),
            sources: Mutex::new(BTreeSet::from([self.source.clone()])),
            handed_over: AtomicU32::new(0),
            written: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            unread: AtomicU64::new(0),
        });
        self.lanes.add(&lane);
        self.current = Some((Writer::new(lane.lane), lane));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
