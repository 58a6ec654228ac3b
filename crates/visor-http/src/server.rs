//! The loop that accepts connections, and a task for each of them.

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
    time::{sleep, sleep_until, timeout},
};
use tower::Service as _;
use tracing::{debug, warn};

use crate::{
    Limits, Progress,
    connections::{Connections, Place},
    phase::Phase,
};

/// The pause after a connection could not be taken, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that has been idle has to come to its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a connection begins with.
pub trait Handshake: Clone + Send + Sync + 'static {
    /// What requests are read from then.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Does it.
    ///
    /// # Errors
    ///
    /// When the peer doesn't.
    fn shake(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Nothing: plain HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Handshake for Plain {
    type Stream = TcpStream;

    async fn shake(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

/// Answers whoever connects; never ends. A handler finds the [`Progress`] of its connection among
/// the extensions of a request.
pub async fn serve<H: Handshake>(
    listener: TcpListener,
    limits: Limits,
    handshake: H,
    router: impl FnOnce(ServerHandle) -> Router,
) {
    let connections = Connections::new(limits.connections);
    let router = router(ServerHandle(connections.clone()));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection could not be taken");
                sleep(PAUSE).await;
                continue;
            }
        };
        let progress = Progress::default();
        let Some(place) = connections.take(peer.ip().to_canonical(), progress.clone()) else {
            debug!("a connection was turned away: all others are being answered");
            continue;
        };
        let (handshake, router) = (handshake.clone(), router.clone());
        tokio::spawn(async move {
            if let Err(error) = hold(stream, &limits, place, progress, &handshake, router).await {
                debug!(%error, "a connection broke off");
            }
        });
    }
}

/// What a handler may ask of the server that it is part of.
#[derive(Debug, Clone)]
pub struct ServerHandle(Connections);

impl ServerHandle {
    /// Ends a connection whose answer isn't read, if there is one.
    pub fn end_slow_reader(&self) {
        self.0.end_slow_reader();
    }
}

/// Answers what is asked on one connection, until it ends, is too slow, or makes room.
async fn hold<H: Handshake>(
    stream: TcpStream,
    limits: &Limits,
    place: Place,
    progress: Progress,
    handshake: &H,
    router: Router,
) -> io::Result<()> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection is slower than it could be");
    }
    let stream = select! {
        stream = timeout(limits.head, handshake.shake(stream)) => stream??,
        () = place.end.notified() => return Err(made_room()),
    };
    let requests = Requests { router, progress: progress.clone() };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits.buffer);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), requests));
    let mut phases = progress.watch();
    loop {
        let now = *phases.borrow_and_update();
        select! {
            ended = connection.as_mut() => return ended.map_err(io::Error::other),
            () = place.end.notified() => {
                // As far as that is to be had at once, the peer is told, and doesn't take it for an
                // answer that was lost.
                connection.as_mut().graceful_shutdown();
                let _ = connection.now_or_never();
                return Err(made_room());
            }
            // There is a sender for as long as there is `progress`.
            _ = phases.changed() => {}
            () = sleep_until(now.end(limits)) => {
                if progress.get().phase != Phase::Idle {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // The next request may be on its way; it is answered.
                connection.as_mut().graceful_shutdown();
                return timeout(LAST_WORDS, connection).await?.map_err(io::Error::other);
            }
        }
    }
}

fn made_room() -> io::Error {
    io::Error::other("it made room for another one")
}

/// The router, with a note of how far each request has come.
struct Requests {
    router: Router,
    progress: Progress,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let progress = self.progress.clone();
        progress.enter(if request.body().is_end_stream() { Phase::Work } else { Phase::Body });
        request.extensions_mut().insert(progress.clone());
        // A router is always ready.
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let answer = answer.await?;
            progress.enter(Phase::Answer);
            Ok(answer.map(|body| Answer { body, progress }))
        })
    }
}

/// The body of an answer. When it is dropped, all of it has been taken.
struct Answer {
    body: Body,
    progress: Progress,
}

impl HttpBody for Answer {
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

impl Drop for Answer {
    fn drop(&mut self) {
        self.progress.enter(Phase::Idle);
    }
}
