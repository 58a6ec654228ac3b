//! OTLP over HTTP: log records as protocol buffers, or in JSON. Resource and scope are bookkeeping; the
//! body of a log record and its attributes are the record.

mod json;

use http::{Method, StatusCode, request::Parts};
use visor_proof::{Token, delivery::Field};

use super::{Answer, Malformed, Protocol, answer, content_type, json};
use crate::{protobuf, records::Records};

/// OTLP.
pub(super) struct Otlp;

/// The path to the log records in an `ExportLogsServiceRequest`: resources, scopes, log records.
const LOG_RECORDS: [u32; 3] = [1, 2, 2];
/// Fields of a log record.
const BODY: u32 = 5;
const ATTRIBUTES: u32 = 6;
/// Fields of a value.
const STRING: u32 = 1;
const ARRAY: u32 = 5;
const LIST_OF_PAIRS: u32 = 6;
const BYTES: u32 = 7;
/// The field of an array and of a list of pairs.
const VALUES: u32 = 1;
/// Fields of a pair.
const KEY: u32 = 1;
const VALUE: u32 = 2;
/// How deep values may be within each other.
const MAX_DEPTH: usize = 32;

const PROTOBUF: &str = "application/x-protobuf";

impl Protocol for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn is_for(&self, head: &Parts) -> bool {
        head.method == Method::POST && head.uri.path() == "/v1/logs"
    }

    fn read(
        &self,
        head: &Parts,
        body: &[u8],
        records: &mut Records<'_>,
    ) -> Result<Answer, Malformed> {
        if content_type(head) == "application/json" {
            json::read(body, records)?;
            return Ok(json(StatusCode::OK, &serde_json::json!({})));
        }
        read(body, records)?;
        // A message without fields has no bytes.
        Ok(answer(StatusCode::OK, PROTOBUF, ""))
    }

    fn reject(&self, head: &Parts, status: StatusCode, why: &str) -> Answer {
        // A `google.rpc.Status`, as the answer's own content type asks for.
        if content_type(head) == "application/json" {
            return json(status, &serde_json::json!({ "code": 13, "message": why }));
        }
        let why = &why.as_bytes()[..why.len().min(100)];
        let length = u8::try_from(why.len()).unwrap_or_default();
        answer(status, PROTOBUF, [&[0x08, 13, 0x12, length], why].concat())
    }
}

/// Reads the log records of an `ExportLogsServiceRequest`.
///
/// # Errors
///
/// If it is none. Nothing of it has been added then.
pub fn read(body: &[u8], records: &mut Records<'_>) -> Result<(), Malformed> {
    let mut broken = Ok(());
    protobuf::each(body, &LOG_RECORDS, &mut |record| {
        if broken.is_ok() {
            broken = fields_of(record).map(|_| ());
        }
    })?;
    broken?;
    protobuf::each(body, &LOG_RECORDS, &mut |record| {
        if let Ok(fields) = fields_of(record) {
            add(&fields, records);
        }
    })
}

/// Adds a log record: its body alone, if no attribute has a token.
fn add(fields: &[Field<'_>], records: &mut Records<'_>) {
    match fields {
        [body] if body.name == "body" => records.text(&body.text),
        _ => records.fields(fields),
    }
}

/// The texts of a log record that matter.
fn fields_of(record: &[u8]) -> Result<Vec<Field<'_>>, Malformed> {
    let mut fields = Vec::new();
    protobuf::fields(record, &mut |number, bytes| match number {
        BODY => value("body", bytes, MAX_DEPTH, &mut fields),
        ATTRIBUTES => pair(bytes, MAX_DEPTH, &mut fields),
        _ => Ok(()),
    })?;
    Ok(fields)
}

/// Adds the texts of a value.
fn value<'a>(
    name: &'a str,
    value_bytes: &'a [u8],
    depth: usize,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), Malformed> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Malformed::new(&format!("values are more than {MAX_DEPTH} deep")));
    };
    protobuf::fields(value_bytes, &mut |number, bytes| match number {
        STRING | BYTES => {
            add_text(name, bytes, fields);
            Ok(())
        }
        ARRAY => protobuf::fields(bytes, &mut |number, bytes| match number {
            VALUES => value(name, bytes, depth, fields),
            _ => Ok(()),
        }),
        LIST_OF_PAIRS => protobuf::fields(bytes, &mut |number, bytes| match number {
            VALUES => pair(bytes, depth, fields),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })
}

/// Adds the texts of a pair.
fn pair<'a>(bytes: &'a [u8], depth: usize, fields: &mut Vec<Field<'a>>) -> Result<(), Malformed> {
    let (mut name, mut value_bytes): (_, &[u8]) = ("", &[]);
    protobuf::fields(bytes, &mut |number, bytes| {
        match number {
            KEY => name = std::str::from_utf8(bytes).map_err(|error| Malformed::new(&error))?,
            VALUE => value_bytes = bytes,
            _ => {}
        }
        Ok(())
    })?;
    value(name, value_bytes, depth, fields)
}

/// Adds a text: the body, or one with a token.
fn add_text<'a>(name: &'a str, text: &'a [u8], fields: &mut Vec<Field<'a>>) {
    if name == "body" || Token::find(text, 0).is_some() {
        fields.push(Field { name: name.into(), text: text.into() });
    }
}
