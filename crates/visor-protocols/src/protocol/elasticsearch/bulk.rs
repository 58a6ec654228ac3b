//! `_bulk`: a line with an action, then one with a document; answered item by item.

use std::{borrow::Cow, fmt};

use http::StatusCode;
use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::{Answer, Item, Malformed, Records, json};

/// The type of the error of an item that isn't taken.
pub(super) const REJECTED: &str = "es_rejected_execution_exception";

/// The maximum number of operations in a request: each has an item in the answer.
const MAX_OPERATIONS: usize = 200_000;

/// A line with an action.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action<'a> {
    #[serde(borrow)]
    Create(Target<'a>),
    #[serde(borrow)]
    Index(Target<'a>),
    #[serde(borrow)]
    Update(Target<'a>),
    #[serde(borrow)]
    Delete(Target<'a>),
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow, rename = "_index")]
    index: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "_id")]
    id: Option<Id<'a>>,
}

/// The identifier of a document. Servers read a number as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Number(serde_json::Number),
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// The item of an answer.
#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: String,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<serde_json::Value>,
}

/// Takes a bulk request.
pub(super) fn take(
    path: &str,
    body: &[u8],
    records: &mut Records<'_>,
) -> Result<Answer, Malformed> {
    // All of it is checked before anything is added.
    let mut count = 0;
    for operation in (Operations { rest: body }) {
        operation?;
        count += 1;
    }
    if count > MAX_OPERATIONS {
        let why = format!("{count} operations are more than {MAX_OPERATIONS}");
        return Err(Malformed::new(&why));
    }
    let default_index = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let mut has_errors = false;
    let mut items = Vec::new();
    for (number, operation) in (Operations { rest: body }).enumerate() {
        let (action, document) = operation?;
        let item = document.map_or(Item::Taken, |document| records.item(document));
        has_errors |= item != Item::Taken;
        let (name, result, status, target) = match &action {
            Action::Create(target) => ("create", "created", StatusCode::CREATED, target),
            Action::Index(target) => ("index", "created", StatusCode::CREATED, target),
            Action::Update(target) => ("update", "updated", StatusCode::OK, target),
            Action::Delete(target) => ("delete", "deleted", StatusCode::OK, target),
        };
        let (result, status, error) = match item {
            Item::Taken => (Some(result), status, None),
            Item::Rejected(status) => {
                (None, status, Some(json!({ "type": REJECTED, "reason": "rejected by a fault" })))
            }
        };
        let outcome = Outcome {
            index: target.index.as_deref().unwrap_or(default_index),
            id: target.id.as_ref().map_or_else(|| number.to_string(), Id::to_string),
            status: status.as_u16(),
            result,
            error,
        };
        items.push(json!({ name: outcome }));
    }
    let answer = json!({ "took": 0, "errors": has_errors, "items": items });
    Ok(json(StatusCode::OK, &answer))
}

/// The operations of a body, each with its document, if the action has one.
struct Operations<'a> {
    rest: &'a [u8],
}

impl<'a> Operations<'a> {
    /// The next line, without its end.
    fn line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.rest);
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        Some(line)
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<(Action<'a>, Option<&'a [u8]>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = loop {
            let line = self.line()?;
            if !line.trim_ascii().is_empty() {
                break line;
            }
        };
        let action = match serde_json::from_slice(line) {
            Ok(action) => action,
            Err(error) => {
                self.rest = &[];
                return Some(Err(Malformed::new(&format!("no action: {error}"))));
            }
        };
        if matches!(action, Action::Delete(_)) {
            return Some(Ok((action, None)));
        }
        Some(match self.line() {
            Some(document) => Ok((action, Some(document))),
            None => Err(Malformed::new("the last action has no document")),
        })
    }
}
