//! The validator: refuses sources that can't run, as somebody applies them, by the very rules of
//! `visor validate` and of the operator's administrator. Where it doesn't answer, the API server takes
//! the source, and the source's status says what is wrong with it.
//!
//! As the injector, it makes nothing of a review but an answer, and holds so much of reviews and no
//! more: whoever reaches the port can send one.

mod judge;

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
use visor_http::{Budget, HeldBody, Progress};

use crate::{
    lookups::Lookups,
    metrics::{Metrics, Validation},
    policy::Policy,
    reconcile::Guarded,
    reviews::{self, NoReview},
};
use judge::Verdict;

/// The largest review that is read: a source has 1.5 MiB at the most where it is stored, and a review
/// holds it twice.
const MOST_BYTES: usize = 4 << 20;
/// The bytes of reviews that are held at once.
const MOST_BYTES_OF_ALL: usize = 16 << 20;
/// The values, fields and items that a review has at the most: 10,000 streams before and after.
const MOST_VALUES: usize = 500_000;
/// A review of more bytes is answered alone, in a thread that may take its time.
const LARGE: usize = 256 << 10;
/// Reviews that are being answered at once.
const AT_ONCE: usize = 4;

/// Answers reviews of sources.
pub(crate) struct Validator {
    policy: Policy,
    client: Client,
    metrics: Arc<Metrics>,
    asked: Lookups<Guarded>,
    budget: Budget,
    at_once: Semaphore,
    large: Semaphore,
}

/// The one path that the API server calls.
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

/// About how many values there are in a JSON text; never less.
fn values(bytes: &[u8]) -> usize {
    1 + bytes.iter().filter(|byte| b",[{".contains(byte)).count()
}

fn request(body: &[u8]) -> Result<AdmissionRequest<DynamicObject>, String> {
    let review: AdmissionReview<DynamicObject> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    review.try_into().map_err(|_| "it has no request".to_owned())
}

impl Validator {
    /// `client` asks for what isn't known, apart from all else that is asked.
    pub(crate) fn new(policy: Policy, client: Client, metrics: Arc<Metrics>) -> Self {
        Self {
            policy,
            client,
            metrics,
            asked: Lookups::default(),
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
        if values(body.bytes()) > MOST_VALUES {
            return Err(reviews::too_large(&format!("{MOST_VALUES} values")));
        }
        // It may be ended for another one while it waits for its turn.
        progress.waits();
        let places = if body.bytes().len() > LARGE { &self.large } else { &self.at_once };
        // It is never closed.
        let _turn = places.acquire().await;
        progress.works();
        self.answer(body).await.map_err(|why| reviews::no_review(&why))
    }

    async fn answer(&self, body: HeldBody) -> Result<AdmissionReview<DynamicObject>, String> {
        let policy = self.policy.clone();
        let judged = spawn_blocking(move || {
            let request = request(body.bytes())?;
            let verdict =
                if is_scale(&request) { None } else { Some(of_source(&policy, &request)) };
            Ok((request, verdict))
        });
        let (request, verdict) = judged.await.map_err(|error| error.to_string()).flatten()?;
        let verdict = match verdict {
            Some(verdict) => verdict,
            None => self.of_scale(&request).await,
        };
        let mut response = AdmissionResponse::from(&request);
        let (outcome, response) = match verdict {
            Verdict::Allowed(warnings) => {
                response.warnings = (!warnings.is_empty()).then_some(warnings);
                (Validation::Allowed, response)
            }
            Verdict::Refused(why) => {
                debug!(name = request.name, namespace = request.namespace, why, "refused");
                (Validation::Refused, response.deny(why))
            }
        };
        self.metrics.validation(outcome);
        Ok(response.into_review())
    }

    /// Whether a source can have as many pods as somebody asks for (`kubectl scale`).
    async fn of_scale(&self, request: &AdmissionRequest<DynamicObject>) -> Verdict {
        let (Some(namespace), name) = (&request.namespace, &request.name) else {
            return Verdict::Allowed(Vec::new());
        };
        let api: Api<Guarded> = Api::namespaced(self.client.clone(), namespace);
        // What is remembered of one state of a source says nothing of the next.
        let metadata = request.object.as_ref().map(|scale| &scale.metadata);
        let version = metadata.map(|it| (it.uid.clone(), it.resource_version.clone()));
        let place = format!("{namespace}/{name} {version:?}");
        let found = self.asked.get(&place, api.get_opt(name)).await;
        match found.ok().flatten().as_deref() {
            Some(kube::core::DeserializeGuard(Ok(FakeLogSource { spec, .. }))) => {
                judge::scale(spec.resolved_workload())
            }
            // What isn't known is nobody's mistake.
            _ => Verdict::Allowed(Vec::new()),
        }
    }
}

fn is_scale(request: &AdmissionRequest<DynamicObject>) -> bool {
    request.sub_resource.as_deref() == Some("scale")
}

fn of_source(policy: &Policy, request: &AdmissionRequest<DynamicObject>) -> Verdict {
    let is_written = matches!(request.operation, Operation::Create | Operation::Update);
    let object = |object: &Option<DynamicObject>| {
        object.as_ref().and_then(|object| serde_json::to_value(object).ok())
    };
    match object(&request.object) {
        Some(new) if is_written && request.kind.kind == "FakeLogSource" => {
            let old = object(&request.old_object);
            judge::source(policy, old.as_ref().and_then(|old| old.get("spec")), new)
        }
        _ => Verdict::Allowed(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documented::says;

    #[test]
    fn how_much_of_reviews_is_held_is_documented() {
        let cells = "reviews of sources | bytes of one; of all; values; answered at once";
        let (one, all) = (MOST_BYTES >> 20, MOST_BYTES_OF_ALL >> 20);
        says(cells, &format!("{one} MiB; {all} MiB; {MOST_VALUES}; {AT_ONCE}, and one above"));
    }

    #[test]
    fn values_are_counted_before_they_are_read() {
        let count = |text: &str| values(text.as_bytes());
        assert_eq!(count("7"), 1);
        assert!(count("[[],[],{}]") >= 4);
        assert!(count(r#"{"a": 1, "b": [1, 2, 3]}"#) >= 6);
    }

    #[test]
    fn what_is_no_review_is_told() {
        for text in ["", "{}", "[]", r#"{"request": {}}"#] {
            assert!(request(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(request(deep.as_bytes()).is_err());
    }
}
