//! Whether another operator is active: the one named on the children of a source. It renews its
//! Lease as long as it is.

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

/// How long a result is valid.
const CACHE_TTL: Duration = Duration::from_secs(30);
/// The maximum number of cached results.
const MAX_CACHED: usize = 100;
/// A Lease that hasn't been renewed for this many durations has expired. The factor allows for
/// different clocks.
const EXPIRED_DURATIONS: i32 = 3;

/// Cached results about other operators.
pub(crate) struct OtherOperators {
    client: Client,
    cached: Mutex<HashMap<String, (Instant, bool)>>,
}

impl OtherOperators {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, cached: Mutex::default() }
    }

    /// Whether the operator with this Lease is active. If the Lease can't be read, it may be.
    pub(crate) async fn is_active(&self, lease_name: &str) -> bool {
        if let Some(cached) = self.cached(lease_name) {
            return cached;
        }
        let is_active = match lease_name.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
                match api.get_opt(name).await {
                    Ok(lease) => lease.is_some_and(|lease| is_held(&lease, Timestamp::now())),
                    Err(error) => {
                        debug!(lease_name, %error, "cannot read the Lease of another operator");
                        true
                    }
                }
            }
            // No operator is named like that.
            _ => false,
        };
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= MAX_CACHED {
            cached.clear();
        }
        cached.insert(lease_name.to_owned(), (Instant::now(), is_active));
        is_active
    }

    fn cached(&self, lease_name: &str) -> Option<bool> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, is_active) = cached.get(lease_name)?;
        (at.elapsed() < CACHE_TTL).then_some(*is_active)
    }
}

fn is_held(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else { return false };
    let is_somebody_s = spec.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty());
    let seconds = spec.lease_duration_seconds.unwrap_or(0);
    let longest = SignedDuration::from_secs(seconds.into()) * EXPIRED_DURATIONS;
    let renewed = spec.renew_time.as_ref().map(|time| time.0);
    is_somebody_s && renewed.is_some_and(|renewed| now.duration_since(renewed) < longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_lease_that_is_renewed_is_held() {
        let held_by = |holder: &str, renewed: &str| {
            let lease: Lease = serde_json::from_value(json!({"metadata": {}, "spec": {
                "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed,
            }}))
            .unwrap();
            is_held(&lease, "2026-01-01T00:01:00Z".parse().unwrap())
        };
        assert!(held_by("a", "2026-01-01T00:00:16.000000Z"));
        assert!(!held_by("a", "2026-01-01T00:00:15.000000Z"));
        assert!(!held_by("", "2026-01-01T00:00:59.000000Z"), "it was given back");
        let empty: Lease = serde_json::from_value(json!({"metadata": {}})).unwrap();
        assert!(!is_held(&empty, Timestamp::now()));
    }
}
