//! What arrived and what was emitted, together: the verdict at any time.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use tokio::sync::Notify;
use tracing::info;
use visor_proof::{
    Delivery, Emitted, Expected, Verdict,
    decode::Decoder,
    delivery::{Circumstances, InputState, Unfinished},
    emitted::EmittedLane,
    verdict::Counts,
};

use crate::{
    fault::Wrong,
    history::{History, Point},
    state::{Entry, StateFile, VERSION},
};
use visor_protocols::records::{Item, Records};

/// The maximum number of lanes of a place that generators before have left there.
const MAX_EARLIER_LANES: usize = 100_000;

/// What arrived and what was emitted.
pub(crate) struct Audit {
    grace: Duration,
    state: Mutex<State>,
    /// Told when the state can't be written.
    failed: Notify,
}

struct State {
    delivery: Delivery,
    expected: Expected,
    /// The places that say what was emitted.
    emitted: Vec<Place>,
    /// The inputs of connections that are open.
    inputs: HashMap<u64, Reading>,
    next_input: u64,
    next_request: u64,
    /// When a record arrived last, in milliseconds since the epoch.
    last_arrival: u64,
    start: u64,
    history: History,
    /// Since when the delivery is watched, by this program or by others before it.
    since: u64,
    file: Option<StateFile>,
    /// Why the file can't be written. Nothing is taken from then on.
    failure: Option<io::Error>,
}

/// A place that says what was emitted.
struct Place {
    name: String,
    said: Option<Emitted>,
    /// When it said so, in milliseconds since the epoch.
    at: u64,
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
    /// An audit with this grace time, of what these places say about what was emitted. What is in the
    /// file, if there is one, goes on.
    pub(crate) fn new(
        mut delivery: Delivery,
        grace: Duration,
        places: impl Iterator<Item = String>,
        file: Option<StateFile>,
    ) -> anyhow::Result<Arc<Self>> {
        let start = now();
        let mut since = start;
        let mut emitted: Vec<Place> =
            places.map(|name| Place { name, said: None, at: start }).collect();
        if let Some(file) = &file {
            let mut restore = delivery.restore();
            file.read(|entry| match entry {
                Entry::Begin { version: _, since: begun } => since = begun,
                Entry::Change(change) => restore.add(change),
                Entry::Emitted { place, report } => {
                    // Who isn't asked anymore doesn't count.
                    let mut places = emitted.iter_mut();
                    if let Some(place) = places.find(|known| known.name == place) {
                        update(&mut place.said, report);
                    }
                }
            })?;
            restore.finish();
            delivery.note_changes();
            if since < start {
                info!(records = delivery.records(), "goes on with the state");
            }
        }
        let grace_milliseconds = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let mut state = State {
            delivery,
            expected: Expected::new(since, grace_milliseconds),
            emitted,
            inputs: HashMap::new(),
            next_input: 0,
            next_request: 0,
            last_arrival: start,
            start,
            history: History::default(),
            since,
            file,
            failure: None,
        };
        state.write_snapshot().context("cannot write the state")?;
        Ok(Arc::new(Self { grace, state: Mutex::new(state), failed: Notify::new() }))
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
    pub(crate) fn emitted(&self, place: usize, report: Emitted) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(Place { name, said: known, at }) = state.emitted.get_mut(place) else { return };
        *at = now();
        let changed = state.file.as_ref().and_then(|_| changed(known.as_ref(), &report));
        let entry = changed.map(|report| Entry::Emitted { place: name.clone(), report });
        update(known, report);
        self.write(state, entry.as_slice());
    }

    /// Notes how far everything is, and returns the verdict.
    pub(crate) fn tick(&self) -> Verdict {
        let now = now();
        let mut state = self.lock();
        let State { delivery, expected, emitted, .. } = &mut *state;
        let reports = emitted.iter().filter_map(|place| place.said.as_ref());
        let lanes: Vec<_> = reports.flat_map(|report| &report.lanes).collect();
        expected.note(now, delivery, &lanes);
        let verdict = state.verdict();
        let seconds = now.saturating_sub(state.start) / 1000;
        let Counts { emitted, delivered, .. } = verdict.total;
        state.history.add(Point { seconds, emitted, delivered });
        verdict
    }

    /// Writes what is decided, a snapshot if the log is long, and returns the file, if the machine may
    /// still lose what is written.
    pub(crate) fn keep(&self) -> Option<File> {
        let mut state = self.lock();
        let state = &mut *state;
        let entries = state.changes(None);
        self.write(state, &entries);
        if state.file.as_ref().is_some_and(StateFile::is_long)
            && state.failure.is_none()
            && let Err(error) = state.write_snapshot()
        {
            self.fail(state, error);
        }
        match state.file.as_mut()?.take_unsynced() {
            Ok(file) => file,
            Err(error) => {
                self.fail(state, error);
                None
            }
        }
    }

    /// Waits until the state can't be written, and returns why.
    pub(crate) async fn failure(&self) -> io::Error {
        loop {
            let failed = self.failed.notified();
            if let Some(error) = self.lock().failure.take() {
                return error;
            }
            failed.await;
        }
    }

    /// Writes entries to the file, if there is one. Returns whether what was taken is kept.
    fn write(&self, state: &mut State, entries: &[Entry]) -> bool {
        let Some(file) = &mut state.file else { return true };
        if entries.is_empty() {
            return true;
        }
        let written = file.append(entries);
        written.map_err(|error| self.fail(state, error)).is_ok()
    }

    fn fail(&self, state: &mut State, error: io::Error) {
        state.failure = Some(error);
        state.inputs.clear();
        self.failed.notify_one();
    }

    /// The lines over time.
    pub(crate) fn history(&self) -> Vec<Point> {
        self.lock().history.points().to_vec()
    }

    /// Whether all generators have ended, and nothing has arrived or been emitted for the grace time.
    /// One that hasn't answered for as long has ended, too.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.lock();
        let grace = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let is_long_ago = |at: u64| at.saturating_add(grace) <= now();
        is_long_ago(state.last_arrival)
            && state.emitted.iter().all(|place| {
                place.said.as_ref().is_some_and(|said| said.ended || is_long_ago(place.at))
            })
    }

    /// The verdict.
    pub(crate) fn verdict(&self) -> Verdict {
        self.lock().verdict()
    }

    /// Ends all inputs. Of a complete delivery, everything should have arrived.
    pub(crate) fn finish(&self, is_complete: bool) -> io::Result<()> {
        let numbers: Vec<u64> = self.lock().inputs.keys().copied().collect();
        for number in numbers {
            self.finish_input(number);
        }
        let mut state = self.lock();
        if is_complete {
            state.expected.settle();
        }
        state.write_snapshot()
    }

    fn finish_input(&self, number: u64) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(Reading { input, decoder }) = state.inputs.remove(&number) else { return };
        let mut input = state.delivery.resume(input);
        decoder.finish(&mut input);
        input.finish();
        let entries = state.changes(Some(number));
        self.write(state, &entries);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the state is partly changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn verdict(&mut self) -> Verdict {
        let emitted: Vec<Emitted> =
            self.emitted.iter().filter_map(|place| place.said.clone()).collect();
        Verdict::of(&mut self.delivery, &emitted, Some(&self.expected))
    }

    /// What has changed of the delivery, with how an input ends that was read.
    fn changes(&mut self, input: Option<u64>) -> Vec<Entry> {
        if self.file.is_none() {
            return Vec::new();
        }
        let unfinished = input.map(|number| (number, self.unfinished(number)));
        self.delivery.take_changes(unfinished).into_iter().map(Entry::Change).collect()
    }

    fn unfinished(&self, input: u64) -> Vec<Unfinished> {
        let reading = self.inputs.get(&input);
        reading.map_or_else(Vec::new, |Reading { input, decoder }| {
            self.delivery.unfinished(input, decoder.unfinished())
        })
    }

    /// Writes all that is known in place of the log.
    fn write_snapshot(&mut self) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let begin = Entry::Begin { version: VERSION, since: self.since };
        let unfinished = self.inputs.keys().map(|number| (*number, self.unfinished(*number)));
        let changes = self.delivery.snapshot(unfinished).map(Entry::Change);
        let emitted = self.emitted.iter().filter_map(|Place { name, said, .. }| {
            Some(Entry::Emitted { place: name.clone(), report: said.clone()? })
        });
        let written = file.replace(std::iter::once(begin).chain(changes).chain(emitted));
        self.file = Some(file);
        written
    }
}

impl InputHandle {
    /// Lets `read` add the records of a request with which this is done wrong, and returns what it
    /// returns, with the number of records that were taken. If the sink has ended, or can't keep what
    /// was taken, nothing.
    pub(crate) fn read<T>(
        &self,
        wrong: &Wrong,
        judge: &mut dyn FnMut() -> Item,
        read: impl FnOnce(&mut Records<'_>) -> T,
    ) -> Option<(T, u64)> {
        let mut state = self.audit.lock();
        let state = &mut *state;
        // Without an input, the delivery has ended.
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
        let entries = state.changes(Some(self.number));
        self.audit.write(state, &entries).then_some((answer, taken))
    }
}

/// What a place says that it didn't say before: the lanes that have changed; `None` if nothing has.
fn changed(known: Option<&Emitted>, report: &Emitted) -> Option<Emitted> {
    let Some(known) = known else { return Some(report.clone()) };
    let lanes: HashMap<_, _> = known.lanes.iter().map(|lane| (lane.lane, lane)).collect();
    let is_new = |lane: &&EmittedLane| lanes.get(&lane.lane) != Some(lane);
    let changed =
        Emitted { lanes: report.lanes.iter().filter(is_new).cloned().collect(), ..report.clone() };
    let is_same = Emitted { lanes: Vec::new(), ..known.clone() } == changed;
    (!is_same).then_some(changed)
}

/// Takes what a place says. What earlier generators have said there stays.
fn update(known: &mut Option<Emitted>, mut report: Emitted) {
    if let Some(known) = known {
        let lanes: HashSet<_> = report.lanes.iter().map(|lane| lane.lane).collect();
        let earlier = known.lanes.drain(..).filter(|lane| !lanes.contains(&lane.lane));
        report.lanes.extend(earlier.take(MAX_EARLIER_LANES));
    }
    *known = Some(report);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_says_nothing_new_is_no_change() {
        let report: Emitted = serde_json::from_str(
            r#"{"version":1,"identity":"shop-0","ended":false,"lines":8,"bytes":8,"lanes":[
                {"lane":"AAAAAAA","output":"a.log","sources":[],"begun":"","lines":3,"handedOver":3,
                 "ended":false},
                {"lane":"AAAAAAB","output":"b.log","sources":[],"begun":"","lines":5,"handedOver":5,
                 "ended":false}]}"#,
        )
        .unwrap();
        assert_eq!(changed(None, &report).as_ref(), Some(&report));
        assert_eq!(changed(Some(&report), &report), None);
        let mut later = report.clone();
        later.lanes[1].lines = 4;
        let new = changed(Some(&later), &report).unwrap();
        assert_eq!(new.lanes, report.lanes[1..]);
    }
}
