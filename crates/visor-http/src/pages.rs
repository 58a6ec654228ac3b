//! The endpoints of every program: `/metrics` for Prometheus, `/livez` and `/readyz` for the kubelet.
//! They are read-only.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use http_body::Frame;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{Progress, server::ServerHandle};

/// Concurrent responses with metrics: each may have thousands of streams.
pub(crate) const PAGES: usize = 4;
/// How long a response waits before a slow client of another one is disconnected.
pub(crate) const SLOW_CLIENT_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes of a response that are handed to the connection at a time.
const PIECE: usize = 16 << 10;

/// Whether a program is ready.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    /// Sets it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether it is ready.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The routes. `render` renders the metrics; `ready` returns why the program isn't ready, as lines that
/// each end with a newline.
pub fn pages<E: std::fmt::Display>(
    render: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
) -> impl FnOnce(ServerHandle) -> Router {
    move |server| {
        let render = Arc::new(render);
        let places = Arc::new(Semaphore::new(PAGES));
        let metrics = move |Extension(progress): Extension<Progress>| {
            let (render, places, server) = (Arc::clone(&render), places.clone(), server.clone());
            async move {
                progress.waiting();
                let slot = slot(places, &server).await;
                progress.answering();
                match render() {
                    Ok(text) => {
                        let page = MetricsBody { rest: text.into(), _place: slot };
                        let kind = "text/plain; version=0.0.4";
                        ([(header::CONTENT_TYPE, kind)], Body::new(page)).into_response()
                    }
                    Err(error) => {
                        let message = format!("metrics: {error}\n");
                        (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
                    }
                }
            }
        };
        let ready = Arc::new(ready);
        let ready = move || {
            let ready = Arc::clone(&ready);
            async move {
                match ready() {
                    Ok(()) => "ok\n".into_response(),
                    Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
                }
            }
        };
        Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
    }
}

/// A permit for a response; if necessary, that of a client that doesn't read its own.
async fn slot(places: Arc<Semaphore>, server: &ServerHandle) -> Option<OwnedSemaphorePermit> {
    loop {
        match timeout(SLOW_CLIENT_TIMEOUT, Arc::clone(&places).acquire_owned()).await {
            Ok(slot) => return slot.ok(),
            Err(_) => server.close_slow_client(),
        }
    }
}

/// A response that is being read.
struct MetricsBody {
    rest: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl http_body::Body for MetricsBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = PIECE.min(self.rest.len());
        // A copy: a buffered chunk must not keep the whole response in memory.
        let piece = Bytes::copy_from_slice(&self.rest.split_to(piece));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.rest.len() as u64)
    }
}
