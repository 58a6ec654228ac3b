//! OTLP in JSON: the same messages, with the names of their fields.

use std::borrow::Cow;

use serde::Deserialize;
use visor_proof::delivery::Field;

use super::{Malformed, Records, add, add_text};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    resource_logs: Vec<ResourceLogs<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(borrow, default)]
    scope_logs: Vec<ScopeLogs<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(borrow, default)]
    log_records: Vec<LogRecord<'a>>,
}

#[derive(Deserialize)]
struct LogRecord<'a> {
    #[serde(borrow)]
    body: Option<Value<'a>>,
    #[serde(borrow, default)]
    attributes: Vec<Pair<'a>>,
}

#[derive(Deserialize)]
struct Pair<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    value: Option<Value<'a>>,
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow, rename = "stringValue")]
    string: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "arrayValue")]
    array: Option<Values<'a>>,
    #[serde(borrow, rename = "kvlistValue")]
    pairs: Option<Pairs<'a>>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow, default)]
    values: Vec<Value<'a>>,
}

#[derive(Deserialize)]
struct Pairs<'a> {
    #[serde(borrow, default)]
    values: Vec<Pair<'a>>,
}

/// Reads the log records of a request.
pub(super) fn read(body: &[u8], records: &mut Records<'_>) -> Result<(), Malformed> {
    let request: Request<'_> =
        serde_json::from_slice(body).map_err(|error| Malformed::new(&error))?;
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    for record in scopes.flat_map(|scope| &scope.log_records) {
        let mut fields = Vec::new();
        if let Some(body) = &record.body {
            collect("body", body, &mut fields);
        }
        pairs(&record.attributes, &mut fields);
        add(&fields, records);
    }
    Ok(())
}

fn collect<'a>(name: &'a str, value: &'a Value<'_>, fields: &mut Vec<Field<'a>>) {
    if let Some(text) = &value.string {
        add_text(name, text.as_bytes(), fields);
    }
    for value in value.array.iter().flat_map(|array| &array.values) {
        collect(name, value, fields);
    }
    if let Some(list) = &value.pairs {
        pairs(&list.values, fields);
    }
}

fn pairs<'a>(pairs: &'a [Pair<'_>], fields: &mut Vec<Field<'a>>) {
    for pair in pairs {
        if let Some(value) = &pair.value {
            collect(&pair.key, value, fields);
        }
    }
}
