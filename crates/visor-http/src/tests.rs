//! Servers with hostile clients.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router, body::Body, http::StatusCode, routing::post};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::timeout,
};

use super::*;

const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const TIMEOUT: Duration = Duration::from_mins(1);

fn limits() -> Limits {
    Limits { connections: 16, ..Limits::PAGES }
}

/// A server with metrics of this many bytes.
fn with_page(limits: Limits, bytes: usize) -> SocketAddr {
    let listener = bind(ANYWHERE.into(), &limits).unwrap();
    let address = listener.local_addr().unwrap();
    let render = move || Ok::<_, io::Error>("a".repeat(bytes));
    let ready = || Err("not yet\n".to_owned());
    tokio::spawn(serve(listener, limits, Plain, pages(vec![Page::metrics(render)], ready)));
    address
}

/// A server that reads bodies within a budget, and responds with their length.
fn with_bodies(limits: Limits, budget: usize, max_length: usize) -> SocketAddr {
    let listener = bind(ANYWHERE.into(), &limits).unwrap();
    let address = listener.local_addr().unwrap();
    let budget = Budget::new(budget);
    let take = move |Extension(progress): Extension<Progress>, body: Body| {
        let budget = budget.clone();
        async move {
            match budget.read(body, max_length, &progress).await {
                Ok(body) => (StatusCode::OK, body.bytes().len().to_string()),
                Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:?}")),
            }
        }
    };
    let router = Router::new().route("/", post(take));
    tokio::spawn(serve(listener, limits, Plain, |_| router));
    address
}

async fn ask(address: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    ask(address, format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes())
        .await
}

async fn post_bytes(address: SocketAddr, length: usize) -> io::Result<String> {
    let head =
        format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}");
    let request = [head.as_bytes(), b"\r\n\r\n", &vec![b'a'; length]].concat();
    ask(address, &request).await
}

async fn begun(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may have been ended for another one already.
    let _ = stream.write_all(bytes).await;
    stream
}

#[tokio::test]
async fn incomplete_requests_are_closed_for_complete_ones() {
    let address = with_page(limits(), 100);
    let mut begun_ones = Vec::new();
    for number in 0..400 {
        let half = [b"".as_slice(), b"GET /livez HTTP/1.1\r\nhost: a\r\n", b"\x16\x03"][number % 3];
        begun_ones.push(begun(address, half).await);
        if number % 20 == 0 {
            let answer = timeout(TIMEOUT, get(address, "/livez")).await.unwrap().unwrap();
            assert!(answer.ends_with("ok\n"), "{number}: {answer}");
        }
    }
    let state = begun_ones.iter_mut().map(|stream| async {
        timeout(Duration::from_millis(200), stream.read(&mut [0])).await.is_err()
    });
    let state = futures::future::join_all(state).await.into_iter().filter(|state| *state).count();
    assert!(state <= 16, "{state} are held");
}

#[tokio::test]
async fn a_request_that_is_not_received_in_time_is_closed() {
    let second = Duration::from_millis(200);
    let limits = Limits { head: second, body: second, idle: second, ..limits() };
    let address = with_bodies(limits, 1 << 20, 1 << 20);
    for bytes in [
        b"".as_slice(),
        b"POST / HTTP/1.1\r\nhost",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\naaa",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\naaaPOST",
    ] {
        let mut stream = begun(address, bytes).await;
        let ended = timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_for_others() {
    const LONG: usize = 8 << 20;
    let address = with_page(limits(), LONG);
    let mut slow = Vec::new();
    for _ in 0..12 {
        slow.push(begun(address, b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await);
    }
    for _ in 0..3 {
        let page = timeout(TIMEOUT, get(address, "/metrics")).await.unwrap().unwrap();
        assert!(page.len() > LONG, "{} bytes", page.len());
        let answer = timeout(TIMEOUT, get(address, "/livez")).await.unwrap().unwrap();
        assert!(answer.ends_with("ok\n"));
    }
}

#[tokio::test]
async fn a_small_body_is_read_despite_large_incomplete_ones() {
    let address = with_bodies(Limits { connections: 64, ..limits() }, 4 << 20, 1 << 20);
    let mut slow = Vec::new();
    for _ in 0..40 {
        let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n";
        let mut stream = begun(address, head).await;
        // As much as goes in.
        let bytes = vec![b'a'; (1 << 20) - 1];
        let _ = timeout(Duration::from_millis(20), stream.write_all(&bytes)).await;
        slow.push(stream);
    }
    for _ in 0..20 {
        let answer = timeout(TIMEOUT, post_bytes(address, 20_000)).await.unwrap().unwrap();
        assert!(answer.ends_with("20000"), "{answer}");
    }
    let answer = timeout(TIMEOUT, post_bytes(address, (1 << 20) + 1)).await.unwrap();
    assert!(answer.is_err() || answer.unwrap().ends_with("TooLong"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_bodies_end_and_later_requests_are_answered() {
    let address = with_bodies(Limits { connections: 64, ..limits() }, 4 << 20, 1 << 20);
    let mut bodies = JoinSet::new();
    for _ in 0..60 {
        bodies.spawn(async move { post_bytes(address, 1 << 20).await });
    }
    let answered = timeout(TIMEOUT, bodies.join_all()).await.unwrap();
    let whole = answered.iter().flatten().filter(|answer| answer.ends_with("1048576")).count();
    assert!(whole > 0, "none of them: {answered:?}");
    let answer = timeout(TIMEOUT, post_bytes(address, 1 << 20)).await.unwrap().unwrap();
    assert!(answer.ends_with("1048576"), "{answer}");
}

#[tokio::test]
async fn headers_that_are_too_long_are_rejected() {
    let address = with_page(limits(), 1);
    let long = [b"GET / HTTP/1.1\r\na: ".as_slice(), &vec![b'a'; 1 << 20]].concat();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(&long).await;
    let mut answer = Vec::new();
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
    assert!(get(address, "/livez").await.unwrap().ends_with("ok\n"));
}

#[test]
fn the_limits_of_metrics_endpoints_are_documented() {
    // The documentation is not available to builds, only to tests.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md");
    let page = std::fs::read_to_string(path).unwrap();
    let Limits { connections, head, body, answer, buffer, socket_buffer, .. } = Limits::PAGES;
    // The kernel doubles the configured size.
    let kernels = 2 * socket_buffer / 1024;
    for (cells, said) in [
        ("ports 8080 and 9464 (metrics) | concurrent connections", format!("| {connections},")),
        (
            "all ports | timeout for the headers of a request",
            format!("{} s (metrics)", head.as_secs()),
        ),
        (
            "all ports | timeout for the body of a request",
            format!("{} s (metrics)", body.as_secs()),
        ),
        ("all ports | timeout for reading a response", format!("{} s (metrics)", answer.as_secs())),
        (
            "all ports | bytes of headers; socket buffers",
            format!("{} KiB; 64 KiB (webhook) and {kernels} KiB (metrics)", buffer / 1024),
        ),
        (
            "ports 8080 and 9464 | responses with metrics that are being read",
            format!(
                "| {}; another one waits for {} s",
                pages::PAGES,
                pages::SLOW_CLIENT_TIMEOUT.as_secs_f64()
            ),
        ),
    ] {
        let row = page.lines().find(|line| line.starts_with(&format!("| {cells} |")));
        let row = row.unwrap_or_else(|| panic!("docs/security.md has no row `{cells}`"));
        assert!(row.contains(&said), "docs/security.md: {row} should say {said}");
    }
}

/// What is being answered is finished, what waits for its client isn't waited for.
#[tokio::test]
async fn a_server_that_drains_finishes_what_is_being_answered() {
    let (limits, answering) = (limits(), Arc::new(Notify::new()));
    let listener = bind(ANYWHERE.into(), &limits).unwrap();
    let address = listener.local_addr().unwrap();
    let (begun, may_answer) = (Arc::new(Notify::new()), Arc::clone(&answering));
    let has_begun = Arc::clone(&begun);
    let answer = move || {
        let (begun, may_answer) = (Arc::clone(&has_begun), Arc::clone(&may_answer));
        async move {
            begun.notify_one();
            may_answer.notified().await;
            "done"
        }
    };
    let router = Router::new().route("/", axum::routing::get(answer));
    let handle = ServerHandle::new(&limits);
    tokio::spawn(serve_with(handle.clone(), listener, limits, Plain, router));

    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answered = [0; 1024];
    assert!(idle.read(&mut answered).await.unwrap() > 0);
    let asked = tokio::spawn(ask(address, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    begun.notified().await;
    let draining = tokio::spawn(async move { handle.drain().await });
    // The connection without a request ends at once.
    assert_eq!(timeout(TIMEOUT, idle.read(&mut answered)).await.unwrap().unwrap(), 0);
    assert!(!draining.is_finished());
    answering.notify_one();
    // It says that it is the last answer, and closes the connection.
    let answer = asked.await.unwrap().unwrap();
    assert!(answer.ends_with("done") && answer.contains("connection: close"), "{answer}");
    timeout(TIMEOUT, draining).await.unwrap().unwrap();
}
