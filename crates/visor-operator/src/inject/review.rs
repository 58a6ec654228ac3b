//! An `AdmissionReview` in, an answer out. The answer always lets the pod in.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    ResourceExt,
    core::{
        DynamicObject,
        admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation},
    },
};
use tokio::sync::Semaphore;
use tracing::{debug, error};

use super::{
    Form,
    known::{Known, NoSource},
    mutate::{self, Guest, Injected},
    wish::Wish,
};
use crate::{
    build::Settings,
    events::{self, Announcement, Announcer},
    metrics::{Injection, Metrics},
    source::place,
};

/// The largest review that is read: an object is at most 3 MiB or so in a request to the API server,
/// and a review holds it once (`object`) or twice.
const MOST_BYTES: usize = 8 << 20;
/// How many events may be on their way at once; more are left out rather than pile up.
const EVENTS_AT_ONCE: usize = 16;
/// The namespaces whose pods are left alone, whatever they ask for: a node's own.
const NEVER: [&str; 2] = ["kube-system", "kube-node-lease"];

/// Answers reviews.
pub(crate) struct Injector {
    pub(crate) known: Arc<Known>,
    pub(crate) announcer: Announcer,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    pub(crate) form: Form,
    /// The operator's own, which is left alone as well.
    pub(crate) own_namespace: String,
    events: Arc<Semaphore>,
}

/// What became of a pod.
enum Verdict {
    /// It didn't ask for anything that it hasn't got.
    Skipped,
    Injected(Box<Injected>),
    /// It asked, and goes in without.
    Without(Injection, String),
}

/// The one path that the API server calls.
pub(crate) fn router(injector: Arc<Injector>) -> Router {
    Router::new()
        .route("/inject", post(inject))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(injector)
}

async fn inject(State(injector): State<Arc<Injector>>, body: Bytes) -> Response {
    let read = serde_json::from_slice::<AdmissionReview<DynamicObject>>(&body);
    let request: Result<AdmissionRequest<DynamicObject>, String> = read
        .map_err(|error| error.to_string())
        .and_then(|review| review.try_into().map_err(|_| "it has no request".to_owned()));
    match request {
        Ok(request) => Json(injector.answer(&request).await).into_response(),
        Err(why) => {
            injector.metrics.injection(Injection::Error);
            let message = format!("this is no AdmissionReview of admission.k8s.io/v1: {why}\n");
            (StatusCode::BAD_REQUEST, message).into_response()
        }
    }
}

impl Injector {
    pub(crate) fn new(
        known: Arc<Known>,
        announcer: Announcer,
        metrics: Arc<Metrics>,
        settings: Settings,
        form: Form,
        own_namespace: String,
    ) -> Self {
        let events = Arc::new(Semaphore::new(EVENTS_AT_ONCE));
        Self { known, announcer, metrics, settings, form, own_namespace, events }
    }

    /// The answer to a request.
    async fn answer(
        &self,
        request: &AdmissionRequest<DynamicObject>,
    ) -> AdmissionReview<DynamicObject> {
        let mut response = AdmissionResponse::from(request);
        let verdict = match &request.object {
            Some(pod) if is_new_pod(request) => self.judge(request, pod).await,
            _ => Verdict::Skipped,
        };
        let (outcome, announcement) = match (verdict, &request.object) {
            (Verdict::Injected(injected), Some(pod)) => {
                match patched(response.clone(), pod, &injected.pod) {
                    Ok(patched) => {
                        response = patched;
                        (Injection::Injected, injected.warning.map(events::other_class))
                    }
                    // A mistake of ours. The pod goes in as it is.
                    Err(error) => {
                        error!(%error, "a pod could not be injected");
                        (Injection::Error, None)
                    }
                }
            }
            (Verdict::Without(outcome, why), _) => {
                let message = format!("no logs are written by Visor in this pod: {why}");
                (outcome, Some(events::not_injected(message)))
            }
            _ => (Injection::Skipped, None),
        };
        if let (Some(announcement), Some(pod)) = (announcement, &request.object) {
            response.warnings = Some(vec![announcement.note.clone()]);
            self.tell(request, pod, announcement);
        }
        self.metrics.injection(outcome);
        response.into_review()
    }

    async fn judge(
        &self,
        request: &AdmissionRequest<DynamicObject>,
        pod: &DynamicObject,
    ) -> Verdict {
        // The pod itself may not say where it goes.
        let namespace = request.namespace.as_deref().or(pod.metadata.namespace.as_deref());
        let namespace = namespace.unwrap_or_default();
        if NEVER.contains(&namespace) || namespace == self.own_namespace {
            return Verdict::Skipped;
        }
        let nothing = BTreeMap::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&nothing);
        let annotations = pod.metadata.annotations.as_ref().unwrap_or(&nothing);
        let around = match self.known.namespace(namespace).await {
            Ok(around) => around,
            Err(unknown) => return Verdict::Without(Injection::Error, unknown.to_string()),
        };
        let wish = match Wish::read(labels, annotations, &around) {
            Ok(Some(wish)) => wish,
            Ok(None) => return Verdict::Skipped,
            Err(why) => return Verdict::Without(Injection::Refused, why),
        };
        let source = match self.known.source(namespace, &wish.source).await {
            Ok(source) => source,
            Err(why @ NoSource::Missing(_)) => {
                return Verdict::Without(Injection::MissingSource, why.to_string());
            }
            Err(why @ NoSource::Unknown(_)) => {
                return Verdict::Without(Injection::Error, why.to_string());
            }
        };
        let template = source.spec.pod_template.as_ref();
        let guest = Guest {
            name: &wish.source,
            uid: source.metadata.uid.as_deref().unwrap_or_default(),
            resources: template.and_then(|template| template.resources.as_ref()),
            bounds: &self.known.bounds(namespace),
        };
        match mutate::inject(pod, &wish, &guest, &self.settings, self.form) {
            Ok(injected) => Verdict::Injected(Box::new(injected)),
            Err(why) => Verdict::Without(Injection::Refused, why),
        }
    }

    /// Tells by an event, in a task of its own, for the pod is not to wait for it. A dry run leaves no
    /// trace.
    fn tell(
        &self,
        request: &AdmissionRequest<DynamicObject>,
        pod: &DynamicObject,
        announcement: Announcement,
    ) {
        if request.dry_run {
            return;
        }
        let Ok(permit) = Arc::clone(&self.events).try_acquire_owned() else {
            debug!("too many events at once; this one is left out: {}", announcement.note);
            return;
        };
        let announcer = self.announcer.clone();
        let about = about(request, pod);
        tokio::spawn(async move {
            announcer.announce_about(&about, announcement).await;
            drop(permit);
        });
    }
}

/// What an event about a pod is attached to. A pod that is being created has no uid yet, and mostly no
/// name, so its owner is where a person will look.
fn about(request: &AdmissionRequest<DynamicObject>, pod: &DynamicObject) -> ObjectReference {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    let (api_version, kind, name, uid) = if let Some(owner) = owner {
        let (version, kind) = (owner.api_version.clone(), owner.kind.clone());
        (version, kind, owner.name.clone(), Some(owner.uid.clone()))
    } else {
        let name = pod.metadata.name.clone().or(pod.metadata.generate_name.clone());
        ("v1".to_owned(), "Pod".to_owned(), name.unwrap_or_default(), None)
    };
    ObjectReference {
        api_version: Some(api_version),
        kind: Some(kind),
        name: Some(name),
        namespace: request.namespace.clone(),
        uid,
        ..ObjectReference::default()
    }
}

fn is_new_pod(request: &AdmissionRequest<DynamicObject>) -> bool {
    request.operation == Operation::Create
        && request.kind.group.is_empty()
        && request.kind.kind == "Pod"
        && request.sub_resource.as_deref().unwrap_or_default().is_empty()
}

/// The answer that makes of a pod the injected one.
fn patched(
    response: AdmissionResponse,
    pod: &DynamicObject,
    injected: &DynamicObject,
) -> anyhow::Result<AdmissionResponse> {
    let (before, after) = (serde_json::to_value(pod)?, serde_json::to_value(injected)?);
    let patched = response.with_patch(json_patch::diff(&before, &after))?;
    debug!(pod = place(&pod.metadata), "injected");
    Ok(patched)
}

#[cfg(test)]
mod tests;
