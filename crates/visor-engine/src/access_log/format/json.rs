//! JSON: an object a line, whose fields are those of the Elastic Common Schema that Elastic's own
//! integration makes of an Apache access log (decision 0012). What is absent is left out.

use crate::{
    access_log::{
        columns::{Builder, Columns, Moment},
        facts::{Fact, Facts},
        request::Own,
    },
    stamp::AccessStamp,
};

/// The columns of a JSON object.
pub(super) fn columns(facts: &Facts<'_>) -> Columns {
    let mut columns = Builder::default();
    columns.text(br#"{"@timestamp":""#);
    columns.time(Moment::Begin, AccessStamp::utc());
    columns.text(br#"","ecs":{"version":"8.11.0"},"event":{"#);
    if let Some(message) = &facts.message {
        columns.text(br#""dataset":"apache.access","kind":"event","module":"apache"},"message":""#);
        columns.fact(message, string);
        columns.text(br#"","#);
    } else {
        add_event(facts, &mut columns);
        add_http(facts, &mut columns);
        add_url(facts, &mut columns);
    }
    add_who(facts, &mut columns);
    columns.text(br#""process":{"pid":"#);
    columns.own(Own::ProcessId);
    columns.text(br#","thread":{"id":"#);
    columns.own(Own::ThreadId);
    columns.text(b"}}}\n");
    columns.finish()
}

fn add_event(facts: &Facts<'_>, columns: &mut Builder) {
    columns.text(br#""category":["web"],"dataset":"apache.access","duration":"#);
    columns.own(Own::Duration(1));
    columns.text(br#","kind":"event","module":"apache","outcome":""#);
    columns.fact(&facts.status, |status| match status {
        [b'4'..=b'9', ..] => b"failure".to_vec(),
        _ => b"success".to_vec(),
    });
    columns.text(br#"","type":["access"]},"#);
}

fn add_http(facts: &Facts<'_>, columns: &mut Builder) {
    columns.text(br#""http":{"request":{"bytes":"#);
    columns.own(Own::BytesIn);
    columns.text(br#","method":""#);
    columns.fact(&facts.method, string);
    columns.text(br#"""#);
    add_if_present(br#","referrer":""#, &facts.referer, br#"""#, columns);
    columns.text(br#"},"response":{"body":{"bytes":"#);
    columns.own(Own::BodyBytes);
    columns.text(br#"},"bytes":"#);
    columns.own(Own::BytesOut);
    columns.text(br#","status_code":"#);
    columns.fact(&facts.status, <[u8]>::to_vec);
    columns.text(br#"},"version":""#);
    columns.fact(&facts.protocol, |protocol| {
        string(protocol.strip_prefix(b"HTTP/").unwrap_or(protocol))
    });
    columns.text(br#""},"#);
}

fn add_url(facts: &Facts<'_>, columns: &mut Builder) {
    columns.text(br#""url":{"#);
    add_if_present(br#""domain":""#, &facts.virtual_host, br#"","#, columns);
    columns.text(br#""original":""#);
    columns.fact(&facts.target, string);
    columns.text(br#"","path":""#);
    columns.fact(&facts.target, |target| string(split_query(target).0));
    columns.text(br#"""#);
    columns.fact(&facts.target, |target| match split_query(target).1 {
        Some(query) => between(br#","query":""#, query, br#"""#),
        None => Vec::new(),
    });
    columns.text(b"},");
}

/// Who asked: the client, as whom, and with what program.
fn add_who(facts: &Facts<'_>, columns: &mut Builder) {
    if !facts.client_address.is_absent() {
        columns.text(br#""source":{"address":""#);
        columns.fact(&facts.remote_host, string);
        columns.text(br#"","ip":""#);
        columns.fact(&facts.client_address, string);
        columns.text(br#"","port":"#);
        columns.own(Own::RemotePort);
        columns.text(b"},");
    }
    add_if_present(br#""user":{"name":""#, &facts.remote_user, br#""},"#, columns);
    add_if_present(br#""user_agent":{"original":""#, &facts.user_agent, br#""},"#, columns);
}

/// A field of a fact that some requests don't have: its text is empty there.
fn add_if_present(before: &[u8], fact: &Fact<'_>, after: &[u8], columns: &mut Builder) {
    columns.fact(fact, |value| match value {
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

/// What stands between the quotes of a string. Bytes that are no UTF-8 can't be said in JSON:
/// U+FFFD stands in their place.
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
            "resources": choice("/a"),
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
        /// Whatever a document's texts are, a line is JSON that says just them.
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
