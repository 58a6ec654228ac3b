//! Weighted draws in constant time, by Walker's alias method with integers.
//!
//! Every field of every line is drawn by one of these tables: a draw costs one random number, one
//! multiplication and one comparison, however long the list.

use std::hint::select_unpredictable;

use visor_logs::resolved::Choices;

use crate::random::Random;

/// A list of values, each drawn in proportion to its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<T> {
    values: Box<[T]>,
    slots: Box<[Slot]>,
}

/// One slot of the alias table: it is for its own value up to the threshold, else for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    threshold: u32,
    alias: u32,
}

/// Why a list is invalid: no value has a weight above 0, or there are over 2^32 values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid weights: at least one must be more than 0")]
pub struct InvalidWeights;

impl<T> Table<T> {
    /// A table of values with their weights.
    ///
    /// # Errors
    ///
    /// If no value has a weight above 0.
    pub fn new(weighted: impl IntoIterator<Item = (T, u64)>) -> Result<Self, InvalidWeights> {
        let (values, weights): (Vec<T>, Vec<u64>) =
            weighted.into_iter().filter(|(_, weight)| *weight > 0).unzip();
        if values.is_empty() || u32::try_from(values.len()).is_err() {
            return Err(InvalidWeights);
        }
        Ok(Self { slots: slots(&weights), values: values.into() })
    }

    /// The table of configured choices, each converted by `make`.
    pub fn of<C>(choices: &Choices<C>, mut make: impl FnMut(&C) -> T) -> Self {
        let drawn = choices.iter().filter(|(_, weight)| *weight > 0);
        let (values, weights): (Vec<T>, Vec<u64>) =
            drawn.map(|(choice, weight)| (make(choice), u64::from(weight))).unzip();
        Self { slots: slots(&weights), values: values.into() }
    }

    /// A table of one value. Drawing it consumes as many random numbers as any other.
    pub fn only(value: T) -> Self {
        Self { values: [value].into(), slots: slots(&[1]) }
    }

    /// Draws a value.
    #[inline]
    pub fn draw(&self, random: &mut Random) -> &T {
        &self.values[self.draw_index(random)]
    }

    /// Draws the index of a value.
    #[inline]
    pub fn draw_index(&self, random: &mut Random) -> usize {
        self.index(random.chances()[0])
    }

    /// The index of the value for a random 32-bit number.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the lower half is the fraction of the slot"
    )]
    #[inline]
    pub fn index(&self, chance: u32) -> usize {
        let place = u64::from(chance) * self.slots.len() as u64;
        let index = (place >> 32) as usize;
        let slot = self.slots[index];
        // Random numbers can't be predicted, so this avoids a branch.
        select_unpredictable((place as u32) < slot.threshold, index, slot.alias as usize)
    }

    /// The table of the indexes alone.
    pub fn indexes(&self) -> Table<()> {
        Table { values: self.values.iter().map(|_| ()).collect(), slots: self.slots.clone() }
    }

    /// The values.
    pub fn values(&self) -> &[T] {
        &self.values
    }
}

/// Vose's construction. All shares are integers, so it is exact up to the last step, where a
/// threshold is rounded to 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a table has at most 2^32 values, and a share is below the total"
)]
fn slots(weights: &[u64]) -> Box<[Slot]> {
    let count = weights.len() as u128;
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut shares: Vec<u128> = weights.iter().map(|weight| u128::from(*weight) * count).collect();
    let mut slots: Vec<Slot> =
        (0..weights.len()).map(|own| Slot { threshold: u32::MAX, alias: own as u32 }).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|index| shares[*index] < total);
    while let (Some(lesser), Some(&greater)) = (small.pop(), large.last()) {
        slots[lesser] =
            Slot { threshold: ((shares[lesser] << 32) / total) as u32, alias: greater as u32 };
        shares[greater] -= total - shares[lesser];
        if shares[greater] < total {
            large.pop();
            small.push(greater);
        }
    }
    slots.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;
    use proptest::prelude::*;

    /// The exact chance of each value, in units of 2^-32 / count, read off the table.
    fn chances(table: &Table<usize>) -> Vec<u128> {
        let mut chances = vec![0u128; table.values.len()];
        for (own, slot) in table.slots.iter().enumerate() {
            chances[own] += u128::from(slot.threshold);
            chances[slot.alias as usize] += (1u128 << 32) - u128::from(slot.threshold);
        }
        chances
    }

    #[test]
    fn a_weight_of_zero_is_never_drawn_and_only_zeros_are_rejected() {
        let table = Table::new([("never", 0), ("always", 3)]).unwrap();
        let mut random = Seed::new(1).random();
        assert!((0..1000).all(|_| *table.draw(&mut random) == "always"));
        assert_eq!(Table::new([("never", 0)]), Err(InvalidWeights));
        assert_eq!(Table::<&str>::new([]), Err(InvalidWeights));
    }

    proptest! {
        /// Evenly spaced chances are divided among the values in proportion to their weights.
        #[test]
        fn chances_fall_to_values_by_their_weights(
            weights in prop::collection::vec(1u64..1_000, 1..50)
        ) {
            const SHIFT: u32 = 16;
            let table = Table::new(weights.iter().copied().enumerate()).unwrap();
            let mut counts = vec![0u64; weights.len()];
            for chance in 0..1u32 << (u32::BITS - SHIFT) {
                counts[table.values()[table.index(chance << SHIFT)]] += 1;
            }
            let (all, total) = (counts.iter().sum::<u64>(), weights.iter().sum::<u64>());
            for (count, weight) in counts.iter().zip(&weights) {
                // A value has parts of several slots, and each part an end between two chances.
                let slack = 2 * weights.len() as u64;
                prop_assert!(count.abs_diff(all * weight / total) <= slack, "{count} {weight}");
            }
        }

        #[test]
        fn the_table_holds_each_weight_to_the_last_bits(
            weights in prop::collection::vec(1u64..1_000_000, 1..50)
        ) {
            let table = Table::new(weights.iter().copied().enumerate()).unwrap();
            let total: u128 = weights.iter().map(|w| u128::from(*w)).sum();
            let count = weights.len() as u128;
            for (chance, weight) in chances(&table).into_iter().zip(&weights) {
                let wanted = ((u128::from(*weight) * count) << 32) / total;
                prop_assert!(chance.abs_diff(wanted) <= 2 * count, "{chance} {wanted}");
            }
        }
    }
}
