//! A layer around the client of the API server: it counts requests, limits their time, throttles
//! them as the server asks, and blocks the writes of a former leader.

mod throttle;

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
pub(crate) use throttle::Throttle;

/// The maximum time until a response starts. A watch may be silent for longer, and has a timeout of
/// its own.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// The layer.
#[derive(Clone)]
pub(crate) struct RequestLayer {
    pub(crate) metrics: Arc<Metrics>,
    /// The throttle, if there is one: renewing a Lease can't wait.
    pub(crate) throttle: Option<Arc<Throttle>>,
    /// Blocks writes while it is closed, if there is one.
    pub(crate) fence: Option<Fence>,
}

/// The wrapped service.
#[derive(Clone)]
pub(crate) struct RequestService<S> {
    inner: S,
    requests: RequestLayer,
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestService { inner, requests: self.clone() }
    }
}

impl<S, B, C> Service<Request<B>> for RequestService<S>
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
        // It is sent when its future is first polled.
        let answer = self.inner.call(request);
        Box::pin(async move {
            match (&requests.throttle, &path) {
                (Some(throttle), Some(path)) => throttle.wait_to_watch(path).await,
                (Some(throttle), None) => throttle.wait().await,
                (None, _) => {}
            }
            if writes && requests.fence.as_ref().is_some_and(|fence| !fence.is_open()) {
                return Err(FENCED.into());
            }
            let answer = if path.is_some() {
                answer.await
            } else {
                timeout(TIME_LIMIT, answer).await.unwrap_or_else(|_| Err(NO_ANSWER.into()))
            };
            let code = answer.as_ref().map_or(0, |response| response.status().as_u16());
            requests.metrics.record_request(method, code);
            if let (Some(throttle), Ok(response)) = (&requests.throttle, &answer) {
                throttle.observe_response(response);
            }
            answer
        })
    }
}

const FENCED: &str = "not sent: the Lease has expired, so another operator may be the leader";
const WATCH: &str = "WATCH";
const NO_ANSWER: &str = "the API server did not respond within 15 s";

/// The method for metrics; a watch, which is a long GET, has a name of its own.
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
    fn a_watch_is_distinguished_from_other_gets() {
        let of = |method: &str, uri: &str| {
            verb(&Request::builder().method(method).uri(uri).body(()).unwrap())
        };
        assert_eq!(of("GET", "/api/v1/pods?&watch=true&timeoutSeconds=290"), "WATCH");
        assert_eq!(of("GET", "/api/v1/pods?limit=500"), "GET");
        assert_eq!(of("PATCH", "/api/v1/pods/x"), "PATCH");
        assert_eq!(of("BREW", "/"), "other");
    }
}
