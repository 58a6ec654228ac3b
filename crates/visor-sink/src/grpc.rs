//! OTLP over gRPC: one method of one service, on a port of its own. Messages stay bytes, since
//! [`otlp`] reads their fields where they are.

use std::{convert::Infallible, future::pending, io, sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use futures::{FutureExt, future::BoxFuture};
use http::StatusCode;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    select,
    time::sleep,
};
use tonic::{
    Code, Status,
    body::Body,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, UnaryService},
};
use visor_http::Connection;

use crate::{
    audit::{Audit, InputHandle},
    fault::{Faults, Wrong},
    metrics::Metrics,
    security::Credentials,
};
use visor_protocols::{encoding::MAX_BODY, protocol::otlp, records::Item};

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const NAME: &str = "otlp-grpc";
/// The maximum number of requests at a time on a connection.
const MAX_REQUESTS: u32 = 8;
/// The maximum number of bytes of the headers of a request.
const MAX_HEADERS: u32 = 16 << 10;
/// How often an idle client is asked whether it is there.
const PING: Duration = Duration::from_secs(30);

/// What takes calls.
#[derive(Clone)]
pub(crate) struct Calls {
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
    faults: Arc<Faults>,
    credentials: Credentials,
}

impl Calls {
    pub(crate) const fn new(
        audit: Arc<Audit>,
        metrics: Arc<Metrics>,
        faults: Arc<Faults>,
        credentials: Credentials,
    ) -> Self {
        Self { audit, metrics, faults, credentials }
    }

    /// Takes the calls of a connection until its end.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        connection: Connection,
    ) -> io::Result<()> {
        let input = Arc::new(self.audit.input(&format!("{NAME} {}", connection.peer())));
        let Self { metrics, faults, credentials, .. } = self;
        let export = Export { input, metrics, faults, connection: connection.clone() };
        let service = service_fn(move |request| call(export.clone(), credentials.clone(), request));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_REQUESTS)
            .max_header_list_size(MAX_HEADERS)
            .keep_alive_interval(PING);
        select! {
            ended = builder.serve_connection(TokioIo::new(stream), service) => {
                ended.map_err(io::Error::other)
            }
            () = connection.closed() => Err(io::Error::other("closed for another one")),
        }
    }
}

async fn call(
    export: Export,
    credentials: Credentials,
    request: http::Request<Incoming>,
) -> Result<http::Response<Body>, Infallible> {
    if !credentials.are_shown(request.headers()) {
        let why = "a credential is needed, in the metadata authorization";
        return Ok(Status::unauthenticated(why).into_http());
    }
    if request.uri().path() != EXPORT {
        let why = format!("there is only {EXPORT}");
        return Ok(Status::unimplemented(why).into_http());
    }
    let mut grpc = Grpc::new(Messages)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(MAX_BODY);
    Ok(grpc.unary(export, request).await)
}

/// The method.
#[derive(Clone)]
struct Export {
    input: Arc<InputHandle>,
    metrics: Arc<Metrics>,
    faults: Arc<Faults>,
    connection: Connection,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let export = self.clone();
        async move { export.answer(request.get_ref()).await }.boxed()
    }
}

impl Export {
    /// The answer to a request, with what is done wrong.
    async fn answer(&self, request: &[u8]) -> Result<tonic::Response<Bytes>, Status> {
        const WHY: &str = "a fault of the sink, on purpose";
        self.connection.progress().answering();
        let wrong = self.faults.of_request(NAME);
        if wrong.close == Some(false) {
            self.connection.close();
            return pending().await;
        }
        if let Some((status, _)) = wrong.reject {
            return Err(Status::new(code(status), WHY));
        }
        let answer = self.export(request, &wrong);
        sleep(wrong.delay).await;
        if wrong.close.is_some() {
            self.connection.close();
            return pending().await;
        }
        self.connection.progress().waiting();
        match wrong.error {
            Some(status) => Err(Status::new(code(status), WHY)),
            None => answer,
        }
    }

    fn export(&self, request: &[u8], wrong: &Wrong) -> Result<tonic::Response<Bytes>, Status> {
        let judge = &mut || Item::Taken;
        let read = self.input.read(wrong, judge, |records| otlp::read(request, records));
        match read {
            Some((Ok(()), taken)) => {
                self.metrics.records(NAME, taken);
                // A message without fields has no bytes.
                Ok(tonic::Response::new(Bytes::new()))
            }
            Some((Err(malformed), _)) => {
                self.metrics.malformed(NAME);
                Err(Status::invalid_argument(malformed.to_string()))
            }
            None => Err(Status::unavailable("the sink has ended")),
        }
    }
}

/// The code of gRPC for a status of HTTP, by what OTLP's clients do with both.
fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Code::Unavailable
        }
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        status if status.is_client_error() => Code::InvalidArgument,
        _ => Code::Internal,
    }
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct Messages;

impl Codec for Messages {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Messages {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Messages {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}
