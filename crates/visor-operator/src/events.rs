//! Events: what has changed about a source, said once, where `kubectl describe` shows it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    api::ObjectMeta,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::{info, warn};
use visor_api::{FakeLogSource, source::FakeLogSourceStatus};

use crate::{
    build::labels::MANAGER,
    status::{ACCEPTED, OUTPUTS_FAILING, READY, find},
};

/// Longest note of an event in bytes (events.k8s.io/v1).
const LONGEST_NOTE: usize = 1000;

/// Tells what happens.
#[derive(Clone)]
pub(crate) struct Announcer {
    recorder: Recorder,
    /// What was told of each source, by its uid.
    told: Arc<Mutex<HashMap<String, Told>>>,
}

/// The reasons of what was told of a source, as it was in that generation.
#[derive(Default)]
struct Told {
    generation: Option<i64>,
    reasons: Vec<String>,
}

/// Something to tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    good: bool,
    reason: String,
    action: &'static str,
    pub(crate) note: String,
}

impl Announcer {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter =
            Reporter { controller: MANAGER.to_owned(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), told: Arc::default() }
    }

    /// Writes an event about a source, unless one with this reason was written about it as it is now:
    /// pods that come and go, and a server that refuses now and then, are worth a word the first time.
    pub(crate) async fn announce(&self, source: &ObjectMeta, announcement: Announcement) {
        if self.is_new(source, &announcement.reason) {
            self.announce_about(&reference(source), announcement).await;
        }
    }

    fn is_new(&self, source: &ObjectMeta, reason: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Told { generation, reasons } =
            told.entry(source.uid.clone().unwrap_or_default()).or_default();
        if *generation != source.generation {
            *generation = source.generation;
            reasons.clear();
        }
        let is_new = !reasons.iter().any(|known| known == reason);
        if is_new {
            reasons.push(reason.to_owned());
        }
        is_new
    }

    /// Forgets sources that are no more.
    pub(crate) fn forget_all_but(&self, uids: &HashSet<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|uid, _| uids.contains(uid));
    }

    /// Writes an event about any object. One that can't be written is no reason to hold up anything.
    pub(crate) async fn announce_about(&self, about: &ObjectReference, announcement: Announcement) {
        let Announcement { good, reason, action, note } = announcement;
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
            note: Some(cut(note)),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            warn!(kind, namespace, name, %error, "this event could not be written");
        }
    }
}

/// A reference to a source, by its metadata alone: a malformed one has nothing else.
fn reference(source: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(FakeLogSource::api_version(&()).into_owned()),
        kind: Some(FakeLogSource::kind(&()).into_owned()),
        name: source.name.clone(),
        namespace: source.namespace.clone(),
        uid: source.uid.clone(),
        // One of another state of the source is another event, not the same once more.
        resource_version: source.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// What is to be told of a change of status: that a source was refused or accepted after all, that
/// it is ready, suspended or complete, or that nothing can be written. Pods on their way come and go untold, for their own events
/// say more.
pub(crate) fn of_change(
    old: Option<&FakeLogSourceStatus>,
    new: &FakeLogSourceStatus,
) -> Option<Announcement> {
    let condition = |status: Option<&FakeLogSourceStatus>, type_| {
        let found = find(&status?.conditions, type_)?;
        Some((found.status == "True", found.reason.clone(), found.message.clone()))
    };
    let (accepted, reason, message) = condition(Some(new), ACCEPTED)?;
    let was = condition(old, ACCEPTED);
    if !accepted {
        let same = was.is_some_and(|(_, old_reason, old_message)| {
            (old_reason, old_message) == (reason.clone(), message.clone())
        });
        let told = Announcement { good: false, reason, action: "Check", note: message };
        return (!same).then_some(told);
    }
    let (ready, reason, note) = condition(Some(new), READY)?;
    let failed = ["Failed", OUTPUTS_FAILING].contains(&reason.as_str());
    let same = condition(old, READY).is_some_and(|(was_ready, old_reason, _)| {
        (was_ready, old_reason) == (ready, reason.clone())
    });
    let told = Announcement { good: ready, reason, action: "Observe", note };
    ((ready || failed) && !same).then_some(told)
}

/// That a child was made anew, and why.
pub(crate) fn replaced(kind: &str, name: &str, why: &str) -> Announcement {
    Announcement {
        good: true,
        reason: "Replaced".to_owned(),
        action: "Apply",
        note: format!("{kind} {name} is made anew: {why}"),
    }
}

/// That another operator acts on a source.
pub(crate) fn of_another_operator(other: &str, ours: &str) -> Announcement {
    Announcement {
        good: false,
        reason: "OtherOperator".to_owned(),
        action: "Apply",
        note: format!(
            "the operator of the Lease {other} acts on this source, and the one of {ours} leaves it \
             alone: have only one of them watch this namespace (`watchNamespaces`)"
        ),
    }
}

/// That a pod asked for a generator and didn't get one.
pub(crate) fn not_injected(why: String) -> Announcement {
    Announcement { good: false, reason: "NotInjected".to_owned(), action: "Inject", note: why }
}

/// That a pod isn't of the quality of service class any more that it would be of by itself.
pub(crate) fn other_class(note: String) -> Announcement {
    Announcement { good: false, reason: "OtherQosClass".to_owned(), action: "Inject", note }
}

fn cut(mut note: String) -> String {
    if note.len() > LONGEST_NOTE {
        note.truncate(note.floor_char_boundary(LONGEST_NOTE));
    }
    note
}
