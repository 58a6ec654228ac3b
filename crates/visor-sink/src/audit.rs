//! What arrived and what was emitted, together: the verdict at any time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use visor_proof::{
    Delivery, Emitted, Expected, Verdict,
    decode::Decoder,
    delivery::{Circumstances, InputState},
    verdict::Counts,
};

use crate::{
    fault::Wrong,
    history::{History, Point},
};
use visor_protocols::records::{Item, Records};

/// The maximum number of lanes of a place that generators before have left there.
const MAX_EARLIER_LANES: usize = 100_000;

/// What arrived and what was emitted.
pub(crate) struct Audit {
    grace: Duration,
    state: Mutex<State>,
}

struct State {
    delivery: Delivery,
    expected: Expected,
    /// What was emitted, by the place that says so.
    emitted: Vec<Option<Emitted>>,
    /// The inputs of connections that are open.
    inputs: HashMap<u64, Reading>,
    next_input: u64,
    next_request: u64,
    /// When a record arrived last, in milliseconds since the epoch.
    last_arrival: u64,
    start: u64,
    history: History,
}

/// How far an input is read.
struct Reading {
    input: InputState,
    decoder: Decoder,
}

/// An input of an audit. When it is dropped, the input has ended.
pub(crate) struct InputHandle {
    audit: Arc<Audit>,
    number: u64,
}

impl Audit {
    /// An audit with this grace time, of what so many places say about what was emitted.
    pub(crate) fn new(mut delivery: Delivery, grace: Duration, places: usize) -> Arc<Self> {
        delivery.arrive(Circumstances::default());
        let now = now();
        let grace_milliseconds = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let state = State {
            delivery,
            expected: Expected::new(now, grace_milliseconds),
            emitted: vec![None; places],
            inputs: HashMap::new(),
            next_input: 0,
            next_request: 0,
            last_arrival: now,
            start: now,
            history: History::default(),
        };
        Arc::new(Self { grace, state: Mutex::new(state) })
    }

    /// Begins an input.
    pub(crate) fn input(self: &Arc<Self>, name: &str) -> InputHandle {
        let mut state = self.lock();
        let number = state.next_input;
        state.next_input += 1;
        let reading = Reading { input: InputState::new(name), decoder: Decoder::default() };
        state.inputs.insert(number, reading);
        InputHandle { audit: Arc::clone(self), number }
    }

    /// What a place says that was emitted. What earlier generators have said there stays.
    pub(crate) fn emitted(&self, place: usize, mut report: Emitted) {
        let mut state = self.lock();
        let Some(known) = state.emitted.get_mut(place) else { return };
        if let Some(known) = known {
            let lanes: std::collections::HashSet<_> =
                report.lanes.iter().map(|lane| lane.lane).collect();
            let earlier = known.lanes.drain(..).filter(|lane| !lanes.contains(&lane.lane));
            report.lanes.extend(earlier.take(MAX_EARLIER_LANES));
        }
        *known = Some(report);
    }

    /// Notes how far everything is, and returns the verdict.
    pub(crate) fn tick(&self) -> Verdict {
        let now = now();
        let mut state = self.lock();
        let State { delivery, expected, emitted, .. } = &mut *state;
        let lanes: Vec<_> = emitted.iter().flatten().flat_map(|report| &report.lanes).collect();
        expected.note(now, delivery, &lanes);
        drop(state);
        let verdict = self.verdict();
        let mut state = self.lock();
        let seconds = now.saturating_sub(state.start) / 1000;
        let Counts { emitted, delivered, .. } = verdict.total;
        state.history.add(Point { seconds, emitted, delivered });
        verdict
    }

    /// The lines over time.
    pub(crate) fn history(&self) -> Vec<Point> {
        self.lock().history.points().to_vec()
    }

    /// Whether all generators have ended, and nothing has arrived or been emitted for the grace time.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.lock();
        let grace = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        state.last_arrival.saturating_add(grace) <= now()
            && state.emitted.iter().all(|report| report.as_ref().is_some_and(|report| report.ended))
    }

    /// The verdict.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut state = self.lock();
        let State { delivery, expected, emitted, .. } = &mut *state;
        let emitted: Vec<Emitted> = emitted.iter().flatten().cloned().collect();
        Verdict::of(delivery, &emitted, Some(expected))
    }

    /// Ends all inputs. Of a complete delivery, everything should have arrived.
    pub(crate) fn finish(&self, is_complete: bool) {
        let numbers: Vec<u64> = self.lock().inputs.keys().copied().collect();
        for number in numbers {
            self.finish_input(number);
        }
        if is_complete {
            self.lock().expected.settle();
        }
    }

    fn finish_input(&self, number: u64) {
        let mut state = self.lock();
        let Some(Reading { input, decoder }) = state.inputs.remove(&number) else { return };
        let mut input = state.delivery.resume(input);
        decoder.finish(&mut input);
        input.finish();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the state is partly changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InputHandle {
    /// Lets `read` add the records of a request with which this is done wrong, and returns what it returns, with the number of
    /// records that were taken.
    pub(crate) fn read<T>(
        &self,
        wrong: &Wrong,
        judge: &mut dyn FnMut() -> Item,
        read: impl FnOnce(&mut Records<'_>) -> T,
    ) -> Option<(T, u64)> {
        let mut state = self.audit.lock();
        let state = &mut *state;
        let Reading { input, mut decoder } = state.inputs.remove(&self.number)?;
        let now = now();
        let grace = u64::try_from(self.audit.grace.as_millis()).unwrap_or(u64::MAX);
        let are_denied = wrong.is_denied();
        state.delivery.arrive(Circumstances { now: Some(now), grace, are_denied });
        let input = state.delivery.resume(input);
        let request = state.next_request;
        state.next_request += 1;
        let mut records = Records::new(input, &mut decoder, request, !wrong.is_withheld, judge);
        let answer = read(&mut records);
        let (taken, input) = records.finish();
        state.inputs.insert(self.number, Reading { input: input.pause(), decoder });
        if taken > 0 {
            state.last_arrival = now;
        }
        Some((answer, taken))
    }
}

impl Drop for InputHandle {
    fn drop(&mut self) {
        self.audit.finish_input(self.number);
    }
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
