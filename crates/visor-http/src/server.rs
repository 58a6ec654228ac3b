//! HTTP on a connection: its requests, its phases, its end.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
    time::{sleep_until, timeout},
};
use tower::Service as _;
use tracing::debug;

use crate::{
    Connection, Limits, Progress, accept::accept_within, connections::Connections, phase::Phase,
};

/// How long an idle connection has to shut down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The handshake of a connection.
pub trait Handshake: Clone + Send + Sync + 'static {
    /// The stream that requests are read from.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Performs it.
    ///
    /// # Errors
    ///
    /// When it fails.
    fn perform(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// No handshake: plain HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Handshake for Plain {
    type Stream = TcpStream;

    async fn perform(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

/// Serves all connections; never returns. A handler finds its [`Connection`] and the [`Progress`] of
/// it among the extensions of the request.
pub async fn serve<H: Handshake>(
    listener: TcpListener,
    limits: Limits,
    handshake: H,
    router: impl FnOnce(ServerHandle) -> Router,
) {
    let handle = ServerHandle::new(&limits);
    let router = router(handle.clone());
    serve_with(handle, listener, limits, handshake, router).await;
}

/// Serves all connections, for a handle that was made with the same limits; never returns.
pub async fn serve_with<H: Handshake>(
    handle: ServerHandle,
    listener: TcpListener,
    limits: Limits,
    handshake: H,
    router: Router,
) {
    let ServerHandle(connections) = handle;
    let draining = connections.draining();
    let serve = |stream, connection| {
        let (handshake, router, draining) = (handshake.clone(), router.clone(), draining.clone());
        async move { serve_connection(stream, &limits, connection, draining, &handshake, router).await }
    };
    accept_within(listener, connections, serve).await;
}

/// What a handler, or who has started the server, may do with it.
#[derive(Debug, Clone)]
pub struct ServerHandle(Connections);

impl ServerHandle {
    /// The handle of a server that is to be started by [`serve_with`].
    pub fn new(limits: &Limits) -> Self {
        Self(Connections::new(limits.connections))
    }

    /// Closes a connection whose response isn't read, if there is one.
    pub fn close_slow_client(&self) {
        self.0.close_slow_client();
    }

    /// Ends each connection after the request that is being answered, if there is one, and returns
    /// when all have ended. Connections that are made meanwhile have one request.
    pub async fn drain(&self) {
        self.0.drain().await;
    }
}

/// Serves one connection until it ends, times out, or is closed for another one.
async fn serve_connection<H: Handshake>(
    stream: TcpStream,
    limits: &Limits,
    connection: Connection,
    mut draining: watch::Receiver<bool>,
    handshake: &H,
    router: Router,
) -> io::Result<()> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let stream = select! {
        stream = timeout(limits.head, handshake.perform(stream)) => stream??,
        () = connection.closed() => return Err(closed_for_another()),
    };
    let progress = connection.progress().clone();
    let requests = Requests { router, connection: connection.clone() };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits.buffer);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), requests));
    let mut phases = progress.watch();
    let mut is_ending = false;
    loop {
        let now = *phases.borrow_and_update();
        select! {
            ended = served.as_mut() => return ended.map_err(io::Error::other),
            () = connection.closed() => {
                // The client is notified, if that works at once, so that it doesn't believe that a
                // response was lost.
                served.as_mut().graceful_shutdown();
                let _ = served.now_or_never();
                return Err(closed_for_another());
            }
            () = drain(&mut draining), if !is_ending => {
                is_ending = true;
                served.as_mut().graceful_shutdown();
            }
            // The sender exists as long as `progress`.
            _ = phases.changed() => {}
            () = sleep_until(now.end(limits)) => {
                if progress.get().phase != Phase::Idle {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // The next request may be on its way: it is still answered.
                served.as_mut().graceful_shutdown();
                return timeout(SHUTDOWN_TIMEOUT, served).await?.map_err(io::Error::other);
            }
        }
    }
}

/// Waits until connections have to end.
async fn drain(draining: &mut watch::Receiver<bool>) {
    // The sender exists as long as the server.
    draining.wait_for(|is_draining| *is_draining).await.ok();
}

fn closed_for_another() -> io::Error {
    io::Error::other("closed for another connection")
}

/// The router, which records the phase of each request.
struct Requests {
    router: Router,
    connection: Connection,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let progress = self.connection.progress().clone();
        progress.enter(if request.body().is_end_stream() { Phase::Work } else { Phase::Body });
        request.extensions_mut().insert(progress.clone());
        request.extensions_mut().insert(self.connection.clone());
        // A router is always ready.
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let answer = answer.await?;
            progress.enter(Phase::ResponseBody);
            Ok(answer.map(|body| ResponseBody { body, progress }))
        })
    }
}

/// The body of a response. When it is dropped, all of it has been sent.
struct ResponseBody {
    body: Body,
    progress: Progress,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.progress.enter(Phase::Idle);
    }
}
