//! The endpoints of every program: `/metrics` for Prometheus, `/livez` and `/readyz` for the kubelet,
//! and further pages. They are read-only.

use std::{
    fmt::Display,
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
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http_body::Frame;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{Progress, server::ServerHandle};

/// Concurrent responses with pages: each may have thousands of streams.
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

/// A page that is rendered anew for each request.
#[derive(Clone)]
pub struct Page {
    path: &'static str,
    /// The content type.
    kind: &'static str,
    render: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
}

impl Page {
    /// A page with Prometheus' metrics.
    pub fn metrics<E: Display>(
        render: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self {
        Self::new("/metrics", "text/plain; version=0.0.4", render)
    }

    /// A page with an object of JSON.
    pub fn json<E: Display>(
        path: &'static str,
        render: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self {
        Self::new(path, "application/json", render)
    }

    /// A page for people.
    pub fn html<E: Display>(
        path: &'static str,
        render: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self {
        Self::new(path, "text/html; charset=utf-8", render)
    }

    fn new<E: Display>(
        path: &'static str,
        kind: &'static str,
        render: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self {
        let render = Arc::new(move || render().map_err(|error| error.to_string()));
        Self { path, kind, render }
    }
}

/// The routes of these pages, and those of the probes. `ready` returns why the program isn't ready, as
/// lines that each end with a newline.
pub fn pages(
    pages: Vec<Page>,
    ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
) -> impl FnOnce(ServerHandle) -> Router {
    move |server| {
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
        let probes =
            Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready));
        let places = Arc::new(Semaphore::new(PAGES));
        pages.into_iter().fold(probes, |routes, page| {
            let (places, server) = (Arc::clone(&places), server.clone());
            routes.route(page.path, get(move |progress| page.response(places, server, progress)))
        })
    }
}

impl Page {
    async fn response(
        self,
        places: Arc<Semaphore>,
        server: ServerHandle,
        Extension(progress): Extension<Progress>,
    ) -> Response {
        progress.waiting();
        let slot = slot(places, &server).await;
        progress.answering();
        match (self.render)() {
            Ok(text) => {
                let page = PageBody { rest: text.into(), _place: slot };
                ([(header::CONTENT_TYPE, self.kind)], Body::new(page)).into_response()
            }
            Err(error) => {
                let message = format!("{}: {error}\n", self.path);
                (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
            }
        }
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
struct PageBody {
    rest: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl http_body::Body for PageBody {
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
