//! Deliveries with known accidents: the verdict must say exactly how many of each there were.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use visor_proof::{
    Delivery, Emitted, Lane, Verdict,
    decode::Decoder,
    delivery::{Change, Circumstances, FaultKind, InputState},
    emitted::{EmittedLane, Omitted, VERSION},
    token::{self, PLACEHOLDER},
    verdict::{Counts, Outcome},
};

/// 2026-01-02T03:04:05.678Z.
const TIME: u64 = 1_767_323_045_678;

/// Lines as httpd, nginx and others write them; `@` is the token.
const LINES: &[&str] = &[
    r#"192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET /a?id=@ HTTP/1.1" 200 5"#,
    r#"192.0.2.1 - bob [02/Jan/2026:03:04:05 +0000] "GET /b HTTP/1.1" 404 196 "https://shop.example/?id=@" "curl/8""#,
    r"[Fri Jan 02 03:04:05.678901 2026] [core:error] [pid 17:tid 18] [client 192.0.2.1:4711] AH00126: Invalid URI [unique_id @], referer: -",
    r#"{"@timestamp":"2026-01-02T03:04:05Z","http":{"request":{"id":"@"}},"message":"a \"b\""}"#,
    "@",
    "@ and once more @ and text that makes this line longer than the others are, so that cuts are far",
];

/// What may happen to a line.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Accident {
    None,
    Lost,
    Doubled,
    Swapped,
    Cut,
    Joined,
    Split,
    Altered,
    Carriage,
    Head,
}

const ACCIDENTS: [Accident; 10] = [
    Accident::None,
    Accident::Lost,
    Accident::Doubled,
    Accident::Swapped,
    Accident::Cut,
    Accident::Joined,
    Accident::Split,
    Accident::Altered,
    Accident::Carriage,
    Accident::Head,
];

fn line(random: &mut SmallRng, lane: Lane, number: u32) -> Vec<u8> {
    let text = LINES[random.random_range(0..LINES.len())];
    let mut record = text.replace('@', &String::from_utf8_lossy(PLACEHOLDER)).into_bytes();
    assert!(token::Writer::new(lane).complete(&mut record, TIME, number, 16));
    record
}

/// A cut that leaves the token, and less than the line.
fn cut(random: &mut SmallRng, line: &[u8]) -> Option<usize> {
    let end = token::Token::find(line, 0)?.at + token::LENGTH;
    (end < line.len()).then(|| random.random_range(end..line.len()))
}

/// Whether a changed line would have been given the same token: one of 65,536 would.
fn is_right_by_chance(changed: &[u8], lane: Lane, number: u32) -> bool {
    let mut again = changed.to_vec();
    for place in places(changed) {
        again[place..place + token::LENGTH].copy_from_slice(PLACEHOLDER);
    }
    token::Writer::new(lane).complete(&mut again, TIME, number, 16);
    again == changed
}

/// Where the tokens of a line are.
fn places(line: &[u8]) -> Vec<usize> {
    let next = |last: &usize| token::Token::find(line, last + token::LENGTH).map(|next| next.at);
    let first = token::Token::find(line, 0).map(|first| first.at);
    std::iter::successors(first, next).collect()
}

/// The records that arrive of the lines of a lane, and what the verdict must be.
fn history(random: &mut SmallRng, lane: Lane, lines: u32) -> (Vec<Vec<u8>>, Counts) {
    let mut records = Vec::new();
    let mut counts = Counts { emitted: lines.into(), ..Counts::default() };
    let mut number = 0;
    while number < lines {
        let own = line(random, lane, number);
        let accident = ACCIDENTS[random.random_range(0..ACCIDENTS.len())];
        let has_next = number + 1 < lines;
        match accident {
            Accident::Lost => counts.missing += 1,
            Accident::Doubled => {
                counts.duplicated += 1;
                records.extend([own.clone(), own]);
            }
            Accident::Swapped if has_next => {
                counts.out_of_order += 1;
                records.extend([line(random, lane, number + 1), own]);
                number += 1;
            }
            Accident::Joined if has_next => {
                counts.merged += 1;
                let next = line(random, lane, number + 1);
                records.push([own, next].concat());
                number += 1;
            }
            Accident::Cut => match cut(random, &own) {
                Some(at) => {
                    // Trailing white space alone would do no harm.
                    let at = own[..at].trim_ascii_end().len();
                    counts.truncated += 1;
                    records.push(own[..at].to_vec());
                }
                None => records.push(own),
            },
            Accident::Split => {
                match cut(random, &own).filter(|at| own[at - 1] != b' ' && own[*at] != b' ') {
                    Some(at) => {
                        counts.split += 1;
                        records.extend([own[..at].to_vec(), own[at..].to_vec()]);
                    }
                    None => records.push(own),
                }
            }
            Accident::Altered => match cut(random, &own) {
                Some(at)
                    if !own[at].is_ascii_whitespace()
                        && at + 1 < own.len()
                        // With two tokens there are two chances, and one of them may change.
                        && places(&own).len() == 1 =>
                {
                    let mut altered = own.clone();
                    altered[at] = if own[at] == b'x' { b'y' } else { b'x' };
                    if is_right_by_chance(&altered, lane, number) {
                        altered = own;
                    } else {
                        counts.altered += 1;
                    }
                    records.push(altered);
                }
                _ => records.push(own),
            },
            Accident::Carriage => records.push([&own[..], b" \r\n"].concat()),
            Accident::Head => records.push([b"<13>Jan  2 03:04:05 a b: ", &own[..]].concat()),
            Accident::None | Accident::Swapped | Accident::Joined => records.push(own),
        }
        // Between two accidents is a line to which nothing happens: otherwise what is cut and what
        // follows it may be one line by chance.
        number += 1;
        if number < lines {
            records.push(line(random, lane, number));
            number += 1;
        }
    }
    counts.delivered = counts.emitted - counts.missing;
    (records, counts)
}

fn emitted(lanes: &[(Lane, u32)]) -> Emitted {
    let lane = |(lane, lines): &(Lane, u32)| EmittedLane {
        lane: *lane,
        output: "access.log".to_owned(),
        sources: vec!["shop/web".to_owned()],
        begun: "2026-01-02T03:04:05Z".to_owned(),
        lines: *lines,
        handed_over: *lines,
        ended: true,
        unread: 0,
    };
    Emitted {
        version: VERSION,
        identity: "shop-0".to_owned(),
        ended: true,
        lines: lanes.iter().map(|(_, lines)| u64::from(*lines)).sum(),
        bytes: 0,
        lanes: lanes.iter().map(lane).collect(),
        omitted: Omitted::default(),
    }
}

/// How many histories there are; more with
/// `HISTORIES=1000000 cargo test --release --package visor-proof --test mutations`.
fn histories() -> u64 {
    std::env::var("HISTORIES").ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(4_000)
}

#[test]
fn the_verdict_knows_how_many_accidents_there_were() {
    for seed in 0..histories() {
        let mut random = SmallRng::seed_from_u64(seed);
        let lane = Lane::live(random.random());
        let lines = random.random_range(1..40);
        let (records, expected) = history(&mut random, lane, lines);
        let mut delivery = Delivery::default();
        let mut input = delivery.input("access.log");
        for record in &records {
            input.record(record);
        }
        input.finish();
        let verdict = Verdict::of(&mut delivery, &[emitted(&[(lane, lines)])], None);
        assert_eq!(verdict.total, expected, "seed {seed}");
        let is_whole = expected.missing
            + expected.duplicated
            + expected.truncated
            + expected.split
            + expected.merged
            + expected.altered
            == 0;
        let outcome = if is_whole { Outcome::Delivered } else { Outcome::Faulty };
        assert_eq!(verdict.outcome(&[]), outcome, "seed {seed}");
    }
}

/// A delivery whose inputs are read in turns, as those of connections are.
#[derive(Default)]
struct Watched {
    delivery: Delivery,
    inputs: Vec<(InputState, Decoder)>,
}

impl Watched {
    fn begin_inputs(&mut self) {
        let input = |name| (InputState::new(name), Decoder::default());
        self.inputs = vec![input("one"), input("other")];
    }

    fn end_inputs(&mut self) {
        self.delivery.arrive(Circumstances::default());
        for (input, decoder) in self.inputs.drain(..) {
            let mut input = self.delivery.resume(input);
            decoder.finish(&mut input);
            input.finish();
        }
    }

    fn read(&mut self, index: usize, record: &[u8], circumstances: Circumstances) {
        self.delivery.arrive(circumstances);
        let (input, mut decoder) = self.inputs.remove(index);
        let mut input = self.delivery.resume(input);
        decoder.line(record, &mut input);
        self.inputs.insert(index, (input.pause(), decoder));
    }

    fn changes(&mut self, index: usize) -> Vec<Change> {
        let (input, decoder) = &self.inputs[index];
        let unfinished = self.delivery.unfinished(input, decoder.unfinished());
        self.delivery.take_changes(Some((index as u64, unfinished)))
    }

    /// The verdict, without the order: nobody knows that of what was unfinished.
    fn verdict(&mut self, lane: Lane, lines: u32) -> Verdict {
        let mut verdict = Verdict::of(&mut self.delivery, &[emitted(&[(lane, lines)])], None);
        verdict.total.out_of_order = 0;
        verdict.outputs.iter_mut().for_each(|output| output.counts.out_of_order = 0);
        verdict.sources.iter_mut().for_each(|source| source.counts.out_of_order = 0);
        verdict.examples.retain(|example| example.fault != "outOfOrder");
        verdict
    }
}

/// A delivery that is read from what was written down of another one.
fn restored(changes: impl Iterator<Item = Change>) -> Delivery {
    let mut delivery = Delivery::default();
    let mut restore = delivery.restore();
    for change in changes {
        let text = serde_json::to_string(&change).unwrap_or_default();
        let read: Result<Change, _> = serde_json::from_str(&text);
        assert_eq!(read.as_ref().ok(), Some(&change), "{text}");
        restore.add(change);
    }
    restore.finish();
    delivery
}

/// Whenever it is killed and begins again, what is written down is what it would know if it had gone
/// on, and its inputs had ended.
#[test]
fn what_is_written_down_is_known_again() {
    for seed in 0..histories() / 10 {
        let mut random = SmallRng::seed_from_u64(seed);
        let lane = Lane::live(random.random());
        let lines = random.random_range(1..40);
        let (mut records, _) = history(&mut random, lane, lines);
        // What is sent again, maybe with other fields.
        let copies = random.random_range(0..8).min(records.len());
        records.extend_from_within(..copies);
        for record in &mut records {
            let text = String::from_utf8_lossy(record).into_owned();
            match random.random_range(0..8) {
                0 => *record = serde_json::json!({ "log": text, "n": 1 }).to_string().into_bytes(),
                1 => {
                    *record =
                        serde_json::json!({ "m": text, "id": &text }).to_string().into_bytes();
                }
                2 => *record = format!("2026-01-02T03:04:05.6Z stdout F {text}").into_bytes(),
                _ => {}
            }
        }
        let (mut killed, mut lasting) = (Watched::default(), Watched::default());
        let mut log: Vec<Change> = Vec::new();
        killed.delivery.note_changes();
        killed.begin_inputs();
        lasting.begin_inputs();
        for record in records {
            let circumstances = Circumstances {
                now: random.random_bool(0.9).then(|| TIME + random.random_range(0..60_000)),
                grace: 30_000,
                are_denied: random.random_bool(0.2),
            };
            let index = random.random_range(0..2);
            killed.read(index, &record, circumstances);
            lasting.read(index, &record, circumstances);
            log.extend(killed.changes(index));
            if random.random_bool(0.1) {
                assert_eq!(killed.verdict(lane, lines), lasting.verdict(lane, lines));
                log.extend(killed.changes(index));
            }
            if random.random_bool(0.05) {
                let unfinished = killed.inputs.iter().map(|(input, decoder)| {
                    killed.delivery.unfinished(input, decoder.unfinished())
                });
                log = killed.delivery.snapshot((0..).zip(unfinished)).collect();
            }
            if random.random_bool(0.1) {
                killed.delivery = restored(log.drain(..));
                log = killed.delivery.snapshot(std::iter::empty()).collect();
                killed.delivery.note_changes();
                killed.begin_inputs();
                lasting.end_inputs();
                lasting.begin_inputs();
            }
        }
        let mut again = Watched { delivery: restored(log.into_iter()), inputs: Vec::new() };
        lasting.end_inputs();
        assert_eq!(again.verdict(lane, lines), lasting.verdict(lane, lines), "seed {seed}");
    }
}

/// Lanes whose lines arrive in several inputs, of which a collector has read some twice and some not
/// at all; some go on, and some have lines that nobody knows about.
#[test]
fn the_verdict_is_that_of_plain_sets() {
    for seed in 0..histories() {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut report = emitted(&[]);
        let mut arrivals: Vec<Vec<(usize, u32)>> = vec![Vec::new(); random.random_range(1..4)];
        for index in 0..random.random_range(1..4_usize) {
            let lines = random.random_range(0..60);
            let mut lane = emitted(&[(Lane::live(random.random()), lines)]).lanes.remove(0);
            lane.handed_over += random.random_range(0..2) * random.random_range(0..9);
            lane.ended = random.random_bool(0.7);
            lane.unread = random.random_range(0..2);
            for input in &mut arrivals {
                // From where a collector has gone on, to where it has ended.
                let (one, other) =
                    (random.random_range(0..=lines), random.random_range(0..=lane.handed_over));
                let share = random.random_range(0.5..1.0);
                for number in one.min(other)..other {
                    if random.random_bool(share) {
                        input.push((index, number));
                    }
                }
                let swaps = random.random_range(0..4);
                for _ in 0..swaps.min(input.len()) {
                    let at = random.random_range(0..input.len());
                    let to = random.random_range(0..input.len());
                    input.swap(at, to);
                }
            }
            report.lanes.push(lane);
        }
        let mut delivery = Delivery::default();
        let mut expected = Counts::default();
        let mut seen: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); report.lanes.len()];
        for (index, records) in arrivals.iter().enumerate() {
            let mut input = delivery.input(&index.to_string());
            let mut greatest = vec![0; report.lanes.len()];
            for (lane, number) in records {
                input.record(&line(&mut random, report.lanes[*lane].lane, *number));
                if !seen[*lane].insert(*number) {
                    expected.duplicated += 1;
                } else if *number < greatest[*lane] {
                    expected.out_of_order += 1;
                }
                greatest[*lane] = greatest[*lane].max(*number);
            }
            input.finish();
        }
        for (lane, seen) in report.lanes.iter().zip(&seen) {
            let next = seen.last().map_or(0, |last| last + 1);
            let has_known_end = lane.ended && lane.unread == 0;
            let settled = if has_known_end { lane.lines } else { lane.lines.min(next) };
            let absent = (0..lane.handed_over).filter(|number| !seen.contains(number));
            let (missing, unobserved): (Vec<u32>, Vec<u32>) =
                absent.partition(|number| *number < settled);
            expected.missing += missing.len() as u64;
            expected.unobserved += unobserved.len() as u64;
            expected.delivered += seen.len() as u64;
            expected.emitted += u64::from(lane.lines) + seen.range(lane.lines..).count() as u64;
        }
        let verdict = Verdict::of(&mut delivery, &[report], None);
        assert_eq!(verdict.total, expected, "seed {seed}");
    }
}

/// Lanes whose lines arrive in turns, each in its own order.
#[test]
fn lanes_are_independent() {
    let mut random = SmallRng::seed_from_u64(1);
    let lanes: Vec<Lane> = (0..8).map(Lane::live).collect();
    let mut delivery = Delivery::default();
    let mut input = delivery.input("access.log");
    for number in 0..500 {
        for lane in &lanes {
            input.record(&line(&mut random, *lane, number));
        }
    }
    input.finish();
    let lanes: Vec<_> = lanes.into_iter().map(|lane| (lane, 500)).collect();
    let verdict = Verdict::of(&mut delivery, &[emitted(&lanes)], None);
    assert_eq!(verdict.total, Counts { emitted: 4_000, delivered: 4_000, ..Counts::default() });
}

/// What nobody knows isn't missing.
#[test]
fn the_end_of_a_lane_that_goes_on_is_unobserved() {
    let mut random = SmallRng::seed_from_u64(1);
    let lane = Lane::live(9);
    let mut delivery = Delivery::default();
    let mut input = delivery.input("access.log");
    for number in (0..50).filter(|number| *number != 20) {
        input.record(&line(&mut random, lane, number));
    }
    input.finish();
    let mut report = emitted(&[(lane, 60)]);
    report.lanes[0].handed_over = 70;
    report.lanes[0].ended = false;
    let verdict = Verdict::of(&mut delivery, &[report.clone()], None);
    let counts = (verdict.total.emitted, verdict.total.missing, verdict.total.unobserved);
    assert_eq!(counts, (60, 1, 20));
    report.lanes[0].ended = true;
    let verdict = Verdict::of(&mut delivery, &[report], None);
    let counts = (verdict.total.emitted, verdict.total.missing, verdict.total.unobserved);
    assert_eq!(counts, (60, 11, 10));
    // Nobody said what was emitted: what lies between the lines that arrived is missing.
    let verdict = Verdict::of(&mut delivery, &[], None);
    let counts = (verdict.total.emitted, verdict.total.missing, verdict.total.unobserved);
    assert_eq!(counts, (50, 1, 0));
    assert_eq!(verdict.outcome(&[FaultKind::Missing]), Outcome::Unknown);
}

/// The line that a killed process was writing has lost its end, but no collector is to blame.
#[test]
fn a_line_that_was_torn_where_it_was_written_is_unobserved() {
    let mut random = SmallRng::seed_from_u64(1);
    let lane = Lane::live(9);
    let verdict = |torn: u32, random: &mut SmallRng| {
        let mut delivery = Delivery::default();
        let mut input = delivery.input("access.log");
        for number in 0..torn {
            input.record(&line(random, lane, number));
        }
        let text = [LINES[0].as_bytes(), b" and more"].concat();
        let mut record = String::from_utf8_lossy(&text)
            .replace('@', &String::from_utf8_lossy(PLACEHOLDER))
            .into_bytes();
        token::Writer::new(lane).complete(&mut record, TIME, torn, 16);
        input.record(&record[..record.len() - 5]);
        input.finish();
        let mut report = emitted(&[(lane, 60)]);
        report.lanes[0].handed_over = 70;
        report.lanes[0].ended = false;
        Verdict::of(&mut delivery, &[report], None)
    };
    let torn = verdict(60, &mut random);
    let total = Counts { emitted: 60, delivered: 60, unobserved: 10, ..Counts::default() };
    assert_eq!((torn.total, torn.examples.len()), (total, 0));
    // One that is said to be written has lost its end on the way.
    let cut = verdict(59, &mut random);
    let total = Counts { delivered: 60, truncated: 1, ..total };
    assert_eq!((cut.total, cut.examples.len()), (total, 1));
}

/// A text that looks like a token makes no lane.
#[test]
fn a_text_that_looks_like_a_token_is_foreign() {
    let mut delivery = Delivery::default();
    let mut input = delivery.input("access.log");
    for _ in 0..3 {
        input.record(b"GET /?id=aaaaaaa_V-aaaaaaaaaaaaaaaaA HTTP/1.1");
        input.record(b"nothing at all");
    }
    input.finish();
    let verdict = Verdict::of(&mut delivery, &[], None);
    assert_eq!(verdict.total, Counts { foreign: 6, ..Counts::default() });
}
