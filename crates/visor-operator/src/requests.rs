//! The operator's requests to the API server, counted, and none without an end: a layer around the
//! client's connection.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::timeout;
use tower::{BoxError, Layer, Service};

use crate::metrics::Metrics;

/// The longest that the server may take to begin an answer. A watch may be silent for longer, and
/// ends by a rule of its own.
const PATIENCE: Duration = Duration::from_secs(15);

/// Wraps the client's connection.
#[derive(Clone)]
pub(crate) struct CountRequests(pub(crate) Arc<Metrics>);

/// The connection, counted.
#[derive(Clone)]
pub(crate) struct Counted<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted { inner, metrics: Arc::clone(&self.0) }
    }
}

impl<S, B, C> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<C>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let metrics = Arc::clone(&self.metrics);
        let method = verb(&request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = if method == WATCH {
                answer.await
            } else {
                timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(NO_ANSWER.into()))
            };
            let code = answer.as_ref().map_or(0, |response| response.status().as_u16());
            metrics.requested(method, code);
            answer
        })
    }
}

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
