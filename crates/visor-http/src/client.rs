//! A client for the pages of a generator: one request to an address, with a limit of time and size.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of an answer in bytes.
const MAX_BODY: usize = 64 << 20;

/// The page at a URL with `http://`.
///
/// # Errors
///
/// What is wrong, as a sentence.
pub async fn get(url: &str) -> Result<Vec<u8>, String> {
    let asked = timeout(TIMEOUT, ask(url)).await;
    let answered = asked.map_err(|_| format!("there is no answer within {} s", TIMEOUT.as_secs()));
    answered.and_then(|answer| answer).map_err(|error| format!("cannot get {url}: {error}"))
}

async fn ask(url: &str) -> Result<Vec<u8>, String> {
    let url: Uri = url.parse().map_err(|error| format!("{error}"))?;
    let host = url.host().ok_or("the URL has no host")?;
    let address = (host.trim_matches(['[', ']']), url.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path).header(HOST, authority).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
}
