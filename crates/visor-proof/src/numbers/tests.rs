//! The set beside a plain one.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn it_is_the_same_set(
        starts in proptest::collection::vec((0_u32..50_000, 0_u32..9_000), 0..12),
        single in proptest::collection::vec(0_u32..50_000, 0..40),
    ) {
        let (mut numbers, mut plain) = (Numbers::default(), BTreeSet::new());
        let ranges = starts.iter().flat_map(|(start, length)| *start..start + length);
        for number in ranges.chain(single) {
            prop_assert_eq!(numbers.insert(number), plain.insert(number));
        }
        prop_assert_eq!(numbers.count(), plain.len() as u64);
        prop_assert_eq!(numbers.last(), plain.last().copied());
        prop_assert!(numbers.iter().eq(plain.iter().copied()));
        let missing = (1_000..61_000).filter(|number| !plain.contains(number));
        prop_assert!(numbers.missing(1_000..61_000).eq(missing));
        for (start, end) in [(0, 61_000), (1_000, 61_000), (4_096, 8_192), (7, 7), (9, 3), (4_000, 4_100)] {
            let here = plain.iter().filter(|number| (start..end).contains(*number)).count();
            let count = (u64::from(end) - u64::from(start.min(end))) - here as u64;
            prop_assert_eq!(numbers.count_missing(start..end), count, "{}..{}", start, end);
        }
        prop_assert_eq!(numbers.contains(5), plain.contains(&5));
        let mut copy = Numbers::default();
        let ranges: Vec<_> = numbers.ranges().collect();
        prop_assert!(ranges.windows(2).all(|two| two[0].end() + 1 < *two[1].start()));
        for range in ranges {
            copy.insert_range(range);
        }
        prop_assert_eq!(copy.count(), numbers.count());
        prop_assert!(copy.iter().eq(plain.iter().copied()));
    }
}

#[test]
fn the_numbers_of_two_sets_are_merged() {
    let mut odd = Numbers::default();
    (1..20_000).step_by(2).for_each(|number| _ = odd.insert(number));
    let mut threes = Numbers::default();
    (0..20_000).step_by(3).for_each(|number| _ = threes.insert(number));
    let both = (1..20_000).step_by(2).filter(|number| number % 3 == 0).count() as u64;
    let all = odd.count() + threes.count() - both;
    assert_eq!(odd.merge(&threes), both);
    assert_eq!(odd.count(), all);
}

/// Full blocks and those with few holes take little memory.
#[test]
fn few_holes_take_little_memory() {
    let mut numbers = Numbers::default();
    for number in (0..4_000_000).filter(|number| number % 1_000 != 7) {
        numbers.insert(number);
    }
    let bytes: usize = numbers.blocks.iter().map(|(_, block)| block.bytes()).sum();
    assert!(bytes < 200_000, "{bytes}");
    assert_eq!(numbers.count_missing(0..4_000_000), 4_000);
}

/// Numbers without holes take no memory, and neither do numbers far away from each other.
#[test]
fn the_usual_and_the_hostile_take_little_memory() {
    let mut numbers = Numbers::default();
    for number in 0..4_000_000 {
        numbers.insert(number);
    }
    assert_eq!(numbers.blocks.len(), 1);
    let mut hostile = Numbers::default();
    for number in (0..=30).map(|power| (1 << power) - 1) {
        hostile.insert(number);
    }
    let bytes: usize = hostile.blocks.iter().map(|(_, block)| block.bytes()).sum();
    assert!(bytes < 2_000, "{bytes}");
}

impl Block {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Full => 0,
                Self::Few(numbers) | Self::Holes(numbers) => 2 * numbers.capacity(),
                Self::Bits(words) => size_of_val(&**words),
            }
    }
}
