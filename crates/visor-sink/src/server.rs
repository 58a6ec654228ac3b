//! HTTP: the way of a request, from its body to its answer.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{StatusCode, header::CONTENT_ENCODING, request::Parts};
use tokio::sync::Semaphore;
use tracing::debug;
use visor_http::{BodyError, Budget, Connection};

use crate::{
    audit::Audit,
    encoding::{self, DecodeError, MAX_BODY},
    metrics::Metrics,
    protocol::{self, Answer, Protocol},
    records::{Item, Records},
};

/// The bytes of all bodies together that are being received.
const ALL_BODIES: usize = 2 * MAX_BODY;
/// How many requests are read at a time: each may have a decompressed body.
const MAX_READING: usize = 2;

/// What takes requests.
#[derive(Clone)]
pub(crate) struct Server {
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
    bodies: Budget,
    places: Arc<Semaphore>,
}

impl Server {
    pub(crate) fn new(audit: Arc<Audit>, metrics: Arc<Metrics>) -> Self {
        let places = Arc::new(Semaphore::new(MAX_READING));
        Self { audit, metrics, bodies: Budget::new(ALL_BODIES), places }
    }

    /// The routes of requests that have records. Pages have routes of their own.
    pub(crate) fn routes(self, pages: Router) -> Router {
        pages.fallback_service(Router::new().fallback(take).with_state(self))
    }

    async fn answer(&self, connection: &Connection, head: &Parts, body: Body) -> Answer {
        let protocol = protocol::of(head);
        let answer = match self.bodies.read(body, MAX_BODY, connection.progress()).await {
            Ok(body) => self.read(connection, protocol, head, body.bytes()).await,
            Err(error) => {
                let (status, why) = match error {
                    BodyError::TooLong => (
                        StatusCode::PAYLOAD_TOO_LARGE,
                        format!("the body has more than {MAX_BODY} bytes"),
                    ),
                    BodyError::Dropped => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "too many bodies are being received; try again".to_owned(),
                    ),
                    BodyError::Incomplete => {
                        (StatusCode::BAD_REQUEST, "the body is not complete".to_owned())
                    }
                };
                protocol.reject(head, status, &why)
            }
        };
        self.metrics.request(protocol.name(), answer.status());
        answer
    }

    async fn read(
        &self,
        connection: &Connection,
        protocol: &dyn Protocol,
        head: &Parts,
        body: &[u8],
    ) -> Answer {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let encoding = head.headers.get(CONTENT_ENCODING).map_or("", |value| {
            // What is no text is no encoding either.
            value.to_str().unwrap_or("unknown")
        });
        let decoded = match encoding::decode(encoding, body) {
            Ok(decoded) => decoded,
            Err(error) => {
                let status = match error {
                    DecodeError::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    DecodeError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
                    DecodeError::Broken { .. } => StatusCode::BAD_REQUEST,
                };
                return protocol.reject(head, status, &error.to_string());
            }
        };
        let body = decoded.as_deref().unwrap_or(body);
        let name = || format!("{} {}", protocol.name(), connection.peer());
        let Some(input) = connection.state(|| self.audit.input(&name())) else {
            return protocol.reject(head, StatusCode::INTERNAL_SERVER_ERROR, "no input");
        };
        let read = |records: &mut Records<'_>| protocol.read(head, body, records);
        match input.read(false, &mut || Item::Taken, read) {
            Some((Ok(answer), taken)) => {
                self.metrics.records(protocol.name(), taken);
                answer
            }
            Some((Err(malformed), _)) => {
                self.metrics.malformed(protocol.name());
                debug!(protocol = protocol.name(), %malformed, "rejected a request");
                protocol.reject(head, StatusCode::BAD_REQUEST, &malformed.to_string())
            }
            None => protocol.reject(head, StatusCode::SERVICE_UNAVAILABLE, "the sink has ended"),
        }
    }
}

async fn take(
    State(server): State<Server>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    server.answer(&connection, &head, body).await.map(Body::from)
}
