//! The pages that every program shows of itself: `/metrics` for Prometheus, `/livez` and `/readyz`
//! for a kubelet. They answer questions and take no orders.

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

/// Pages of metrics that are held at once: each may have thousands of streams.
pub(crate) const PAGES: usize = 4;
/// How long a page waits for the readers of others before one of them is cut off.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes of a page that are handed to the connection at a time.
const PIECE: usize = 16 << 10;

/// Whether a program does what it is for.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    /// Says so.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether it does.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The pages. `render` writes that of the metrics, and `ready` says what is in the way of the
/// program's being ready: a line or a few, each with its newline.
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
                progress.waits();
                let place = place(places, &server).await;
                progress.works();
                match render() {
                    Ok(text) => {
                        let page = Page { rest: text.into(), _place: place };
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

/// A place for a page; if need be that of somebody who doesn't read his.
async fn place(places: Arc<Semaphore>, server: &ServerHandle) -> Option<OwnedSemaphorePermit> {
    loop {
        match timeout(PATIENCE, Arc::clone(&places).acquire_owned()).await {
            Ok(place) => return place.ok(),
            Err(_) => server.end_slow_reader(),
        }
    }
}

/// A page that is being read.
struct Page {
    rest: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl http_body::Body for Page {
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
        // A copy: what waits to be written must not keep the whole page.
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
