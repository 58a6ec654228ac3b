//! An `AdmissionReview` in, an answer out. The answer always lets the pod in.
//!
//! Nobody has shown that a review is the API server's: whoever reaches the port can send one. So it
//! makes nothing but an answer, of what is read of it little is kept ([`needed`]), and of all that is
//! done for reviews so much is done at once and no more.

mod needed;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation},
};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tracing::{debug, error};
use visor_http::{Budget, HeldBody, Progress};

use super::{
    Form, INJECT,
    known::{Known, NoSource},
    mutate::{self, Guest, Injected},
    names::is_label,
    wish::Wish,
};
use crate::{
    build::Settings,
    metrics::{Injection, Metrics},
    reviews::{self, NoReview},
    source::place,
};

/// The largest review that is read: an object is at most 3 MiB or so in a request to the API server,
/// and a review holds it once (`object`) or twice.
const MOST_BYTES: usize = 8 << 20;
/// The bytes of reviews that are held at once.
const MOST_BYTES_OF_ALL: usize = 32 << 20;
/// A review of more bytes is parsed in a thread that may take its time, one after the other.
const LARGE: usize = 256 << 10;
/// Reviews that are being answered at once, from their parsing to their answer.
const AT_ONCE: usize = 32;
/// The namespaces whose pods are left alone, whatever they ask for: a node's own.
const NEVER: [&str; 2] = ["kube-system", "kube-node-lease"];

/// Answers reviews.
pub(crate) struct Injector {
    pub(crate) known: Arc<Known>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    pub(crate) form: Form,
    /// The operator's own, which is left alone as well.
    pub(crate) own_namespace: String,
    budget: Budget,
    at_once: Semaphore,
    large: Semaphore,
}

/// What becomes of a pod.
pub(super) enum Verdict {
    /// It didn't ask for anything that it hasn't got.
    Skipped,
    Injected(Box<Injected>),
    /// It asked, and goes in without.
    Without(Injection, String),
}

/// The one path that the API server calls.
pub(crate) fn router(injector: Arc<Injector>) -> Router {
    Router::new().route("/inject", post(inject)).with_state(injector)
}

async fn inject(
    State(injector): State<Arc<Injector>>,
    Extension(progress): Extension<Progress>,
    body: Body,
) -> Response {
    match injector.review(body, &progress).await {
        Ok(review) => Json(review).into_response(),
        Err((status, why)) => {
            injector.metrics.injection(Injection::Error);
            (status, format!("{why}\n")).into_response()
        }
    }
}

fn request(body: &HeldBody) -> Result<AdmissionRequest<DynamicObject>, String> {
    let review = needed::read(body.bytes()).map_err(|error| error.to_string())?;
    let review: AdmissionReview<DynamicObject> =
        serde_json::from_value(review).map_err(|error| error.to_string())?;
    review.try_into().map_err(|_| "it has no request".to_owned())
}

impl Injector {
    pub(crate) fn new(
        known: Arc<Known>,
        metrics: Arc<Metrics>,
        settings: Settings,
        form: Form,
        own_namespace: String,
    ) -> Self {
        Self {
            known,
            metrics,
            settings,
            form,
            own_namespace,
            budget: Budget::new(MOST_BYTES_OF_ALL),
            at_once: Semaphore::new(AT_ONCE),
            large: Semaphore::new(1),
        }
    }

    async fn review(
        &self,
        body: Body,
        progress: &Progress,
    ) -> Result<AdmissionReview<DynamicObject>, NoReview> {
        let body = reviews::read(&self.budget, body, MOST_BYTES, progress).await?;
        // It may be ended for another one while it waits for its turn.
        progress.waits();
        // It is never closed.
        let _turn = self.at_once.acquire().await;
        progress.works();
        let request = self.parse(body).await.map_err(|why| reviews::no_review(&why))?;
        Ok(self.answer(&request).await)
    }

    async fn parse(&self, body: HeldBody) -> Result<AdmissionRequest<DynamicObject>, String> {
        if body.bytes().len() <= LARGE {
            return request(&body);
        }
        // It is never closed.
        let _turn = self.large.acquire().await;
        let parsed = spawn_blocking(move || request(&body)).await;
        parsed.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The answer to a request.
    async fn answer(
        &self,
        request: &AdmissionRequest<DynamicObject>,
    ) -> AdmissionReview<DynamicObject> {
        let response = AdmissionResponse::from(request);
        let Some(pod) = request.object.as_ref().filter(|_| is_new_pod(request)) else {
            self.metrics.injection(Injection::Skipped);
            return response.into_review();
        };
        // The pod itself may not say where it goes.
        let namespace = request.namespace.as_deref().or(pod.metadata.namespace.as_deref());
        let verdict = self.judge(namespace.unwrap_or_default(), pod).await;
        let (outcome, after, warning) = match verdict {
            Verdict::Skipped => (Injection::Skipped, None, None),
            Verdict::Injected(injected) => {
                (Injection::Injected, Some(asking(injected.pod)), injected.warning)
            }
            Verdict::Without(outcome, why) => {
                (outcome, Some(asking(pod.clone())), Some(without(&why)))
            }
        };
        let patched = match after {
            Some(after) => patched(response.clone(), pod, &after),
            None => Ok(response.clone()),
        };
        let (outcome, mut response) = match patched {
            Ok(patched) => (outcome, patched),
            // A mistake of ours. The pod goes in as it is.
            Err(error) => {
                error!(%error, "a pod could not be injected");
                (Injection::Error, response)
            }
        };
        response.warnings = warning.map(|warning| vec![warning]);
        self.metrics.injection(outcome);
        response.into_review()
    }

    /// What becomes of a pod that is made in a namespace.
    pub(super) async fn judge(&self, namespace: &str, pod: &DynamicObject) -> Verdict {
        let is_left_alone = NEVER.contains(&namespace) || namespace == self.own_namespace;
        if is_left_alone || !is_label(namespace) {
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
}

/// What is told of a pod that has no generator.
pub(super) fn without(why: &str) -> String {
    format!("no logs are written by Visor in this pod: {why}")
}

/// The pod, saying itself that it asks, as its namespace does for it: so whoever watches pods that
/// ask sees all of them.
fn asking(mut pod: DynamicObject) -> DynamicObject {
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.entry(INJECT.to_owned()).or_insert_with(|| "true".to_owned());
    pod
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
