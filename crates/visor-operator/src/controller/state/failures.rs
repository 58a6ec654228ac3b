//! How often a source could not be reconciled, and how long the next attempt waits.

use std::time::Duration;

const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_mins(1);

/// The number of consecutive failures.
#[derive(Default)]
pub(crate) struct Failures(u32);

impl Failures {
    pub(crate) const fn count(&self) -> u32 {
        self.0
    }

    /// Notes a failure, and returns how long the next attempt waits: twice as long each time.
    pub(crate) fn next_backoff(&mut self) -> Duration {
        let pause = MIN_BACKOFF.saturating_mul(2_u32.saturating_pow(self.0));
        self.0 = self.0.saturating_add(1);
        // Jitter: sources that failed together are not retried together.
        pause.min(MAX_BACKOFF).mul_f64(rand::random_range(0.75..1.25))
    }

    /// Notes a success.
    pub(crate) const fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_a_minute_and_is_reset_by_a_success() {
        let mut failures = Failures::default();
        let pauses: Vec<_> = (0..20).map(|_| failures.next_backoff()).collect();
        assert!(pauses[0] < Duration::from_secs(1));
        assert!(pauses[3] > pauses[0]);
        assert!(pauses.iter().all(|pause| *pause <= MAX_BACKOFF.mul_f64(1.25)), "{pauses:?}");
        assert!(pauses[19] >= MAX_BACKOFF.mul_f64(0.75));
        failures.reset();
        assert!(failures.next_backoff() < Duration::from_secs(1));
    }
}
