//! A request to the server: what it asks for, of which object.

use std::{collections::HashMap, fmt};

use axum::http::{Method, header::CONTENT_TYPE, request::Parts};
use serde_json::Value;

use super::{
    objects::Key,
    selector::{selects_fields, selects_labels},
};

/// A request.
pub(super) struct Request {
    pub(super) call: Call,
    /// Where the object is; without a name for lists, watches and creations.
    pub(super) key: Key,
    /// `status`, for example.
    subresource: Option<String>,
    query: HashMap<String, String>,
    pub(super) body: Value,
}

/// What it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Get,
    List,
    Watch { since: u64 },
    Create,
    Replace,
    Merge,
    Apply,
    Delete,
}

impl Request {
    pub(super) fn read(head: &Parts, body: &[u8]) -> Self {
        let query = head.uri.query().unwrap_or_default();
        let query: HashMap<String, String> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let segments: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        // /api/VERSION/... or /apis/GROUP/VERSION/...
        let rest = if segments[0] == "api" { &segments[2..] } else { &segments[3..] };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            _ => ("", rest),
        };
        let part = |at: usize| rest.get(at).copied().unwrap_or_default();
        let key = Key::new(part(0), namespace, part(1));
        let content_type = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let watches = query.get("watch").is_some_and(|watch| watch == "true");
        let call = match &head.method {
            &Method::GET if watches => {
                let since = query.get("resourceVersion").and_then(|version| version.parse().ok());
                Call::Watch { since: since.unwrap_or_default() }
            }
            &Method::GET if key.name.is_empty() => Call::List,
            &Method::GET => Call::Get,
            &Method::POST => Call::Create,
            &Method::PUT => Call::Replace,
            &Method::PATCH if content_type.contains("apply-patch") => Call::Apply,
            &Method::PATCH => Call::Merge,
            &Method::DELETE => Call::Delete,
            method => panic!("{method}"),
        };
        let subresource = rest.get(2).map(|name| (*name).to_owned());
        let body = serde_json::from_slice(body).unwrap_or_default();
        Self { call, key, subresource, query, body }
    }

    /// Whether it is about the status alone.
    pub(super) fn is_of_status(&self) -> bool {
        self.subresource.as_deref() == Some("status")
    }

    /// Whether a list or a watch has this object.
    pub(super) fn selects(&self, key: &Key, object: &Value) -> bool {
        let selector = |name: &str| self.query.get(name).map_or("", String::as_str);
        key.plural == self.key.plural
            && (self.key.namespace.is_empty() || key.namespace == self.key.namespace)
            && selects_labels(selector("labelSelector"), object)
            && selects_fields(selector("fieldSelector"), object)
    }

    /// Who writes.
    pub(super) fn manager(&self) -> Option<&str> {
        self.query.get("fieldManager").map(String::as_str)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.call {
            Call::Get => "GET",
            Call::List => "LIST",
            Call::Watch { .. } => "WATCH",
            Call::Create => "POST",
            Call::Replace => "PUT",
            Call::Merge | Call::Apply => "PATCH",
            Call::Delete => "DELETE",
        };
        write!(f, "{method} {}", self.key.plural)?;
        self.subresource.as_ref().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}
