//! The validator: rejects invalid sources when they are applied, by the rules of `visor validate`
//! and the operator's policy. If it doesn't respond, the API server accepts the source, and the
//! source's status reports what is wrong.
//!
//! As in the injector, a review causes nothing but a response, and the memory for reviews is
//! bounded: anybody who reaches the port can send one.

mod decide;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use kube::{
    Api, Client,
    core::{
        DynamicObject,
        admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation},
    },
};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tracing::debug;
use visor_api::FakeLogSource;
use visor_http::{Budget, CompleteBody, Progress};

use crate::{
    admission::{self, ReviewError, lookups::Lookups},
    metrics::{Metrics, Validation},
    policy::Policy,
    source::GuardedSource,
};
use decide::Decision;

/// The maximum size of a review: a stored source is at most 1.5 MiB, and a review has it twice.
const MAX_BYTES: usize = 4 << 20;
/// The maximum size of all reviews in memory.
const MAX_BYTES_OF_ALL: usize = 16 << 20;
/// The maximum number of values, fields and items in a review: 10,000 streams, old and new.
const MAX_VALUES: usize = 500_000;
/// Larger reviews are answered one after the other, on a blocking thread.
const LARGE_BYTES: usize = 256 << 10;
/// The maximum number of reviews that are answered concurrently.
const MAX_CONCURRENT: usize = 4;

/// Answers reviews of sources.
pub(crate) struct Validator {
    policy: Policy,
    client: Client,
    metrics: Arc<Metrics>,
    lookups: Lookups<GuardedSource>,
    budget: Budget,
    concurrency: Semaphore,
    large_reviews: Semaphore,
}

/// The path that the API server calls.
pub(crate) fn router(validator: Arc<Validator>) -> Router {
    Router::new().route("/validate", post(validate)).with_state(validator)
}

async fn validate(
    State(validator): State<Arc<Validator>>,
    Extension(progress): Extension<Progress>,
    body: Body,
) -> Response {
    match validator.review(body, &progress).await {
        Ok(review) => Json(review).into_response(),
        Err((status, why)) => {
            validator.metrics.validation(Validation::Error);
            (status, format!("{why}\n")).into_response()
        }
    }
}

/// An upper bound of the number of values in a JSON text.
fn values(bytes: &[u8]) -> usize {
    1 + bytes.iter().filter(|byte| b",[{".contains(byte)).count()
}

fn request(body: &[u8]) -> Result<AdmissionRequest<DynamicObject>, String> {
    let review: AdmissionReview<DynamicObject> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    review.try_into().map_err(|_| "the review has no request".to_owned())
}

impl Validator {
    /// `client` is used for lookups, which are throttled separately.
    pub(crate) fn new(policy: Policy, client: Client, metrics: Arc<Metrics>) -> Self {
        Self {
            policy,
            client,
            metrics,
            lookups: Lookups::default(),
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
        if values(body.bytes()) > MAX_VALUES {
            return Err(admission::too_large(&format!("{MAX_VALUES} values")));
        }
        // The connection may be closed in favor of another one while it waits.
        progress.waiting();
        let semaphore =
            if body.bytes().len() > LARGE_BYTES { &self.large_reviews } else { &self.concurrency };
        // The semaphore is never closed.
        let _turn = semaphore.acquire().await;
        progress.answering();
        self.answer(body).await.map_err(|why| admission::malformed(&why))
    }

    async fn answer(&self, body: CompleteBody) -> Result<AdmissionReview<DynamicObject>, String> {
        let policy = self.policy.clone();
        let decided = spawn_blocking(move || {
            let request = request(body.bytes())?;
            let decision =
                if is_scale(&request) { None } else { Some(decide_source(&policy, &request)) };
            Ok((request, decision))
        });
        let (request, decision) = decided.await.map_err(|error| error.to_string()).flatten()?;
        let decision = match decision {
            Some(decision) => decision,
            None => self.decide_scale(&request).await,
        };
        let mut response = AdmissionResponse::from(&request);
        let (result, response) = match decision {
            Decision::Allowed(warnings) => {
                response.warnings = (!warnings.is_empty()).then_some(warnings);
                (Validation::Allowed, response)
            }
            Decision::Rejected(why) => {
                debug!(name = request.name, namespace = request.namespace, why, "denied");
                (Validation::Rejected, response.deny(why))
            }
        };
        self.metrics.validation(result);
        Ok(response.into_review())
    }

    /// Whether a source can be scaled (`kubectl scale`).
    async fn decide_scale(&self, request: &AdmissionRequest<DynamicObject>) -> Decision {
        let (Some(namespace), name) = (&request.namespace, &request.name) else {
            return Decision::Allowed(Vec::new());
        };
        let api: Api<GuardedSource> = Api::namespaced(self.client.clone(), namespace);
        // A cached result about one version of a source isn't valid for the next.
        let metadata = request.object.as_ref().map(|scale| &scale.metadata);
        let version = metadata.map(|it| (it.uid.clone(), it.resource_version.clone()));
        let key = format!("{namespace}/{name} {version:?}");
        let found = self.lookups.get(&key, api.get_opt(name)).await;
        match found.ok().flatten().as_deref() {
            Some(kube::core::DeserializeGuard(Ok(FakeLogSource { spec, .. }))) => {
                decide::scale(spec.resolved_workload())
            }
            // Unknown sources are not rejected.
            _ => Decision::Allowed(Vec::new()),
        }
    }
}

fn is_scale(request: &AdmissionRequest<DynamicObject>) -> bool {
    request.sub_resource.as_deref() == Some("scale")
}

fn decide_source(policy: &Policy, request: &AdmissionRequest<DynamicObject>) -> Decision {
    let is_written = matches!(request.operation, Operation::Create | Operation::Update);
    let object = |object: &Option<DynamicObject>| {
        object.as_ref().and_then(|object| serde_json::to_value(object).ok())
    };
    match object(&request.object) {
        Some(new) if is_written && request.kind.kind == "FakeLogSource" => {
            let old = object(&request.old_object);
            decide::source(policy, old.as_ref().and_then(|old| old.get("spec")), new)
        }
        _ => Decision::Allowed(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documented::row_contains;

    #[test]
    fn how_much_of_reviews_is_held_is_documented() {
        let cells = "reviews of sources | bytes of one; of all; values; concurrent";
        let (one, all) = (MAX_BYTES >> 20, MAX_BYTES_OF_ALL >> 20);
        row_contains(
            cells,
            &format!("{one} MiB; {all} MiB; {MAX_VALUES}; {MAX_CONCURRENT}, and one above"),
        );
    }

    #[test]
    fn values_are_counted_before_they_are_read() {
        let count = |text: &str| values(text.as_bytes());
        assert_eq!(count("7"), 1);
        assert!(count("[[],[],{}]") >= 4);
        assert!(count(r#"{"a": 1, "b": [1, 2, 3]}"#) >= 6);
    }

    #[test]
    fn an_invalid_review_is_reported() {
        for text in ["", "{}", "[]", r#"{"request": {}}"#] {
            assert!(request(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(request(deep.as_bytes()).is_err());
    }
}
