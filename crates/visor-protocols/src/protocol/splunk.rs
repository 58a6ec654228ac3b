//! Splunk's HTTP Event Collector: events as JSON objects with nothing or white space between them, and
//! raw lines.

use http::{HeaderName, Method, StatusCode, request::Parts};
use serde::Deserialize;
use serde_json::{Deserializer, Value, json, value::RawValue};

use super::{Answer, Malformed, Protocol, header, json};
use crate::records::Records;

/// Splunk's HTTP Event Collector.
pub(super) struct Splunk;

const PATH: &str = "/services/collector";
/// Clients with a channel wait for acknowledgements.
const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");
/// Codes of answers.
const INVALID_DATA_FORMAT: u32 = 6;
const SERVER_IS_BUSY: u32 = 9;

impl Protocol for Splunk {
    fn name(&self) -> &'static str {
        "splunk"
    }

    fn is_for(&self, head: &Parts) -> bool {
        let rest = head.uri.path().strip_prefix(PATH);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn has_records(&self, head: &Parts) -> bool {
        head.method == Method::POST && !head.uri.path().ends_with("/ack")
    }

    fn read(
        &self,
        head: &Parts,
        body: &[u8],
        records: &mut Records<'_>,
    ) -> Result<Answer, Malformed> {
        let path = &head.uri.path()[PATH.len()..];
        if path.starts_with("/health") {
            return Ok(json(StatusCode::OK, &json!({ "text": "HEC is healthy", "code": 17 })));
        }
        if path.starts_with("/ack") {
            return acknowledgements(body);
        }
        if head.method != Method::POST {
            return Ok(self.reject(head, StatusCode::METHOD_NOT_ALLOWED, "use POST"));
        }
        if path.starts_with("/raw") {
            records.file(body);
        } else {
            let events = Deserializer::from_slice(body).into_iter::<Event<'_>>();
            let events: Vec<_> =
                events.collect::<Result<_, _>>().map_err(|error| Malformed::new(&error))?;
            for event in events {
                let text = event.event.get();
                match serde_json::from_str::<String>(text) {
                    Ok(text) => records.text(text.as_bytes()),
                    Err(_) => records.text(text.as_bytes()),
                }
            }
        }
        let mut taken = json!({ "text": "Success", "code": 0 });
        if !header(head, CHANNEL).is_empty() {
            // Whether it is acknowledged is a part of its number.
            let number = 2 * records.request() + u64::from(!records.are_acknowledged());
            taken["ackId"] = number.into();
        }
        Ok(json(StatusCode::OK, &taken))
    }

    fn reject(&self, _: &Parts, status: StatusCode, why: &str) -> Answer {
        let is_invalid = status == StatusCode::BAD_REQUEST;
        let code = if is_invalid { INVALID_DATA_FORMAT } else { SERVER_IS_BUSY };
        json(status, &json!({ "text": why, "code": code }))
    }
}

/// An event. Time, host, source, index and fields are bookkeeping.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
}

/// The answer to a client that asks which of its requests have arrived: those with an even number.
fn acknowledgements(body: &[u8]) -> Result<Answer, Malformed> {
    #[derive(Deserialize)]
    struct Asked {
        acks: Vec<u64>,
    }
    let asked: Asked = serde_json::from_slice(body).map_err(|error| Malformed::new(&error))?;
    let acks = asked.acks.iter().map(|number| (number.to_string(), Value::Bool(number % 2 == 0)));
    Ok(json(StatusCode::OK, &json!({ "acks": acks.collect::<serde_json::Map<_, _>>() })))
}
