//! Admission reviews: how they are read, and the response if one cannot be read, for both webhooks.

pub(crate) mod lookups;
pub(crate) mod server;
pub(crate) mod validator;

use axum::{body::Body, http::StatusCode};
use visor_http::{BodyError, Budget, CompleteBody, Progress};

/// Why a review cannot be read.
pub(crate) type ReviewError = (StatusCode, String);

/// Reads a review of at most this many bytes, within the memory limit.
///
/// # Errors
///
/// The response to such a review.
pub(crate) async fn read(
    budget: &Budget,
    body: Body,
    most_bytes: usize,
    progress: &Progress,
) -> Result<CompleteBody, ReviewError> {
    budget.read(body, most_bytes, progress).await.map_err(|error| match error {
        BodyError::TooLong => too_large(&format!("{most_bytes} bytes")),
        BodyError::Dropped => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once".to_owned())
        }
        BodyError::Incomplete => (StatusCode::BAD_REQUEST, "the body is incomplete".to_owned()),
    })
}

pub(crate) fn too_large(most: &str) -> ReviewError {
    (StatusCode::PAYLOAD_TOO_LARGE, format!("a review has at most {most}"))
}

pub(crate) fn malformed(why: &str) -> ReviewError {
    let why = format!("not an AdmissionReview of admission.k8s.io/v1: {why}");
    (StatusCode::BAD_REQUEST, why)
}
