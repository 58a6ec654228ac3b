//! Why a workload's pods can't be created. A Deployment reports that in its status; for the other
//! kinds only the events of their controllers do. It queries the API server, and only if pods are
//! missing.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    core::{DynamicObject, ObjectList},
};

use super::cache;

/// The reason of these events, for all controllers.
const FAILED_CREATE: &str = "FailedCreate";
/// The maximum number of events to read.
const MAX_EVENTS: u32 = 50;
/// How long a controller has to create pods.
pub(crate) const CREATE_TIME: SignedDuration = SignedDuration::from_secs(3);

/// Whether enough time has passed since a workload was written for its pods to exist.
pub(crate) fn should_have_pods(workload: &DynamicObject, now: Timestamp) -> bool {
    let created = workload.creation_timestamp().map(|created| created.0);
    let written = cache::last_written(workload).max(created);
    written.is_none_or(|written| now.duration_since(written) >= CREATE_TIME)
}

/// The API server's message when a pod of this workload was last rejected.
///
/// # Errors
///
/// The server's error.
pub(crate) async fn last_message(
    client: &Client,
    workload: &DynamicObject,
) -> kube::Result<Option<String>> {
    let (Some(namespace), Some(uid)) = (workload.namespace(), workload.uid()) else {
        return Ok(None);
    };
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    let fields = format!("involvedObject.uid={uid},reason={FAILED_CREATE}");
    let wanted = ListParams::default().fields(&fields).limit(MAX_EVENTS);
    let written = cache::last_written(workload);
    Ok(latest(&api.list(&wanted).await?, written))
}

/// The latest of these events; only those since the workload was last written.
fn latest(events: &ObjectList<Event>, since: Option<Timestamp>) -> Option<String> {
    let timed = events.items.iter().filter_map(|event| Some((time(event)?, event)));
    // The times of events are whole seconds.
    let second = SignedDuration::from_secs(1);
    let recent = timed.filter(|(at, _)| since.is_none_or(|since| *at >= since - second));
    let (_, latest) = recent.max_by_key(|(at, _)| *at)?;
    latest.message.clone()
}

fn time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let observed = series.or(event.event_time.as_ref()).map(|time| time.0);
    let last_message = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref());
    observed.max(last_message.map(|time| time.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn events(all: &[Value]) -> ObjectList<Event> {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": all,
        }))
        .unwrap()
    }

    fn event(message: &str, times: &Value) -> Value {
        let mut event = json!({
            "metadata": {}, "involvedObject": {}, "reason": FAILED_CREATE, "message": message,
        });
        let members = event.as_object_mut().unwrap();
        members.extend(times.as_object().unwrap().clone());
        event
    }

    #[test]
    fn the_latest_failed_create_is_used() {
        let old = event("quota", &json!({"lastTimestamp": "2026-01-01T00:00:00Z"}));
        let new = event("pod security", &json!({"eventTime": "2026-01-01T00:00:05.000000Z"}));
        let again = event(
            "limit range",
            &json!({
                "eventTime": "2026-01-01T00:00:00.000000Z",
                "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:09.000000Z"},
            }),
        );
        assert_eq!(latest(&events(&[]), None), None);
        let found = latest(&events(&[new.clone(), old.clone()]), None);
        assert_eq!(found.as_deref(), Some("pod security"));
        let found = latest(&events(&[again, new.clone(), old.clone()]), None);
        assert_eq!(found.as_deref(), Some("limit range"));
        // Of an earlier generation of the workload.
        let since = "2026-01-01T00:00:07Z".parse().unwrap();
        assert_eq!(latest(&events(&[new, old]), Some(since)), None);
    }

    #[test]
    fn pods_that_are_missing_for_a_moment_are_on_their_way() {
        let workload: DynamicObject = serde_json::from_value(json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [
                {"manager": "visor-operator", "time": "2026-01-01T00:01:00Z"},
            ]},
        }))
        .unwrap();
        let at = |time: &str| should_have_pods(&workload, time.parse().unwrap());
        assert!(!at("2026-01-01T00:01:01Z"));
        assert!(at("2026-01-01T00:01:03Z"));
    }
}
