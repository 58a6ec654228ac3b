//! Whether a Lease may be taken, by what was seen of it. Pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

/// What to do about a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nobody holds it.
    Take,
    /// Somebody does, or may.
    Wait(Duration),
}

/// The last change of a Lease that was seen, and when.
#[derive(Debug, Default)]
pub(super) struct Observation {
    last: Option<(String, Instant)>,
}

impl Observation {
    /// Decides by the Lease as it is now. A holder's own clock is not believed: the Lease has run out
    /// if it hasn't changed for its duration since it was first seen so.
    pub(super) fn step(
        &mut self,
        lease: Option<&Lease>,
        identity: &str,
        retry: Duration,
        now: Instant,
    ) -> Step {
        let Some(spec) = lease.and_then(|lease| lease.spec.as_ref()) else { return Step::Take };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == identity {
            return Step::Take;
        }
        let version = lease.and_then(|lease| lease.metadata.resource_version.clone());
        let version = version.unwrap_or_default();
        let since = match &self.last {
            Some((last, since)) if *last == version => *since,
            _ => {
                self.last = Some((version, now));
                now
            }
        };
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let runs_out = since + Duration::from_secs(seconds.unwrap_or(0));
        if now >= runs_out { Step::Take } else { Step::Wait(retry.min(runs_out - now)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RETRY: Duration = Duration::from_secs(2);

    fn lease(holder: &str, version: &str) -> Lease {
        serde_json::from_value(json!({
            "metadata": {"resourceVersion": version},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15},
        }))
        .unwrap()
    }

    #[test]
    fn a_lease_that_nobody_holds_is_taken_at_once() {
        let now = Instant::now();
        let mut seen = Observation::default();
        assert_eq!(seen.step(None, "a", RETRY, now), Step::Take);
        assert_eq!(seen.step(Some(&Lease::default()), "a", RETRY, now), Step::Take);
        assert_eq!(seen.step(Some(&lease("", "1")), "a", RETRY, now), Step::Take);
        assert_eq!(seen.step(Some(&lease("a", "1")), "a", RETRY, now), Step::Take);
    }

    #[test]
    fn a_lease_of_another_is_taken_when_it_has_not_changed_for_its_duration() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut seen = Observation::default();
        assert_eq!(seen.step(Some(&lease("b", "1")), "a", RETRY, at(0)), Step::Wait(RETRY));
        assert_eq!(seen.step(Some(&lease("b", "1")), "a", RETRY, at(14)), Step::Wait(RETRY / 2));
        assert_eq!(seen.step(Some(&lease("b", "2")), "a", RETRY, at(15)), Step::Wait(RETRY));
        assert_eq!(seen.step(Some(&lease("b", "2")), "a", RETRY, at(29)), Step::Wait(RETRY / 2));
        assert_eq!(seen.step(Some(&lease("b", "2")), "a", RETRY, at(30)), Step::Take);
    }
}
