//! HTTP: the way of a request, from its body to its answer.

use std::{future::pending, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    response::{Html, IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until},
};
use tracing::debug;
use visor_http::{BodyError, Budget, Connection, Progress};

use crate::{
    audit::Audit,
    fault::{Faults, Wrong},
    metrics::Metrics,
    security::Credentials,
};
use visor_protocols::{
    encoding::{self, DecodeError, MAX_BODY},
    protocol::{self, Answer, Protocol},
    records::Records,
};

/// The bytes of all bodies together that are being received.
const ALL_BODIES: usize = 2 * MAX_BODY;
/// How many requests are read at a time: each may have a decompressed body.
const MAX_READING: usize = 2;
/// How often it is said that an answer is still to come.
const DELAY_STEP: Duration = Duration::from_secs(10);

/// What takes requests.
#[derive(Clone)]
pub(crate) struct Server {
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
    faults: Arc<Faults>,
    credentials: Credentials,
    /// Renders the page for people.
    home: Arc<dyn Fn() -> String + Send + Sync>,
    bodies: Budget,
    places: Arc<Semaphore>,
}

impl Server {
    pub(crate) fn new(
        audit: Arc<Audit>,
        metrics: Arc<Metrics>,
        faults: Arc<Faults>,
        credentials: Credentials,
    ) -> Self {
        let places = Arc::new(Semaphore::new(MAX_READING));
        let (home, bodies) = (Arc::new(String::new), Budget::new(ALL_BODIES));
        Self { audit, metrics, faults, credentials, home, bodies, places }
    }

    /// Shows browsers this page at `/`, where other clients have questions and records.
    pub(crate) fn with_home(self, home: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { home: Arc::new(home), ..self }
    }

    /// The routes of requests that have records. Pages have routes of their own.
    pub(crate) fn routes(self, pages: Router) -> Router {
        pages.fallback_service(Router::new().fallback(take).with_state(self))
    }

    async fn answer(&self, connection: &Connection, head: &Parts, body: Body) -> Answer {
        let protocol = protocol::of(head);
        // A client that isn't answered for lack of a credential uses up no fault.
        let is_taken = protocol.has_records(head) && self.credentials.are_shown(&head.headers);
        let wrong =
            if is_taken { self.faults.of_request(protocol.name()) } else { Wrong::default() };
        let body = match wrong.bytes_per_second {
            Some(rate) => slowly(body, rate, connection.progress().clone()),
            None => body,
        };
        let answer = match self.bodies.read(body, MAX_BODY, connection.progress()).await {
            Ok(body) => self.answer_to(connection, protocol, head, body.bytes(), &wrong).await,
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

    /// The answer to a request, with what is done wrong.
    async fn answer_to(
        &self,
        connection: &Connection,
        protocol: &dyn Protocol,
        head: &Parts,
        body: &[u8],
        wrong: &Wrong,
    ) -> Answer {
        const WHY: &str = "a fault of the sink, on purpose";
        // After the body is read: many clients don't look for an answer before they have sent it.
        if !self.credentials.are_shown(&head.headers) {
            let why = "a credential is needed, in the header Authorization";
            let mut answer = protocol.reject(head, StatusCode::UNAUTHORIZED, why);
            let schemes = HeaderValue::from_static("Basic realm=\"visor-sink\", Bearer");
            answer.headers_mut().insert(WWW_AUTHENTICATE, schemes);
            return answer;
        }
        if wrong.close == Some(false) {
            return closed(connection).await;
        }
        if let Some((status, retry_after)) = wrong.reject {
            let mut answer = protocol.reject(head, status, WHY);
            if let Some(after) = retry_after {
                answer.headers_mut().insert(RETRY_AFTER, after.as_secs().into());
            }
            return answer;
        }
        let answer = self.read(connection, protocol, head, body, wrong).await;
        let end = Instant::now() + wrong.delay;
        while Instant::now() < end {
            // The connection isn't closed meanwhile, as it would be if this took too long.
            connection.progress().answering();
            sleep_until(end.min(Instant::now() + DELAY_STEP)).await;
        }
        match wrong.error {
            _ if wrong.close.is_some() => closed(connection).await,
            Some(status) => protocol.reject(head, status, WHY),
            None => answer,
        }
    }

    async fn read(
        &self,
        connection: &Connection,
        protocol: &dyn Protocol,
        head: &Parts,
        body: &[u8],
        wrong: &Wrong,
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
        let mut judge = || self.faults.of_item(protocol.name());
        match input.read(wrong, &mut judge, read) {
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

/// Closes a connection without an answer.
async fn closed(connection: &Connection) -> Answer {
    connection.close();
    pending().await
}

/// A body of which so many bytes are read in a second.
fn slowly(body: Body, bytes_per_second: u32, progress: Progress) -> Body {
    Body::from_stream(body.into_data_stream().then(move |frame| {
        let progress = progress.clone();
        async move {
            let bytes = frame.as_ref().map_or(0, Bytes::len);
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            sleep(Duration::from_secs(1) * bytes / bytes_per_second).await;
            progress.waiting();
            frame
        }
    }))
}

async fn take(
    State(server): State<Server>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    if protocol::is_page(&head) {
        return Html((server.home)()).into_response();
    }
    server.answer(&connection, &head, body).await.map(Body::from)
}
