use super::*;
use crate::{
    decode::Decoder,
    token::{PLACEHOLDER, Writer},
};

#[test]
fn changes_are_written_in_few_words() {
    let mut ranges = Ranges::default();
    for number in [4, 5, 6, 9, 8, u32::MAX, 0] {
        ranges.push(number);
    }
    let text = serde_json::to_string(&ranges).expect("JSON");
    assert_eq!(text, "[[4,6],[9,9],[8,8],[4294967295,4294967295],[0,0]]");
    assert_eq!(serde_json::to_string(&Change::default()).expect("JSON"), "{}");
}

#[test]
fn a_change_of_many_ranges_is_several_ones() {
    let mut lane =
        LaneChange { is_proven: true, late: NonZeroU64::new(7), ..LaneChange::default() };
    for number in 0..25 {
        lane.seen.push(number * 2);
        lane.denied.push(number * 3);
    }
    let lanes = [1, 2].map(|lane_number| (Lane::live(lane_number), lane.clone()));
    let changes: Vec<Change> = Change::default().with_lanes(lanes.into_iter()).collect();
    assert!(changes.len() > 5);
    assert!(changes.iter().all(|change| {
        change.lanes.iter().map(|(_, lane)| lane.weight()).sum::<usize>() <= 2 * MAX_WEIGHT
    }));
    let mut delivery = Delivery::default();
    let mut restore = delivery.restore();
    for change in changes {
        restore.add(change);
    }
    restore.finish();
    let received = delivery.received(Lane::live(2)).expect("a lane");
    assert_eq!(LaneChange::of(received).seen, lane.seen);
    assert_eq!(LaneChange::of(received).denied, lane.denied);
    assert_eq!((received.late, received.is_proven), (7, true));
}

/// Of what a container runtime has written in parts, the tokens are known.
#[test]
fn a_record_that_is_not_whole_is_written_down() {
    let lane = Lane::live(3);
    let mut text = [&PLACEHOLDER[..], b" and more"].concat();
    assert!(Writer::new(lane).complete(&mut text, 0, 5, 1));
    let part = [b"2026-01-02T03:04:05.6Z stdout P ", &text[..text.len() - 2]].concat();
    let (mut delivery, mut decoder) = (Delivery::default(), Decoder::default());
    delivery.note_changes();
    let mut input = delivery.input("here");
    decoder.line(&part, &mut input);
    let input = input.pause();
    let unfinished = delivery.unfinished(&input, decoder.unfinished());
    let changes = delivery.take_changes(Some((1, unfinished)));
    let mut again = Delivery::default();
    let mut restore = again.restore();
    for change in changes {
        restore.add(change);
    }
    restore.finish();
    let received = again.received(lane).expect("the lane");
    assert_eq!(received.fault(FaultKind::Truncated).0, 1);
    // When it's read to its end, nothing of it is unfinished.
    let mut input = delivery.resume(input);
    decoder.line(b"2026-01-02T03:04:05.6Z stdout F re", &mut input);
    input.finish();
    let changes = delivery.take_changes(Some((1, Vec::new())));
    assert_eq!(changes[0].unfinished, BTreeMap::from([(1, Vec::new())]));
    assert_eq!(changes[0].lanes[0].1.seen, Ranges(vec![(5, 5)]));
}
