//! The HTTP client for pods: it reads a page line by line, within a time and a size. It never holds
//! a whole page, because a pod may have thousands of streams.

use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

/// A client without a connection pool: pods are scraped rarely, and may be gone the next time.
pub(crate) type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// The maximum length of a line. A line has a few names and one path.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 10;
/// The read buffer in bytes.
const BUFFER: usize = 64 << 10;

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no response within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("cannot connect: {0}")]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("the response was interrupted: {0}")]
    Interrupted(String),
    #[error("the response is {0}")]
    Status(StatusCode),
    #[error("the response is longer than {0} bytes")]
    TooLong(usize),
    #[error("a line of the response is longer than {MAX_LINE_BYTES} bytes")]
    LongLine,
}

pub(crate) fn client() -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .http1_max_buf_size(BUFFER)
        .build_http()
}

/// Reads a page of one line.
///
/// # Errors
///
/// As [`lines`], with at most [`MAX_LINE_BYTES`].
pub(crate) async fn line(
    client: &HttpClient,
    url: Uri,
    time_limit: Duration,
) -> Result<String, HttpError> {
    let mut page = String::new();
    let line = |line: &str| page.push_str(line);
    lines(client, url, StatusCode::OK, time_limit, MAX_LINE_BYTES, line).await?;
    Ok(page)
}

/// Reads a page and passes on its lines as they arrive; lines that aren't UTF-8 are skipped.
///
/// # Errors
///
/// If the page isn't complete in time, is too long, or has another status. Lines may have been
/// passed on by then.
pub(crate) async fn lines(
    client: &HttpClient,
    url: Uri,
    status: StatusCode,
    time_limit: Duration,
    most_bytes: usize,
    line: impl FnMut(&str),
) -> Result<(), HttpError> {
    let page = read(client, url, status, most_bytes, line);
    timeout(time_limit, page).await.unwrap_or(Err(HttpError::Timeout(time_limit)))
}

async fn read(
    client: &HttpClient,
    url: Uri,
    status: StatusCode,
    most_bytes: usize,
    mut line: impl FnMut(&str),
) -> Result<(), HttpError> {
    let response = client.get(url).await?;
    if response.status() != status {
        return Err(HttpError::Status(response.status()));
    }
    let mut body = response.into_body();
    let mut total = 0;
    let mut begun: Vec<u8> = Vec::new();
    let mut upgrade = |bytes: &[u8]| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            line(text);
        }
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| HttpError::Interrupted(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        total += data.len();
        if total > most_bytes {
            return Err(HttpError::TooLong(most_bytes));
        }
        let mut rest = &data[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            begun.extend_from_slice(&rest[..end]);
            upgrade(&begun);
            begun.clear();
            rest = &rest[end + 1..];
        }
        if begun.len() + rest.len() > MAX_LINE_BYTES {
            return Err(HttpError::LongLine);
        }
        begun.extend_from_slice(rest);
    }
    upgrade(&begun);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// Answers one request with these bytes and reads no further.
    async fn answering(answer: &'static [u8]) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = connection.read(&mut request).await;
            // A client closes the connection when it has read enough.
            let _ = connection.write_all(answer).await;
        });
        format!("http://{address}/metrics").parse().unwrap()
    }

    async fn page(answer: &'static [u8], most_bytes: usize) -> Result<Vec<String>, HttpError> {
        let url = answering(answer).await;
        let mut found = Vec::new();
        lines(&client(), url, StatusCode::OK, Duration::from_secs(30), most_bytes, |line| {
            found.push(line.to_owned());
        })
        .await
        .map(|()| found)
    }

    #[tokio::test]
    async fn a_page_comes_line_by_line_the_last_without_a_newline_too() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\none\ntwo\nend";
        let found = page(answer, 100).await.unwrap();
        let found: Vec<_> = found.iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(found, ["one", "two", "end"]);
    }

    #[tokio::test]
    async fn a_page_that_is_too_long_or_bad_or_cut_is_an_error() {
        let long = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\none\ntwo\nend";
        assert!(matches!(page(long, 10).await, Err(HttpError::TooLong(10))));
        let bad = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(page(bad, 10).await, Err(HttpError::Status(_))));
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'a'; 1 << 20]].concat();
        assert!(matches!(page(endless.leak(), 1 << 30).await, Err(HttpError::LongLine)));
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\none";
        assert!(matches!(page(cut, 100).await, Err(HttpError::Interrupted(_))));
    }
}
