//! An `AdmissionReview` in, a response out. The response always admits the pod.
//!
//! Reviews aren't authenticated: every client of the port can send one. So a review causes nothing
//! but a response, little of it is kept ([`filter`]), and the work for all reviews is bounded.

mod filter;

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
use visor_http::{Budget, CompleteBody, Progress};

use super::{
    Form, INJECT_LABEL,
    cache::{InjectorCache, NoSource},
    mutate::{self, Injected, SidecarSource},
    names::is_label,
    request::InjectionRequest,
};
use crate::{
    admission::{self, ReviewError},
    controller::build::Settings,
    metrics::{Injection, Metrics},
    source::namespaced_name,
};

/// The maximum size of a review: an object in a request to the API server is at most about 3 MiB,
/// and a review has it once (`object`) or twice.
const MAX_BYTES: usize = 8 << 20;
/// The maximum size of all reviews in memory.
const MAX_BYTES_OF_ALL: usize = 32 << 20;
/// Larger reviews are parsed on a blocking thread, one after the other.
const LARGE_BYTES: usize = 256 << 10;
/// The maximum number of reviews that are answered concurrently.
const MAX_CONCURRENT: usize = 32;
/// Namespaces of the nodes' own pods, in which nothing is injected.
const EXCLUDED_NAMESPACES: [&str; 2] = ["kube-system", "kube-node-lease"];

/// Answers reviews.
pub(crate) struct Injector {
    pub(crate) cache: Arc<InjectorCache>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    pub(crate) form: Form,
    /// The operator's own namespace, in which nothing is injected either.
    pub(crate) own_namespace: String,
    budget: Budget,
    concurrency: Semaphore,
    large_reviews: Semaphore,
}

/// The decision about a pod.
pub(super) enum Decision {
    /// It didn't request injection, or has been injected already.
    Skipped,
    Injected(Box<Injected>),
    /// It requested injection, and is admitted without.
    NotInjected(Injection, String),
}

/// The path that the API server calls.
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

fn request(body: &CompleteBody) -> Result<AdmissionRequest<DynamicObject>, String> {
    let review = filter::read(body.bytes()).map_err(|error| error.to_string())?;
    let review: AdmissionReview<DynamicObject> =
        serde_json::from_value(review).map_err(|error| error.to_string())?;
    review.try_into().map_err(|_| "the review has no request".to_owned())
}

impl Injector {
    pub(crate) fn new(
        cache: Arc<InjectorCache>,
        metrics: Arc<Metrics>,
        settings: Settings,
        form: Form,
        own_namespace: String,
    ) -> Self {
        Self {
            cache,
            metrics,
            settings,
            form,
            own_namespace,
            budget: Budget::new(MAX_BYTES_OF_ALL),
            concurrency: Semaphore::new(MAX_CONCURRENT),
            large_reviews: Semaphore::new(1),
        }
    }

    async fn review(
        &self,
        body: Body,
        progress: &Progress,
    ) -> Result<AdmissionReview<DynamicObject>, ReviewError> {
        let body = admission::read(&self.budget, body, MAX_BYTES, progress).await?;
        // The connection may be closed in favor of another one while it waits.
        progress.waiting();
        // The semaphore is never closed.
        let _turn = self.concurrency.acquire().await;
        progress.answering();
        let request = self.parse(body).await.map_err(|why| admission::malformed(&why))?;
        Ok(self.answer(&request).await)
    }

    async fn parse(&self, body: CompleteBody) -> Result<AdmissionRequest<DynamicObject>, String> {
        if body.bytes().len() <= LARGE_BYTES {
            return request(&body);
        }
        // The semaphore is never closed.
        let _turn = self.large_reviews.acquire().await;
        let parsed = spawn_blocking(move || request(&body)).await;
        parsed.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The response to a request.
    async fn answer(
        &self,
        request: &AdmissionRequest<DynamicObject>,
    ) -> AdmissionReview<DynamicObject> {
        let response = AdmissionResponse::from(request);
        let Some(pod) = request.object.as_ref().filter(|_| is_new_pod(request)) else {
            self.metrics.injection(Injection::Skipped);
            return response.into_review();
        };
        // The pod itself may not have a namespace.
        let namespace = request.namespace.as_deref().or(pod.metadata.namespace.as_deref());
        let decision = self.decide(namespace.unwrap_or_default(), pod).await;
        let (result, after, warning) = match decision {
            Decision::Skipped => (Injection::Skipped, None, None),
            Decision::Injected(injected) => {
                (Injection::Injected, Some(labeled(injected.pod)), injected.warning)
            }
            Decision::NotInjected(result, why) => {
                (result, Some(labeled(pod.clone())), Some(not_injected_message(&why)))
            }
        };
        let patched = match after {
            Some(after) => patched(response.clone(), pod, &after),
            None => Ok(response.clone()),
        };
        let (result, mut response) = match patched {
            Ok(patched) => (result, patched),
            // A bug. The pod is admitted unchanged.
            Err(error) => {
                error!(%error, "cannot inject the pod");
                (Injection::Error, response)
            }
        };
        response.warnings = warning.map(|warning| vec![warning]);
        self.metrics.injection(result);
        response.into_review()
    }

    /// The decision about a pod that is created in a namespace.
    pub(super) async fn decide(&self, namespace: &str, pod: &DynamicObject) -> Decision {
        let is_excluded =
            EXCLUDED_NAMESPACES.contains(&namespace) || namespace == self.own_namespace;
        if is_excluded || !is_label(namespace) {
            return Decision::Skipped;
        }
        let nothing = BTreeMap::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&nothing);
        let annotations = pod.metadata.annotations.as_ref().unwrap_or(&nothing);
        let defaults = match self.cache.namespace(namespace).await {
            Ok(defaults) => defaults,
            Err(unknown) => return Decision::NotInjected(Injection::Error, unknown.to_string()),
        };
        let injection = match InjectionRequest::read(labels, annotations, &defaults) {
            Ok(Some(injection)) => injection,
            Ok(None) => return Decision::Skipped,
            Err(why) => return Decision::NotInjected(Injection::Rejected, why),
        };
        let source = match self.cache.source(namespace, &injection.source).await {
            Ok(source) => source,
            Err(why @ NoSource::Missing(_)) => {
                return Decision::NotInjected(Injection::MissingSource, why.to_string());
            }
            Err(why @ NoSource::LookupError(_)) => {
                return Decision::NotInjected(Injection::Error, why.to_string());
            }
        };
        let template = source.spec.pod_template.as_ref();
        let sidecar = SidecarSource {
            name: &injection.source,
            uid: source.metadata.uid.as_deref().unwrap_or_default(),
            resources: template.and_then(|template| template.resources.as_ref()),
            limits: &self.cache.limits(namespace),
        };
        match mutate::inject(pod, &injection, &sidecar, &self.settings, self.form) {
            Ok(injected) => Decision::Injected(Box::new(injected)),
            Err(why) => Decision::NotInjected(Injection::Rejected, why),
        }
    }
}

/// The message about a pod without a generator.
pub(super) fn not_injected_message(why: &str) -> String {
    format!("no generator was injected into this pod: {why}")
}

/// The pod, labeled as requesting injection itself where its namespace does so for it: whoever
/// watches pods that request injection sees all of them.
fn labeled(mut pod: DynamicObject) -> DynamicObject {
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.entry(INJECT_LABEL.to_owned()).or_insert_with(|| "true".to_owned());
    pod
}

fn is_new_pod(request: &AdmissionRequest<DynamicObject>) -> bool {
    request.operation == Operation::Create
        && request.kind.group.is_empty()
        && request.kind.kind == "Pod"
        && request.sub_resource.as_deref().unwrap_or_default().is_empty()
}

/// The response with the patch from the pod to the injected one.
fn patched(
    response: AdmissionResponse,
    pod: &DynamicObject,
    injected: &DynamicObject,
) -> anyhow::Result<AdmissionResponse> {
    let (before, after) = (serde_json::to_value(pod)?, serde_json::to_value(injected)?);
    let patched = response.with_patch(json_patch::diff(&before, &after))?;
    debug!(pod = namespaced_name(&pod.metadata), "injected");
    Ok(patched)
}

#[cfg(test)]
mod tests;
