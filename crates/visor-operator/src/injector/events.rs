//! Events about pods that requested injection. They are published by the leader, about pods that
//! the API server has shown it, and never because of a review: anybody can send one. Why a pod has
//! no generator is decided again, from the injector's caches.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicObject},
    runtime::{WatchStreamExt, watcher},
};
use tokio::time::Instant;
use tracing::warn;

use super::{
    INJECT_LABEL, Injector, mutate,
    review::{Decision, not_injected_message},
};
use crate::{
    api_client,
    controller::publish::{self, EventPublisher, NewEvent},
    metrics::Metrics,
};

/// Older pods have been reported by an earlier leader.
const MAX_AGE: Duration = Duration::from_mins(2);
/// The maximum number of events about the pods of one namespace in a [`SPAN`]; the pods of a
/// workload are much the same.
const MAX_EVENTS: u32 = 20;
const SPAN: Duration = Duration::from_mins(1);

/// Watches the pods that request injection, and reports on each once. Never returns.
pub(crate) async fn publish_events(
    client: Client,
    injector: Arc<Injector>,
    event_publisher: EventPublisher,
    metrics: Arc<Metrics>,
) {
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<Pod>(&()));
    let requesting =
        api_client::paged_watch().labels(&format!("{INJECT_LABEL},{INJECT_LABEL}!=false"));
    let mut pods = pin!(watcher(api, requesting).default_backoff().applied_objects());
    let mut published = Published::default();
    while let Some(pod) = pods.next().await {
        match pod {
            Ok(pod) => {
                if published.is_new(&pod, Timestamp::now())
                    && let Some(new_event) = event_for(&injector, &pod).await
                    && published
                        .is_within_limit(pod.metadata.namespace.as_deref().unwrap_or_default())
                {
                    event_publisher.publish(&reference(&pod), new_event).await;
                }
            }
            Err(error) => {
                metrics.watch_failed();
                warn!(kind = "Pod", %error, "watch failed; will retry");
            }
        }
    }
}

/// The event about a pod, if there is something to report.
async fn event_for(injector: &Injector, pod: &DynamicObject) -> Option<NewEvent> {
    if let Some(warning) = mutate::qos_class_change(pod) {
        return Some(publish::qos_class_changed(warning));
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match injector.decide(namespace, pod).await {
        Decision::Skipped => None,
        Decision::NotInjected(_, why) => Some(publish::not_injected(not_injected_message(&why))),
        Decision::Injected(_) => Some(publish::not_injected(not_injected_message(
            "the pod was created before its FakeLogSource, or while the webhook was unavailable; recreate it",
        ))),
    }
}

/// What has been published.
#[derive(Default)]
struct Published {
    /// Recent pods, by their uids.
    pods: HashMap<String, Timestamp>,
    /// The number of events about a namespace, and since when they are counted.
    namespaces: HashMap<String, (Instant, u32)>,
}

impl Published {
    /// Whether a pod is recent, and nothing has been published about it.
    fn is_new(&mut self, pod: &DynamicObject, now: Timestamp) -> bool {
        let is_recent = |created: Timestamp| now.duration_since(created).unsigned_abs() < MAX_AGE;
        self.pods.retain(|_, created| is_recent(*created));
        let (Some(uid), Some(created)) = (&pod.metadata.uid, &pod.metadata.creation_timestamp)
        else {
            return false;
        };
        is_recent(created.0) && self.pods.insert(uid.clone(), created.0).is_none()
    }

    fn is_within_limit(&mut self, namespace: &str) -> bool {
        let now = Instant::now();
        self.namespaces.retain(|_, (since, _)| now.duration_since(*since) < SPAN);
        let (_, count) = self.namespaces.entry(namespace.to_owned()).or_insert((now, 0));
        *count += 1;
        *count <= MAX_EVENTS
    }
}

fn reference(pod: &DynamicObject) -> ObjectReference {
    ObjectReference {
        api_version: Some(Pod::api_version(&()).into_owned()),
        kind: Some(Pod::kind(&()).into_owned()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::documented;

    fn pod(uid: &str, created: &str) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"uid": uid, "creationTimestamp": created}}))
            .unwrap()
    }

    #[test]
    fn how_many_events_there_are_is_documented() {
        assert_eq!(SPAN.as_secs(), 60);
        documented::row_contains(
            "events about pods |",
            &format!("{MAX_EVENTS} a minute in a namespace"),
        );
    }

    #[tokio::test(start_paused = true)]
    async fn each_new_pod_has_one_event_and_a_namespace_has_a_limit() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let mut published = Published::default();
        assert!(published.is_new(&pod("1", "2026-01-01T00:09:59Z"), now));
        assert!(!published.is_new(&pod("1", "2026-01-01T00:09:59Z"), now));
        assert!(!published.is_new(&pod("2", "2026-01-01T00:07:00Z"), now));
        for number in 0..100 {
            assert_eq!(published.is_within_limit("web"), number < MAX_EVENTS);
        }
        assert!(published.is_within_limit("shop"));
        tokio::time::advance(SPAN).await;
        assert!(published.is_within_limit("web"));
        let later: Timestamp = "2026-01-01T00:20:00Z".parse().unwrap();
        assert!(!published.is_new(&pod("3", "2026-01-01T00:09:59Z"), later));
        assert!(published.pods.is_empty());
    }
}
