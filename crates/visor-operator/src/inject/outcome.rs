//! What became of pods that asked for a generator, told by events. It is told by the operator that
//! acts, of pods that the API server has shown it, and never of what a review says: anybody can send
//! one. Why a pod has no generator is worked out anew, from what is known here.

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
    INJECT, Injector, mutate,
    review::{Verdict, without},
};
use crate::{
    cluster,
    events::{self, Announcement, Announcer},
    metrics::Metrics,
};

/// Older pods were told of by an earlier operator.
const YOUNG: Duration = Duration::from_mins(2);
/// Events about the pods of one namespace within a [`SPAN`]; a workload's pods are much the same.
const MOST: u32 = 20;
const SPAN: Duration = Duration::from_mins(1);

/// Watches the pods that ask, and tells of each once. It never ends.
pub(crate) async fn tell(
    client: Client,
    injector: Arc<Injector>,
    announcer: Announcer,
    metrics: Arc<Metrics>,
) {
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<Pod>(&()));
    let asking = cluster::many().labels(&format!("{INJECT},{INJECT}!=false"));
    let mut pods = pin!(watcher(api, asking).default_backoff().applied_objects());
    let mut told = Told::default();
    while let Some(pod) = pods.next().await {
        match pod {
            Ok(pod) => {
                if told.is_news(&pod, Timestamp::now())
                    && let Some(announcement) = outcome(&injector, &pod).await
                    && told.may_tell(pod.metadata.namespace.as_deref().unwrap_or_default())
                {
                    announcer.announce_about(&reference(&pod), announcement).await;
                }
            }
            Err(error) => {
                metrics.watch_failed();
                warn!(kind = "Pod", %error, "a watch failed; it goes on after a pause");
            }
        }
    }
}

/// What is to be told of a pod.
async fn outcome(injector: &Injector, pod: &DynamicObject) -> Option<Announcement> {
    if let Some(warning) = mutate::other_class_of(pod) {
        return Some(events::other_class(warning));
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match injector.judge(namespace, pod).await {
        Verdict::Skipped => None,
        Verdict::Without(_, why) => Some(events::not_injected(without(&why))),
        Verdict::Injected(_) => Some(events::not_injected(without(
            "it was made before its FakeLogSource, or while no operator answered; make it anew",
        ))),
    }
}

/// What has been told.
#[derive(Default)]
struct Told {
    /// The uids of young pods.
    pods: HashMap<String, Timestamp>,
    /// How much was told of a namespace, and since when.
    namespaces: HashMap<String, (Instant, u32)>,
}

impl Told {
    /// Whether a pod is young, and nothing was told of it.
    fn is_news(&mut self, pod: &DynamicObject, now: Timestamp) -> bool {
        let is_young = |born: Timestamp| now.duration_since(born).unsigned_abs() < YOUNG;
        self.pods.retain(|_, born| is_young(*born));
        let (Some(uid), Some(born)) = (&pod.metadata.uid, &pod.metadata.creation_timestamp) else {
            return false;
        };
        is_young(born.0) && self.pods.insert(uid.clone(), born.0).is_none()
    }

    fn may_tell(&mut self, namespace: &str) -> bool {
        let now = Instant::now();
        self.namespaces.retain(|_, (since, _)| now.duration_since(*since) < SPAN);
        let (_, count) = self.namespaces.entry(namespace.to_owned()).or_insert((now, 0));
        *count += 1;
        *count <= MOST
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

    fn pod(uid: &str, born: &str) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"uid": uid, "creationTimestamp": born}}))
            .unwrap()
    }

    #[test]
    fn how_many_events_there_are_is_documented() {
        assert_eq!(SPAN.as_secs(), 60);
        documented::says("events about pods |", &format!("{MOST} a minute in a namespace"));
    }

    #[tokio::test(start_paused = true)]
    async fn each_young_pod_is_told_of_once_and_a_namespace_has_so_many() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let mut told = Told::default();
        assert!(told.is_news(&pod("1", "2026-01-01T00:09:59Z"), now));
        assert!(!told.is_news(&pod("1", "2026-01-01T00:09:59Z"), now));
        assert!(!told.is_news(&pod("2", "2026-01-01T00:07:00Z"), now));
        for number in 0..100 {
            assert_eq!(told.may_tell("web"), number < MOST);
        }
        assert!(told.may_tell("shop"));
        tokio::time::advance(SPAN).await;
        assert!(told.may_tell("web"));
        let later: Timestamp = "2026-01-01T00:20:00Z".parse().unwrap();
        assert!(!told.is_news(&pod("3", "2026-01-01T00:09:59Z"), later));
        assert!(told.pods.is_empty());
    }
}
