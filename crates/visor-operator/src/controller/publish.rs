//! Events: changes of a source, published once each, for `kubectl describe`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    api::ObjectMeta,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::{info, warn};
use visor_api::{FakeLogSource, source::FakeLogSourceStatus};

use super::{
    state::Sources,
    status::{ACCEPTED, OUTPUTS_FAILING, READY, find_condition},
};
use crate::labels::FIELD_MANAGER;

/// The maximum size of an event's note in bytes (events.k8s.io/v1).
const MAX_NOTE_BYTES: usize = 1000;

/// Publishes events.
#[derive(Clone)]
pub(crate) struct EventPublisher(Recorder);

/// Publishes events about sources, each once.
#[derive(Clone)]
pub(crate) struct SourceEventPublisher {
    events: EventPublisher,
    sources: Arc<Sources>,
}

/// An event to publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewEvent {
    good: bool,
    reason: String,
    action: &'static str,
    pub(crate) note: String,
}

impl EventPublisher {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter =
            Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(identity.to_owned()) };
        Self(Recorder::new(client, reporter))
    }

    /// Publishes an event about any object. A failure is logged; returns whether there was none.
    pub(crate) async fn publish(&self, about: &ObjectReference, new_event: NewEvent) -> bool {
        let NewEvent { good, reason, action, note } = new_event;
        let part = |part: &Option<String>| part.as_deref().unwrap_or_default().to_owned();
        let (kind, name) = (part(&about.kind), part(&about.name));
        let namespace = part(&about.namespace);
        if good {
            info!(kind, namespace, name, reason, "{note}");
        } else {
            warn!(kind, namespace, name, reason, "{note}");
        }
        let event = Event {
            type_: if good { EventType::Normal } else { EventType::Warning },
            reason,
            note: Some(truncated(note)),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, about).await {
            warn!(kind, namespace, name, %error, "cannot publish this event");
            return false;
        }
        true
    }
}

impl SourceEventPublisher {
    pub(crate) const fn new(events: EventPublisher, sources: Arc<Sources>) -> Self {
        Self { events, sources }
    }

    /// Publishes an event about a source, unless one with the same reason has been published about
    /// this generation.
    pub(crate) async fn publish(&self, source: &ObjectMeta, new_event: NewEvent) {
        let (generation, reason) = (source.generation, new_event.reason.clone());
        let is_new = self.sources.of(source, |state| state.published.insert(generation, &reason));
        if is_new && !self.events.publish(&reference(source), new_event).await {
            self.sources.of(source, |state| state.published.remove(generation, &reason));
        }
    }
}

/// A reference to a source by its metadata, which even a malformed one has.
fn reference(source: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(FakeLogSource::api_version(&()).into_owned()),
        kind: Some(FakeLogSource::kind(&()).into_owned()),
        name: source.name.clone(),
        namespace: source.namespace.clone(),
        uid: source.uid.clone(),
        // Makes an event about another state of the source a new one, not a repetition.
        resource_version: source.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// The event for a change of status: the source was rejected or is accepted again, it is ready,
/// suspended or complete, or its outputs fail. Pods that start or stop cause none, because the
/// pods' own events say more.
pub(crate) fn for_status_change(
    old: Option<&FakeLogSourceStatus>,
    new: &FakeLogSourceStatus,
) -> Option<NewEvent> {
    let condition = |status: Option<&FakeLogSourceStatus>, type_| {
        let found = find_condition(&status?.conditions, type_)?;
        Some((found.status == "True", found.reason.clone(), found.message.clone()))
    };
    let (accepted, reason, message) = condition(Some(new), ACCEPTED)?;
    let was = condition(old, ACCEPTED);
    if !accepted {
        let same = was.is_some_and(|(_, old_reason, old_message)| {
            (old_reason, old_message) == (reason.clone(), message.clone())
        });
        let published = NewEvent { good: false, reason, action: "Check", note: message };
        return (!same).then_some(published);
    }
    let (ready, reason, note) = condition(Some(new), READY)?;
    let failed = ["Failed", OUTPUTS_FAILING].contains(&reason.as_str());
    let same = condition(old, READY).is_some_and(|(was_ready, old_reason, _)| {
        (was_ready, old_reason) == (ready, reason.clone())
    });
    let published = NewEvent { good: ready, reason, action: "Observe", note };
    ((ready || failed) && !same).then_some(published)
}

/// A child was recreated.
pub(crate) fn recreated(kind: &str, name: &str, why: &str) -> NewEvent {
    NewEvent {
        good: true,
        reason: "Recreated".to_owned(),
        action: "Apply",
        note: format!("recreated {kind} {name}: {why}"),
    }
}

/// Another operator manages a source.
pub(crate) fn managed_by_other_operator(other: &str, ours: &str) -> NewEvent {
    NewEvent {
        good: false,
        reason: "OtherOperator".to_owned(),
        action: "Apply",
        note: format!(
            "the operator with the Lease {other} manages this source, so the one with {ours} ignores \
             it: let only one of them watch this namespace (`watchNamespaces`)"
        ),
    }
}

/// A pod requested injection, and no generator was injected.
pub(crate) fn not_injected(why: String) -> NewEvent {
    NewEvent { good: false, reason: "NotInjected".to_owned(), action: "Inject", note: why }
}

/// Injection has changed the QoS class of a pod.
pub(crate) fn qos_class_changed(note: String) -> NewEvent {
    NewEvent { good: false, reason: "QoSClassChanged".to_owned(), action: "Inject", note }
}

fn truncated(mut note: String) -> String {
    if note.len() > MAX_NOTE_BYTES {
        note.truncate(note.floor_char_boundary(MAX_NOTE_BYTES));
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Failure, TestServer};

    /// An event that the API server did not take is published again at the next occasion.
    #[tokio::test]
    async fn an_event_that_failed_is_published_again() {
        let server = TestServer::new();
        server.fail(Failure::once("POST events", 403, "Forbidden"));
        let events = EventPublisher::new(server.client(), "one");
        let publisher = SourceEventPublisher::new(events, Arc::default());
        let source = ObjectMeta {
            name: Some("shop".to_owned()),
            namespace: Some("web".to_owned()),
            uid: Some("1".to_owned()),
            ..ObjectMeta::default()
        };
        for published in [0, 1, 1] {
            let new_event = NewEvent {
                good: true,
                reason: "Ready".to_owned(),
                action: "Reconcile",
                note: "ready".to_owned(),
            };
            publisher.publish(&source, new_event).await;
            assert_eq!(server.all("events").len(), published);
        }
    }
}
