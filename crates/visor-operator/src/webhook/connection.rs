//! One connection of the webhook's server: requests one after the other, each within a time, and an
//! end when nothing has been asked for long.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    select,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::server::TlsStream;
use tower::Service as _;
use tracing::debug;

use super::Limits;

/// The longest that a request may take, from its head to its answer. An API server waits for 30 s at
/// the most.
const REQUEST: Duration = Duration::from_secs(30);
/// How long a connection has to come to its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Answers what is asked, until there is nothing more.
pub(super) async fn answer(
    stream: TlsStream<TcpStream>,
    router: Router,
    limits: &Limits,
    is_full: impl Fn() -> bool,
) {
    let heard = Heard { router, last: Arc::new(Mutex::new(Instant::now())) };
    let last = Arc::clone(&heard.last);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), heard);
    let mut connection = pin!(connection);
    let ended = select! {
        ended = connection.as_mut() => ended,
        () = silence(&last, limits, is_full) => {
            connection.as_mut().graceful_shutdown();
            // One that has no end is dropped.
            timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke off");
    }
}

/// Waits until nothing has been asked for long.
async fn silence(last: &Mutex<Instant>, limits: &Limits, is_full: impl Fn() -> bool) {
    loop {
        sleep(limits.idle_when_full).await;
        let silent = last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if silent >= if is_full() { limits.idle_when_full } else { limits.idle } {
            return;
        }
    }
}

/// The router, with a note of when it was asked something, and an end to the waiting.
struct Heard {
    router: Router,
    last: Arc<Mutex<Instant>>,
}

impl Service<Request<Incoming>> for Heard {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        // A router is always ready.
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let late = |_| Ok(StatusCode::REQUEST_TIMEOUT.into_response());
            timeout(REQUEST, answer).await.unwrap_or_else(late)
        })
    }
}
