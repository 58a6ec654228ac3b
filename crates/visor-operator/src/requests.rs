//! The operator's requests to the API server: counted, none without an end, none sooner than the
//! server wishes, and none that writes for a leader which no longer leads. A layer around the
//! client's connection.

mod manners;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Request, Response};
use tokio::time::timeout;
use tower::{BoxError, Layer, Service};

use crate::{leader::Fence, metrics::Metrics};
pub(crate) use manners::Manners;

/// The longest that the server may take to begin an answer. A watch may be silent for longer, and
/// ends by a rule of its own.
const PATIENCE: Duration = Duration::from_secs(15);

/// Wraps the client's connection.
#[derive(Clone)]
pub(crate) struct Requests {
    pub(crate) metrics: Arc<Metrics>,
    /// What the client keeps to, if it does: whoever renews a Lease can't wait.
    pub(crate) manners: Option<Arc<Manners>>,
    /// What keeps it from writing, if something does.
    pub(crate) fence: Option<Fence>,
}

/// The connection, wrapped.
#[derive(Clone)]
pub(crate) struct Wrapped<S> {
    inner: S,
    requests: Requests,
}

impl<S> Layer<S> for Requests {
    type Service = Wrapped<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Wrapped { inner, requests: self.clone() }
    }
}

impl<S, B, C> Service<Request<B>> for Wrapped<S>
where
    S: Service<Request<B>, Response = Response<C>, Error = BoxError>,
    S::Future: Send + 'static,
    C: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let requests = self.requests.clone();
        let method = verb(&request);
        let writes = *request.method() != Method::GET;
        let path = (method == WATCH).then(|| request.uri().path().to_owned());
        // It is sent when its future is first polled, and not yet.
        let answer = self.inner.call(request);
        Box::pin(async move {
            match (&requests.manners, &path) {
                (Some(manners), Some(path)) => manners.wait_to_watch(path).await,
                (Some(manners), None) => manners.wait().await,
                (None, _) => {}
            }
            if writes && requests.fence.as_ref().is_some_and(|fence| !fence.is_open()) {
                return Err(FENCED.into());
            }
            let answer = if path.is_some() {
                answer.await
            } else {
                timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(NO_ANSWER.into()))
            };
            let code = answer.as_ref().map_or(0, |response| response.status().as_u16());
            requests.metrics.requested(method, code);
            if let (Some(manners), Ok(response)) = (&requests.manners, &answer) {
                manners.heard(response);
            }
            answer
        })
    }
}

const FENCED: &str = "the Lease has run out: another operator may act, so this one does not";
const WATCH: &str = "WATCH";
const NO_ANSWER: &str = "the API server did not answer within 15 s";

/// The method; a watch, which is a GET that stays, has a name of its own.
fn verb<B>(request: &Request<B>) -> &'static str {
    let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    match request.method().as_str() {
        "GET" if watches => WATCH,
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_told_from_other_gets() {
        let of = |method: &str, uri: &str| {
            verb(&Request::builder().method(method).uri(uri).body(()).unwrap())
        };
        assert_eq!(of("GET", "/api/v1/pods?&watch=true&timeoutSeconds=290"), "WATCH");
        assert_eq!(of("GET", "/api/v1/pods?limit=500"), "GET");
        assert_eq!(of("PATCH", "/api/v1/pods/x"), "PATCH");
        assert_eq!(of("BREW", "/"), "other");
    }
}
