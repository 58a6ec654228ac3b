//! Whether another operator acts: the one whose mark is on the children of a source. By its Lease, which
//! it renews as long as it does.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::time::Instant;
use tracing::debug;

/// How long an answer holds.
const REMEMBERED: Duration = Duration::from_secs(30);
/// So many operators are remembered.
const MOST: usize = 100;
/// A Lease that hasn't been renewed for so many of its durations is nobody's. Clocks of nodes differ.
const DURATIONS: i32 = 3;

/// What is known of other operators.
pub(crate) struct OtherOperators {
    client: Client,
    known: Mutex<HashMap<String, (Instant, bool)>>,
}

impl OtherOperators {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Whether the operator with this mark acts. One whose Lease can't be read may.
    pub(crate) async fn acts(&self, mark: &str) -> bool {
        if let Some(known) = self.known(mark) {
            return known;
        }
        let acts = match mark.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
                match api.get_opt(name).await {
                    Ok(lease) => lease.is_some_and(|lease| is_held(&lease, Timestamp::now())),
                    Err(error) => {
                        debug!(mark, %error, "the Lease of another operator can't be read");
                        true
                    }
                }
            }
            // No operator has such a mark.
            _ => false,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(mark.to_owned(), (Instant::now(), acts));
        acts
    }

    fn known(&self, mark: &str) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, acts) = known.get(mark)?;
        (at.elapsed() < REMEMBERED).then_some(*acts)
    }
}

fn is_held(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else { return false };
    let is_somebody_s = spec.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty());
    let seconds = spec.lease_duration_seconds.unwrap_or(0);
    let longest = SignedDuration::from_secs(seconds.into()) * DURATIONS;
    let renewed = spec.renew_time.as_ref().map(|time| time.0);
    is_somebody_s && renewed.is_some_and(|renewed| now.duration_since(renewed) < longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_lease_that_is_renewed_is_held() {
        let held = |holder: &str, renewed: &str| {
            let lease: Lease = serde_json::from_value(json!({"metadata": {}, "spec": {
                "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed,
            }}))
            .unwrap();
            is_held(&lease, "2026-01-01T00:01:00Z".parse().unwrap())
        };
        assert!(held("a", "2026-01-01T00:00:16.000000Z"));
        assert!(!held("a", "2026-01-01T00:00:15.000000Z"));
        assert!(!held("", "2026-01-01T00:00:59.000000Z"), "it was given back");
        let empty: Lease = serde_json::from_value(json!({"metadata": {}})).unwrap();
        assert!(!is_held(&empty, Timestamp::now()));
    }
}
