//! Numbers of lines, over the end of a lane.

use visor_proof::{Token, token::PLACEHOLDER};

use super::*;

fn completed(numbering: &mut Numbering, seconds: i64) -> Token {
    numbering.set_generator("shop", "web");
    let mut record = [b"GET /?id=", &PLACEHOLDER[..], b"\n"].concat();
    let time = Time::from_nanos(seconds * 1_000_000_000);
    let lane = numbering.complete(&mut record, time, 1).unwrap();
    lane.add_written(1);
    Token::find(&record, 0).unwrap().token
}

#[test]
fn another_lane_begins_when_one_is_full() {
    let lanes = Arc::new(Lanes::default());
    let mut numbering = Numbering::live(&lanes, "a.log");
    let first = completed(&mut numbering, 5);
    assert_eq!(completed(&mut numbering, 5).number, 1);
    // As if as many lines had been written as a lane has.
    let (_, lane) = numbering.current.as_ref().unwrap();
    let last = Lane::MAX_LINES - 1;
    lane.handed_over.store(last, Ordering::Relaxed);
    lane.written.store(last, Ordering::Relaxed);
    let token = completed(&mut numbering, 5);
    assert_eq!((token.lane, token.number), (first.lane, last));
    let next = completed(&mut numbering, 5);
    assert_eq!(next.number, 0);
    assert_ne!(next.lane, first.lane);
    numbering.end();
    lanes.close("a.log", 0);
    let emitted = lanes.emitted(true, 0, 0);
    let written: Vec<_> = emitted.lanes.iter().map(|lane| (lane.lines, lane.ended)).collect();
    assert_eq!(written, [(last + 1, true), (1, true)]);
}

/// The clock may be set back: the numbers go on.
#[test]
fn the_numbers_of_a_lane_do_not_depend_on_the_clock() {
    let lanes = Arc::new(Lanes::default());
    let mut numbering = Numbering::live(&lanes, "a.log");
    let tokens: Vec<Token> =
        [7_200, 3_600, 3_601].map(|seconds| completed(&mut numbering, seconds)).to_vec();
    let numbers: Vec<u32> = tokens.iter().map(|token| token.number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let times: Vec<u64> = tokens.iter().map(|token| token.milliseconds / 1000).collect();
    assert_eq!(times, [7_200, 3_600, 3_601]);
}

/// Of lanes without an entry only the sums are known.
#[test]
fn the_number_of_lanes_is_bounded() {
    let lanes = Arc::new(Lanes::default());
    for number in 0..MAX_LANES + 5 {
        let output = format!("{number}.log");
        let mut numbering = Numbering::live(&lanes, &output);
        completed(&mut numbering, 5);
        numbering.end();
        lanes.close(&output, 0);
    }
    let emitted = lanes.emitted(true, 0, 0);
    assert_eq!(emitted.lanes.len(), MAX_LANES);
    assert_eq!(emitted.omitted, Omitted { lanes: 5, lines: 5 });
}
