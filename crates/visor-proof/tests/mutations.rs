//! Deliveries with known accidents: the verdict must say exactly how many of each there were.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use visor_proof::{
    Delivery, Emitted, Lane, Verdict,
    emitted::{EmittedLane, Omitted, VERSION},
    token::{self, PLACEHOLDER},
    verdict::{Counts, Outcome},
};

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
    assert!(token::Writer::new(lane).complete(&mut record, 1_767_323_045_678, number));
    record
}

/// A cut that leaves the token, and less than the line.
fn cut(random: &mut SmallRng, line: &[u8]) -> Option<usize> {
    let end = token::Token::find(line, 0)?.at + token::LENGTH;
    (end < line.len()).then(|| random.random_range(end..line.len()))
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
                Some(at) if !own[at].is_ascii_whitespace() && at + 1 < own.len() => {
                    let mut altered = own.clone();
                    altered[at] = if own[at] == b'x' { b'y' } else { b'x' };
                    counts.altered += 1;
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

#[test]
fn the_verdict_knows_how_many_accidents_there_were() {
    for seed in 0..4_000 {
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
        let verdict = Verdict::of(&delivery, &[emitted(&[(lane, lines)])]);
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
    let verdict = Verdict::of(&delivery, &[emitted(&lanes)]);
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
    let verdict = Verdict::of(&delivery, &[report.clone()]);
    let counts = (verdict.total.emitted, verdict.total.missing, verdict.total.unobserved);
    assert_eq!(counts, (60, 1, 20));
    report.lanes[0].ended = true;
    let verdict = Verdict::of(&delivery, &[report]);
    let counts = (verdict.total.emitted, verdict.total.missing, verdict.total.unobserved);
    assert_eq!(counts, (60, 11, 10));
    // Nobody said what was emitted: what lies between the lines that arrived is missing.
    let verdict = Verdict::of(&delivery, &[]);
    let counts = (verdict.total.emitted, verdict.total.missing, verdict.total.unobserved);
    assert_eq!(counts, (50, 1, 0));
    assert_eq!(verdict.outcome(&["missing".to_owned()]), Outcome::Unknown);
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
    let verdict = Verdict::of(&delivery, &[]);
    assert_eq!(verdict.total, Counts { foreign: 6, ..Counts::default() });
}
