//! The HTTP server: `/metrics` for Prometheus, `/livez` and `/readyz` for a kubelet. It answers
//! questions and takes no orders.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Whether lines are being written.
#[derive(Default)]
pub(crate) struct Readiness(AtomicBool);

impl Readiness {
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Answers {
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
}

/// A server that is listening, but doesn't answer yet.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on an address.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the end of the program.
    pub(crate) async fn serve(
        self,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> io::Result<()> {
        let router = Router::new()
            .route("/metrics", get(render_metrics))
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(Answers { metrics, readiness });
        axum::serve(self.listener, router).await
    }
}

async fn render_metrics(State(answers): State<Answers>) -> Response {
    match answers.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}\n")).into_response()
        }
    }
}

async fn ready(State(answers): State<Answers>) -> Response {
    if answers.readiness.0.load(Ordering::Relaxed) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not writing lines\n").into_response()
    }
}
