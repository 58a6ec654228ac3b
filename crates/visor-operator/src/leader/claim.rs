//! Whether a Lease may be acquired, from what has been observed of it. Pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

/// What to do about a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is free.
    Acquire,
    /// It is held, or may be.
    Wait(Duration),
}

/// The last observed change of a Lease, and when it was observed.
#[derive(Debug, Default)]
pub(super) struct Observation {
    last: Option<(String, Instant)>,
}

impl Observation {
    /// Decides by the current Lease. The holder's clock isn't trusted: the Lease has expired if it
    /// hasn't changed for its duration since it was first observed.
    pub(super) fn decide(
        &mut self,
        lease: Option<&Lease>,
        identity: &str,
        retry: Duration,
        now: Instant,
    ) -> Decision {
        let Some(spec) = lease.and_then(|lease| lease.spec.as_ref()) else {
            return Decision::Acquire;
        };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == identity {
            return Decision::Acquire;
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
        if now >= runs_out { Decision::Acquire } else { Decision::Wait(retry.min(runs_out - now)) }
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
    fn a_lease_without_a_holder_is_acquired_at_once() {
        let now = Instant::now();
        let mut seen = Observation::default();
        assert_eq!(seen.decide(None, "a", RETRY, now), Decision::Acquire);
        assert_eq!(seen.decide(Some(&Lease::default()), "a", RETRY, now), Decision::Acquire);
        assert_eq!(seen.decide(Some(&lease("", "1")), "a", RETRY, now), Decision::Acquire);
        assert_eq!(seen.decide(Some(&lease("a", "1")), "a", RETRY, now), Decision::Acquire);
    }

    #[test]
    fn a_lease_of_another_is_taken_when_it_has_not_changed_for_its_duration() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut seen = Observation::default();
        assert_eq!(seen.decide(Some(&lease("b", "1")), "a", RETRY, at(0)), Decision::Wait(RETRY));
        assert_eq!(
            seen.decide(Some(&lease("b", "1")), "a", RETRY, at(14)),
            Decision::Wait(RETRY / 2)
        );
        assert_eq!(seen.decide(Some(&lease("b", "2")), "a", RETRY, at(15)), Decision::Wait(RETRY));
        assert_eq!(
            seen.decide(Some(&lease("b", "2")), "a", RETRY, at(29)),
            Decision::Wait(RETRY / 2)
        );
        assert_eq!(seen.decide(Some(&lease("b", "2")), "a", RETRY, at(30)), Decision::Acquire);
    }
}
