//! JSON: an object a line, whose fields are those of the Elastic Common Schema that Elastic's own
//! integration makes of an Apache access log (decision 0012). Absent fields are left out.

use visor_proof::token::PLACEHOLDER;

use super::Builder;
use crate::{
    line::{Field, Moment},
    log::access::{fields::RequestFields, request::PerRequestField},
    stamp::Stamp,
};

/// Adds the columns of a JSON object.
pub(super) fn add(fields: &RequestFields<'_>, columns: &mut Builder) {
    columns.text(br#"{"@timestamp":""#);
    columns.time(Moment::Begin, Stamp::utc());
    columns.text(br#"","ecs":{"version":"8.11.0"},"event":{"#);
    if let Some(message) = &fields.message {
        columns.text(br#""dataset":"apache.access","kind":"event","module":"apache"},"message":""#);
        columns.field(message, string);
        columns.text(br#"","#);
    } else {
        add_event(fields, columns);
        add_http(fields, columns);
        match &fields.request_line {
            None => add_url(fields, columns),
            // What can't be taken apart is a message.
            Some(line) => add_if_present(br#""message":""#, line, br#"","#, columns),
        }
    }
    add_who(fields, columns);
    columns.text(br#""process":{"pid":"#);
    columns.per_record(PerRequestField::ProcessId);
    columns.text(br#","thread":{"id":"#);
    columns.per_record(PerRequestField::ThreadId);
    columns.text(b"}}}\n");
}

fn add_event(fields: &RequestFields<'_>, columns: &mut Builder) {
    columns.text(br#""category":["web"],"dataset":"apache.access","duration":"#);
    columns.per_record(PerRequestField::Duration(1));
    columns.text(br#","kind":"event","module":"apache","outcome":""#);
    columns.field(&fields.status, |status| match status {
        [b'4'..=b'9', ..] => b"failure".to_vec(),
        _ => b"success".to_vec(),
    });
    columns.text(br#"","type":["access"]},"#);
}

fn add_http(fields: &RequestFields<'_>, columns: &mut Builder) {
    columns.text(br#""http":{"request":{"bytes":"#);
    columns.per_record(PerRequestField::BytesIn);
    columns.text(br#","id":""#);
    columns.text(PLACEHOLDER);
    columns.text(br#"""#);
    add_if_present(br#","method":""#, &fields.method, br#"""#, columns);
    add_if_present(br#","referrer":""#, &fields.referer, br#"""#, columns);
    columns.text(br#"},"response":{"body":{"bytes":"#);
    columns.per_record(PerRequestField::BodyBytes);
    columns.text(br#"},"bytes":"#);
    columns.per_record(PerRequestField::BytesOut);
    columns.text(br#","status_code":"#);
    columns.field(&fields.status, <[u8]>::to_vec);
    columns.text(br#"},"version":""#);
    columns.field(&fields.protocol, |protocol| {
        string(protocol.strip_prefix(b"HTTP/").unwrap_or(protocol))
    });
    columns.text(br#""},"#);
}

fn add_url(fields: &RequestFields<'_>, columns: &mut Builder) {
    columns.text(br#""url":{"#);
    add_if_present(br#""domain":""#, &fields.host, br#"","#, columns);
    columns.text(br#""original":""#);
    columns.field(&fields.target, string);
    columns.text(br#"","path":""#);
    columns.field(&fields.target, |target| string(split_query(target).0));
    columns.text(br#"""#);
    columns.field(&fields.target, |target| match split_query(target).1 {
        Some(query) => between(br#","query":""#, query, br#"""#),
        None => Vec::new(),
    });
    columns.text(b"},");
}

/// The client: address, user, and user agent.
fn add_who(fields: &RequestFields<'_>, columns: &mut Builder) {
    if !fields.client_address.is_absent() {
        columns.text(br#""source":{"address":""#);
        columns.field(&fields.remote_host, string);
        columns.text(br#"","ip":""#);
        columns.field(&fields.client_address, string);
        columns.text(br#"","port":"#);
        columns.per_record(PerRequestField::RemotePort);
        columns.text(b"},");
    }
    add_if_present(br#""user":{"name":""#, &fields.remote_user, br#""},"#, columns);
    add_if_present(br#""user_agent":{"original":""#, &fields.user_agent, br#""},"#, columns);
}

/// An optional field: its text is empty if it is absent.
fn add_if_present(before: &[u8], field: &Field<'_>, after: &[u8], columns: &mut Builder) {
    columns.field(field, |value| match value {
        b"-" => Vec::new(),
        value => between(before, value, after),
    });
}

/// A path, and the query behind its `?`.
fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}

fn between(before: &[u8], text: &[u8], after: &[u8]) -> Vec<u8> {
    [before, &string(text), after].concat()
}

/// The content of a JSON string. Invalid UTF-8 is replaced by U+FFFD.
fn string(plain: &[u8]) -> Vec<u8> {
    let quoted = serde_json::Value::from(String::from_utf8_lossy(plain)).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn lines(log: &Value, stream: &Value) -> Vec<Value> {
        testing::lines(&json!({"name": "web", "access": log, "streams": [stream]}), 20)
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let choice = |value: &str| json!([{"value": value}]);
        let log = json!({
            "format": "Json",
            "users": choice("-"),
            "referers": choice("-"),
            "userAgents": choice("-"),
            "virtualHosts": choice("-"),
            "targets": choice("/a"),
        });
        for line in lines(&log, &json!({"name": "requests", "kind": "Access"})) {
            assert_eq!((line.get("user"), line.get("user_agent")), (None, None));
            assert_eq!(line["url"], json!({"original": "/a", "path": "/a"}));
            assert_eq!(line["http"]["request"].get("referrer"), None);
        }
    }

    #[test]
    fn a_message_is_a_message_and_no_request() {
        let stream = json!({
            "name": "beat",
            "kind": "Heartbeat",
            "messages": [{"value": "still \"here\""}],
        });
        for line in lines(&json!({"format": "Json"}), &stream) {
            assert_eq!(line["message"], "still \"here\"");
            for absent in ["http", "url", "source", "user", "user_agent"] {
                assert_eq!(line.get(absent), None, "{absent}");
            }
        }
    }

    proptest! {
        /// Whatever the values of a document are, a line is JSON with exactly these values.
        #[test]
        fn any_text_comes_out_as_it_was(text in "\\PC{1,40}|[\u{0}-\u{ff}]{1,40}") {
            prop_assume!(text != "-");
            let log = json!({"format": "Json", "userAgents": [{"value": text}]});
            for line in lines(&log, &json!({"name": "requests", "kind": "Access"})) {
                prop_assert_eq!(&line["user_agent"]["original"], &json!(text));
            }
        }

        #[test]
        fn any_bytes_are_a_string_of_one_line(plain: Vec<u8>) {
            let text = format!("\"{}\"", std::str::from_utf8(&string(&plain)).unwrap());
            let read: String = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&plain));
            prop_assert!(!text.contains('\n'));
        }
    }
}
