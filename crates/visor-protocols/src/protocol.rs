//! What collectors speak over HTTP: a file for each protocol, behind one trait. Bytes in; records, and
//! the answer that its clients expect, out. No I/O, no clock.

mod any;
mod elasticsearch;
mod loki;
pub mod otlp;
mod splunk;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
    request::Parts,
};

use crate::{malformed::Malformed, records::Records};

/// All protocols. The last one takes every request.
pub const PROTOCOLS: [&dyn Protocol; 5] =
    [&elasticsearch::Elasticsearch, &loki::Loki, &otlp::Otlp, &splunk::Splunk, &any::Any];

/// A protocol over HTTP.
pub trait Protocol: Sync {
    /// Its name in metrics.
    fn name(&self) -> &'static str;

    /// Whether a request is one of this protocol.
    fn is_for(&self, head: &Parts) -> bool;

    /// Whether such a request has records, rather than a question of its client.
    fn has_records(&self, head: &Parts) -> bool {
        [Method::POST, Method::PUT].contains(&head.method)
    }

    /// Reads the records of a request, whose body has no content encoding anymore.
    ///
    /// # Errors
    ///
    /// If the body isn't what the protocol says. Nothing of it has been added then, unless the
    /// protocol's own servers also take the records before the mistake.
    fn read(
        &self,
        head: &Parts,
        body: &[u8],
        records: &mut Records<'_>,
    ) -> Result<Answer, Malformed>;

    /// The answer to a request that isn't taken.
    fn reject(&self, head: &Parts, status: StatusCode, why: &str) -> Answer;
}

/// An answer.
pub type Answer = Response<Bytes>;

/// The protocol of a request.
pub fn of(head: &Parts) -> &'static dyn Protocol {
    let known = PROTOCOLS.iter().find(|protocol| protocol.is_for(head));
    *known.unwrap_or(&PROTOCOLS[PROTOCOLS.len() - 1])
}

/// Whether a request is that of a browser for the page.
pub fn is_page(head: &Parts) -> bool {
    head.method == Method::GET
        && head.uri.path() == "/"
        && header(head, ACCEPT).contains("text/html")
}

/// An answer with this content.
fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An answer in JSON.
fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    answer(status, "application/json", body.to_string())
}

/// An answer in plain text.
fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", body)
}

/// An answer without a body.
fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::default();
    *answer.status_mut() = status;
    answer
}

/// The value of a header; empty without one.
fn header(head: &Parts, name: HeaderName) -> &str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The content type of a request, without its parameters.
fn content_type(head: &Parts) -> &str {
    header(head, CONTENT_TYPE).split(';').next().unwrap_or_default().trim()
}
