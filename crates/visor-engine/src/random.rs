//! Seeds, and a random number generator that is the same on every machine.
//!
//! A [`Seed`] has a child for every name, so each stream has random numbers of its own: adding a
//! stream doesn't change the lines of the others.

use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

/// The generator of all random numbers: Xoshiro256++, which is fast and portable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// Sixty-four random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Two random 32-bit numbers, each sufficient for a draw from a table, as for most draws of a
    /// request.
    #[expect(clippy::cast_possible_truncation, reason = "each half is one")]
    #[inline]
    pub fn chances(&mut self) -> [u32; 2] {
        let bits = self.bits();
        [(bits >> 32) as u32, bits as u32]
    }

    /// An integer from 0 to `below - 1`; 0 for `below` 0. The bias is at most `below / 2^64`.
    #[inline]
    pub fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(below)) >> 64) as u64
    }

    /// An integer from `min` to `max`, both included; `min` if the range is empty.
    #[inline]
    pub fn between(&mut self, min: u64, max: u64) -> u64 {
        if max <= min { min } else { min + self.below((max - min).saturating_add(1)) }
    }

    /// A number from 0 up to, not including, 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    #[inline]
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

/// The seed of random numbers. Cheap to copy and to derive children from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed(u64);

impl Seed {
    /// The seed with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The child seed with this name: FNV-1a over the name, initialized with this seed, then mixed
    /// so that similar seeds and names give different results.
    #[must_use]
    pub fn child(self, name: &str) -> Self {
        let mut hash = mix(self.0) ^ 0xcbf2_9ce4_8422_2325;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(mix(hash))
    }

    /// The random numbers of this seed.
    pub fn random(self) -> Random {
        Random(Xoshiro256PlusPlus::seed_from_u64(self.0))
    }
}

/// The finalizer of SplitMix64: every bit of the input affects every bit of the output.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_are_the_same_for_ever() {
        let mut random = Seed::new(42).child("web").child("requests").random();
        let first: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(
            first,
            [6_108_780_273_607_205_259, 9_939_047_196_469_789_584, 266_732_009_634_960_781]
        );
    }

    #[test]
    fn names_and_seeds_that_are_close_give_numbers_that_are_not() {
        let first = |seed: Seed| seed.random().bits();
        let numbers = [
            first(Seed::new(1).child("a")),
            first(Seed::new(1).child("b")),
            first(Seed::new(2).child("a")),
            first(Seed::new(1).child("a").child("")),
            first(Seed::new(1)),
        ];
        for (i, one) in numbers.iter().enumerate() {
            for other in &numbers[..i] {
                assert!((one ^ other).count_ones() > 10, "{one:x} {other:x}");
            }
        }
    }

    #[test]
    fn between_reaches_both_ends_and_nothing_else() {
        let mut random = Seed::new(7).random();
        let mut seen = [false; 3];
        for _ in 0..1000 {
            seen[usize::try_from(random.between(5, 7) - 5).unwrap()] = true;
        }
        assert_eq!(seen, [true; 3]);
        assert_eq!(random.between(9, 2), 9);
        assert_ne!(random.between(0, u64::MAX), random.between(0, u64::MAX));
    }
}
