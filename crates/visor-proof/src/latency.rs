//! How long lines took from their output to where they arrived: a histogram.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

/// The upper bounds of the buckets in milliseconds. Lines that arrived before they were written, by
/// another clock, are in the first one.
pub const BOUNDS: [i64; 19] = [
    -1, 0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000,
    300_000,
];

/// The quantiles that are shown.
pub const QUANTILES: [(&str, f64); 3] =
    [("p50Milliseconds", 0.5), ("p90Milliseconds", 0.9), ("p99Milliseconds", 0.99)];

/// A histogram of times. The last bucket has no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latencies {
    counts: [u64; BOUNDS.len() + 1],
    /// The sum of the times in milliseconds.
    sum: i64,
}

impl Latencies {
    /// Adds a time in milliseconds.
    pub fn add(&mut self, milliseconds: i64) {
        self.counts[BOUNDS.partition_point(|bound| *bound < milliseconds)] += 1;
        self.sum = self.sum.saturating_add(milliseconds);
    }

    /// Adds those of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Whether there is no time.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all times in milliseconds.
    pub const fn sum(&self) -> i64 {
        self.sum
    }

    /// How many times each bucket has; the last one has no bound.
    pub const fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The bound of the bucket that has this share of the times, in milliseconds; `None` without a
    /// time, or if the bucket has no bound.
    pub fn quantile(&self, share: f64) -> Option<i64> {
        let mut so_far = 0;
        let count = self.count();
        #[expect(clippy::cast_precision_loss, reason = "a share of very many is still one")]
        let bucket = self.counts.iter().position(|more| {
            so_far += more;
            so_far as f64 >= share * count as f64
        });
        bucket.filter(|_| count > 0).and_then(|bucket| BOUNDS.get(bucket).copied())
    }
}

/// Serializes the quantiles in milliseconds; each is the bound of its bucket.
///
/// # Errors
///
/// Those of the serializer.
pub fn quantiles<S: Serializer>(latencies: &Latencies, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("lines", &latencies.count())?;
    for (name, share) in QUANTILES {
        map.serialize_entry(name, &latencies.quantile(share))?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.quantile(0.5), latencies.count()), (None, 0));
        for milliseconds in [-5, 0, 1, 3, 3, 3, 40, 40, 700, 400_000] {
            latencies.add(milliseconds);
        }
        assert_eq!(latencies.count(), 10);
        assert_eq!(latencies.sum(), 400_785);
        let quantiles = [0.1, 0.2, 0.5, 0.8, 0.9].map(|share| latencies.quantile(share));
        assert_eq!(quantiles, [Some(-1), Some(0), Some(5), Some(50), Some(1000)]);
        assert_eq!(latencies.quantile(1.0), None, "the last bucket has no bound");
        let mut twice = latencies.clone();
        twice.merge(&latencies);
        assert_eq!((twice.count(), twice.quantile(0.5)), (20, Some(5)));
    }
}
