//! Elasticsearch and `OpenSearch`: `_bulk`, single documents, and what clients ask before they send. The
//! lines with actions are bookkeeping; documents are the records.

mod bulk;

use http::{HeaderName, HeaderValue, Method, StatusCode, header::USER_AGENT, request::Parts};
use serde_json::json;

use super::{Answer, Malformed, Protocol, header, json};
use crate::records::{Item, Records};

/// Elasticsearch and `OpenSearch`.
pub(super) struct Elasticsearch;

/// What clients of Elasticsearch look for in each answer.
const PRODUCT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));

impl Protocol for Elasticsearch {
    fn name(&self) -> &'static str {
        "elasticsearch"
    }

    fn is_for(&self, head: &Parts) -> bool {
        let asks = [Method::GET, Method::HEAD].contains(&head.method);
        match head.uri.path() {
            "/" => asks,
            path => path.split('/').any(|segment| segment.starts_with('_')),
        }
    }

    fn has_records(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        let is_document = ["/_doc", "/_create"].iter().any(|kind| path.contains(kind));
        [Method::POST, Method::PUT].contains(&head.method)
            && (path.ends_with("/_bulk") || is_document)
    }

    fn read(
        &self,
        head: &Parts,
        body: &[u8],
        records: &mut Records<'_>,
    ) -> Result<Answer, Malformed> {
        let path = head.uri.path();
        let answer = if !self.has_records(head) {
            question(head)
        } else if path.ends_with("/_bulk") {
            bulk::take(path, body, records)?
        } else {
            match records.item(body) {
                Item::Taken => json(StatusCode::CREATED, &json!({ "result": "created" })),
                Item::Rejected(status) => self.reject(head, status, bulk::REJECTED),
            }
        };
        Ok(with_product(answer))
    }

    fn reject(&self, _: &Parts, status: StatusCode, why: &str) -> Answer {
        let kind = match status {
            StatusCode::BAD_REQUEST => "illegal_argument_exception",
            StatusCode::TOO_MANY_REQUESTS => bulk::REJECTED,
            _ => "exception",
        };
        let error = json!({ "type": kind, "reason": why });
        with_product(json(status, &json!({ "error": error, "status": status.as_u16() })))
    }
}

fn with_product(mut answer: Answer) -> Answer {
    let (name, product) = PRODUCT;
    answer.headers_mut().insert(name, product);
    answer
}

/// The answer to what clients ask before they send: an empty cluster, which takes every setting.
fn question(head: &Parts) -> Answer {
    let path = head.uri.path();
    let is_named = |names: &[&str]| names.iter().any(|name| path.contains(name));
    let (status, body) = if path == "/" {
        (StatusCode::OK, info(header(head, USER_AGENT)))
    } else if is_named(&["/_license", "/_xpack"]) {
        let license = json!({ "status": "active", "type": "basic", "mode": "basic" });
        (StatusCode::OK, json!({ "license": license, "features": {} }))
    } else if is_named(&["/_cluster", "/_nodes", "/_cat"]) {
        let health =
            json!({ "cluster_name": "visor", "status": "green", "timed_out": false, "nodes": {} });
        (StatusCode::OK, health)
    } else if [Method::GET, Method::HEAD].contains(&head.method) {
        let error = json!({ "type": "resource_not_found_exception", "reason": "there is none" });
        (StatusCode::NOT_FOUND, json!({ "error": error, "status": 404 }))
    } else {
        (StatusCode::OK, json!({ "acknowledged": true }))
    };
    json(status, &body)
}

/// What a server says of itself. Clients of `OpenSearch` want one of their own.
fn info(user_agent: &str) -> serde_json::Value {
    let version = if user_agent.to_ascii_lowercase().contains("opensearch") {
        json!({ "number": "2.19.0", "distribution": "opensearch" })
    } else {
        json!({ "number": "8.19.0", "build_flavor": "default" })
    };
    json!({ "name": "visor-sink", "cluster_name": "visor", "version": version })
}
