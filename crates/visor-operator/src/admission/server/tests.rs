//! The server with clients that trust it, clients that don't, and invalid clients.

use super::*;
use crate::{
    certificates::support::{Signer, connect},
    documented::row_contains,
};
use axum::routing::get;
use rustls::pki_types::CertificateDer;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server that responds with "ok", and its certificate.
fn start() -> (SocketAddr, Arc<Resolver>) {
    start_within(LIMITS)
}

fn start_within(limits: Limits) -> (SocketAddr, Arc<Resolver>) {
    let resolver = Arc::new(Resolver::new(|_| {}));
    let router = Router::new().route("/", get(|| async { "ok" }));
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let (address, _) =
        serve_within(limits, anywhere.into(), Arc::clone(&resolver), router).unwrap();
    (address, resolver)
}

/// Sends one request on a new connection, and returns the response.
async fn ask(address: SocketAddr, trusted: &[CertificateDer<'static>]) -> io::Result<String> {
    let mut stream = connect(address, trusted).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn is_good(answer: &io::Result<String>) -> bool {
    let good = |answer: &String| answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok");
    answer.as_ref().is_ok_and(good)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_fails_while_certificate_and_authority_change() {
    let (address, resolver) = start();
    let (old, new) = (Signer::new(), Signer::new());
    old.show(&resolver);
    let both = [old.certificate(), new.certificate()];
    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let changes = tokio::spawn({
        let (done, asked, resolver) = (Arc::clone(&done), Arc::clone(&asked), resolver);
        async move {
            // A change for each connection, from one authority to the other.
            for signer in [&new, &old].into_iter().cycle() {
                let before = asked.load(Ordering::Relaxed);
                signer.show(&resolver);
                while asked.load(Ordering::Relaxed) == before {
                    if done.load(Ordering::Relaxed) {
                        new.show(&resolver);
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    for number in 0..200 {
        let answer = ask(address, &both).await;
        assert!(is_good(&answer), "connection {number}: {answer:?}");
        asked.fetch_add(1, Ordering::Relaxed);
    }
    done.store(true, Ordering::Relaxed);
    changes.await.unwrap();
    assert!(is_good(&ask(address, &both[1..]).await));
    assert!(ask(address, &both[..1]).await.is_err(), "it shows the old authority's certificate");
}

#[tokio::test]
async fn a_connection_that_there_is_outlives_its_certificate() {
    let (address, resolver) = start();
    let (old, new) = (Signer::new(), Signer::new());
    old.show(&resolver);
    let mut stream = connect(address, &[old.certificate()]).await.unwrap();
    let mut answer = [0; 12];
    for signer in [&new, &old, &new] {
        stream.write_all(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        while !stream_ends_with_an_empty_line(&mut stream).await {}
        signer.show(&resolver);
    }
}

/// Reads one line of a head.
async fn stream_ends_with_an_empty_line(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut length = 0;
    loop {
        match stream.read_u8().await.unwrap() {
            b'\n' => return length == 0,
            b'\r' => {}
            _ => length += 1,
        }
    }
}

#[tokio::test]
async fn what_is_no_handshake_ends_that_connection_alone() {
    let (address, resolver) = start();
    let signer = Signer::new();
    let trusted = [signer.certificate()];
    assert!(ask(address, &trusted).await.is_err(), "there is no certificate yet");
    assert!(!resolver.is_loaded());
    signer.show(&resolver);
    assert!(resolver.is_loaded());
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"\x16\x03\x01\xff\xff\x01\x00\xff\xfc\x03\x03",
        &[0; 4096],
        &[0xff; 4096],
        b"",
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may have closed the connection before it has read everything.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        assert!(is_good(&ask(address, &trusted).await));
    }
    let stranger = Signer::new();
    assert!(ask(address, &[stranger.certificate()]).await.is_err());
    assert!(is_good(&ask(address, &trusted).await));
}

#[tokio::test]
async fn garbage_within_tls_is_answered_or_hung_up_on() {
    let (address, resolver) = start();
    let signer = Signer::new();
    signer.show(&resolver);
    let trusted = [signer.certificate()];
    let long = [b"GET / HTTP/1.1\r\na: ".as_slice(), &vec![b'a'; 1 << 20]].concat();
    for bytes in [b"\x00\x01\x02\r\n\r\n".as_slice(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &long] {
        let mut stream = connect(address, &trusted).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
        assert!(is_good(&ask(address, &trusted).await));
    }
}

#[tokio::test]
async fn connections_are_limited_and_idle_ones_are_closed() {
    const FEW: usize = 4;
    let limits = Limits { connections: FEW, ..LIMITS };
    let (address, resolver) = start_within(limits);
    let signer = Signer::new();
    signer.show(&resolver);
    let trusted = [signer.certificate()];
    let mut unreachable = Vec::new();
    for _ in 0..FEW {
        unreachable.push(connect(address, &trusted).await.unwrap());
    }
    assert!(is_good(&ask(address, &trusted).await), "there is no room for it");
    // A client whose connection was closed is notified, and does not assume that a response was lost.
    let ends = unreachable
        .iter_mut()
        .map(|stream| Box::pin(async { stream.read_to_end(&mut Vec::new()).await }));
    let (ended, _, _) = futures::future::select_all(ends).await;
    assert_eq!(ended.unwrap(), 0);
}

#[test]
fn its_bounds_are_documented() {
    let Limits { connections, head, body, answer, buffer, socket_buffer, .. } = LIMITS;
    row_contains("port 9443 (webhook) | concurrent connections", &format!("{connections};"));
    for (cells, time) in [
        ("all ports | timeout for the headers of a request", head),
        ("all ports | timeout for the body of a request", body),
        ("all ports | timeout for reading a response", answer),
    ] {
        row_contains(cells, &format!("{} s (webhook)", time.as_secs()));
    }
    let cells = "all ports | bytes of headers; socket buffers";
    // The kernel doubles the configured size.
    let kernels = 2 * socket_buffer / 1024;
    row_contains(cells, &format!("{} KiB; {kernels} KiB (webhook)", buffer / 1024));
}
