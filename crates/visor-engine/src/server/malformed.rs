//! Malformed requests, as the scanners and broken clients of every public server send them: no
//! request line, bytes of another protocol, a line that isn't three parts, or one that is too long.
//!
//! Pure data. What httpd 2.4.71 writes about each was read from its log (see `tests/test_malformed_requests.py`). All
//! come to port 80, without TLS, and none names a host.

/// A request, and how httpd understands it. `-` is what it doesn't know.
#[derive(Debug)]
pub(crate) struct MalformedRequest {
    /// The weight, in proportion to the sum of all.
    pub(crate) weight: u32,
    /// The request line as far as httpd reads it (`%r`). Here and in the path, `{}` stands for
    /// [`letters`](Self::letters).
    pub(crate) line: &'static [u8],
    /// The number of letters of a long request.
    pub(crate) letters: usize,
    /// The method (`%m`).
    pub(crate) method: &'static str,
    /// The path (`%U`).
    pub(crate) path: &'static str,
    /// The protocol (`%H`).
    pub(crate) protocol: &'static str,
    /// The status.
    pub(crate) status: u16,
    /// The body of the response.
    pub(crate) body: Body,
    /// The size of the head of the response in bytes.
    pub(crate) head_bytes: u64,
    /// The bytes received (`%I`).
    pub(crate) bytes_in: u64,
    /// The path of its file up to the first directory that doesn't exist, if it was read to its end.
    /// Then it has a unique id, too.
    pub(crate) file: Option<&'static str>,
    /// Whether httpd waited for the rest of it: 20 seconds, as Debian configures `RequestReadTimeout`.
    pub(crate) has_timed_out: bool,
}

/// The body of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// httpd's page for the status.
    Page,
    /// Of this size in bytes.
    Bytes(u64),
}

/// Of how many requests one is malformed.
pub(crate) const ONE_OF: u64 = 250;

impl MalformedRequest {
    /// A text with its letters.
    pub(crate) fn with_letters(&self, text: &[u8]) -> Vec<u8> {
        match text.windows(2).position(|two| two == b"{}") {
            Some(at) => [&text[..at], &vec![b'A'; self.letters], &text[at + 2..]].concat(),
            None => text.to_vec(),
        }
    }
}

/// What httpd writes of a request that it can't take apart.
const UNKNOWN: MalformedRequest = MalformedRequest {
    weight: 1,
    line: b"-",
    letters: 0,
    method: "-",
    path: "-",
    protocol: "HTTP/1.0",
    status: 400,
    body: Body::Page,
    head_bytes: 182,
    bytes_in: 0,
    file: None,
    has_timed_out: false,
};

/// Bytes that aren't a request line.
const fn bytes(weight: u32, line: &'static [u8], bytes_in: u64) -> MalformedRequest {
    MalformedRequest { weight, line, bytes_in, ..UNKNOWN }
}

/// A line of one word, which httpd takes for a method.
const fn word(weight: u32, line: &'static [u8], method: &'static str) -> MalformedRequest {
    let bytes_in = line.len() as u64 + 2;
    MalformedRequest { weight, line, method, path: "/", bytes_in, ..UNKNOWN }
}

/// A request line of three parts that is rejected.
const fn rejected(
    weight: u32,
    line: &'static [u8],
    [method, path, protocol]: [&'static str; 3],
) -> MalformedRequest {
    let bytes_in = line.len() as u64 + 2;
    MalformedRequest { weight, line, method, path, protocol, bytes_in, ..UNKNOWN }
}

/// The malformed requests.
#[rustfmt::skip]
pub(crate) const MALFORMED: &[MalformedRequest] = &[
    // Connections on which nothing, or nothing but an empty line, was sent.
    MalformedRequest { weight: 240, status: 408, body: Body::Bytes(0), head_bytes: 0, ..UNKNOWN },
    MalformedRequest { weight: 10, status: 408, body: Body::Bytes(0), head_bytes: 0, bytes_in: 4, ..UNKNOWN },
    // A head that isn't sent to its end.
    MalformedRequest {
        weight: 30, line: b"GET / HTTP/1.1", method: "GET", path: "/", protocol: "HTTP/1.1", status: 408,
        head_bytes: 186, bytes_in: 36, has_timed_out: true, ..UNKNOWN
    },
    // TLS where there is none. A line ends at its first zero.
    bytes(90, b"\x16\x03\x01", 517),
    bytes(60, b"\x16\x03\x01\x02", 517),
    bytes(40, b"\x16\x03\x01\x01\xfc\x01", 513),
    bytes(30, b"\x16\x03\x01\x05\xa8\x01", 1_453),
    bytes(20, b"\x16\x03\x02\x01o\x01", 372),
    // Remote desktops, Windows shares, SOCKS, Java, databases.
    bytes(60, b"\x03", 43),
    bytes(20, b"", 84),
    bytes(15, b"\x05\x01", 4),
    bytes(10, b"\x04\x01", 9),
    bytes(10, b"JRMI", 8),
    bytes(10, b"t3 12.1.2\n", 10),
    bytes(30, b"\n", 1),
    bytes(10, b"\x01default\n", 9),
    bytes(8, b"MGLNDD_192.0.2.10_80\n", 21),
    bytes(8, b"H\xc0\x80\"\\\xe9\n", 7),
    word(20, b"SSH-2.0-Go", "SSH-2.0-Go"),
    word(10, b"quit", "quit"),
    word(6, b"GET", "GET"),
    // Request lines that httpd takes apart, and then rejects.
    rejected(60, b"PRI * HTTP/2.0", ["PRI", "*", "HTTP/2.0"]),
    MalformedRequest { bytes_in: 18, ..rejected(60, b"GET / HTTP/1.1", ["GET", "/", "HTTP/1.1"]) },
    rejected(10, b"GET / http/1.1", ["GET", "/", "http/1.1"]),
    rejected(10, b"GET index.php HTTP/1.1", ["GET", "index.php", "HTTP/1.1"]),
    rejected(10, b"G\"ET / HTTP/1.1", ["G\"ET", "/", "HTTP/1.1"]),
    MalformedRequest { bytes_in: 27, ..rejected(10, b"GET /new folder/", ["GET", "/new", "HTTP/1.0"]) },
    rejected(6, b"POST /login", ["POST", "/login", "HTTP/1.0"]),
    // HTTP/0.9.
    MalformedRequest {
        weight: 30, line: b"GET /", method: "GET", path: "/", protocol: "HTTP/0.9", status: 200,
        body: Body::Bytes(19_012), head_bytes: 0, bytes_in: 7, file: Some("/"), ..UNKNOWN
    },
    // Long ones.
    MalformedRequest {
        weight: 20, line: b"GET /cgi-bin/{} HTTP/1.0", letters: 1_500, method: "GET", path: "/cgi-bin/{}",
        status: 404, head_bytes: 180, bytes_in: 1_526, file: Some("/cgi-bin"), ..UNKNOWN
    },
    MalformedRequest {
        weight: 4, line: b"GET /index.php?s={}", letters: 8_174, status: 414, head_bytes: 191,
        bytes_in: 9_016, ..UNKNOWN
    },
];
