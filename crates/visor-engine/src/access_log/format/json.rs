//! JSON: an object a line, whose fields are those of the Elastic Common Schema that Elastic's own
//! integration makes of an Apache access log (decision 0012). What is absent is left out.

use super::Uses;
use crate::{
    access_log::{escaping::Escaping, request::Request},
    stamp::UtcStamp,
    text::{Lines, Text},
};

/// How JSON escapes.
pub(super) static ESCAPING: Escaping = Escaping::new(string);

/// Which facts have a field.
pub(super) const USES: Uses = Uses {
    remote_user: true,
    referer: true,
    user_agent: true,
    virtual_host: true,
    duration: true,
    connection: true,
    bytes_in: true,
    id: false,
    tls: false,
};

/// The format, ready to write lines.
#[derive(Debug, Clone, Default)]
pub struct Json {
    stamp: UtcStamp,
}

impl Json {
    /// Writes the line of a request, newline included.
    pub(super) fn write(&mut self, request: &Request<'_>, out: &mut Lines) {
        out.extend(br#"{"@timestamp":""#);
        self.stamp.write(request.time, out);
        out.extend(br#"","ecs":{"version":"8.11.0"},"#);
        if let Some(message) = request.request_line.whole {
            out.extend(br#""event":{"dataset":"apache.access","kind":"event","module":"apache"},"#);
            put(br#""message":""#, message, b"\",", out);
        } else {
            write_event(request, out);
            write_http(request, out);
            write_url(request, out);
        }
        write_who(request, out);
        number(br#""process":{"pid":"#, request.pid, out);
        number(br#","thread":{"id":"#, request.tid, out);
        out.extend(b"}}}\n");
    }
}

fn write_event(request: &Request<'_>, out: &mut Lines) {
    out.extend(br#""event":{"category":["web"],"dataset":"apache.access","#);
    number(br#""duration":"#, request.duration, out);
    out.extend(br#","kind":"event","module":"apache","outcome":""#);
    out.extend(if request.status_code < 400 { b"success" } else { b"failure" });
    out.extend(br#"","type":["access"]},"#);
}

fn write_http(request: &Request<'_>, out: &mut Lines) {
    let line = &request.request_line;
    number(br#""http":{"request":{"bytes":"#, request.bytes_in, out);
    put(br#","method":""#, line.method, b"\"", out);
    if !request.referer.is_absent() {
        put(br#","referrer":""#, request.referer, b"\"", out);
    }
    number(br#"},"response":{"body":{"bytes":"#, request.body_bytes, out);
    number(br#"},"bytes":"#, request.bytes_out, out);
    number(br#","status_code":"#, request.status_code, out);
    let version = line.protocol.strip_prefix(b"HTTP/").unwrap_or(line.protocol);
    put(br#"},"version":""#, version, br#""},"#, out);
}

fn write_url(request: &Request<'_>, out: &mut Lines) {
    let line = &request.request_line;
    out.extend(br#""url":{"#);
    if !request.virtual_host.is_absent() {
        put(br#""domain":""#, request.virtual_host, br#"","#, out);
    }
    out.extend(br#""original":""#);
    out.put(line.path);
    out.put(line.query);
    put(br#"","path":""#, line.path, b"\"", out);
    if let Some(query) = line.query.strip_prefix(b"?") {
        put(br#","query":""#, query, b"\"", out);
    }
    out.extend(b"},");
}

/// Who asked: the client, as whom, and with what program.
fn write_who(request: &Request<'_>, out: &mut Lines) {
    if !request.client_address.is_absent() {
        put(br#""source":{"address":""#, request.remote_host, b"\"", out);
        put(br#","ip":""#, request.client_address, b"\"", out);
        number(br#","port":"#, request.remote_port, out);
        out.extend(b"},");
    }
    if !request.remote_user.is_absent() {
        put(br#""user":{"name":""#, request.remote_user, br#""},"#, out);
    }
    if !request.user_agent.is_absent() {
        put(br#""user_agent":{"original":""#, request.user_agent, br#""},"#, out);
    }
}

/// Writes a text that is escaped already, between two others.
fn put(before: &[u8], text: &[u8], after: &[u8], out: &mut Lines) {
    out.extend(before);
    out.extend(text);
    out.extend(after);
}

fn number(before: &[u8], number: impl itoa::Integer, out: &mut Lines) {
    out.extend(before);
    out.number(number);
}

/// What stands between the quotes of a string. Bytes that are no UTF-8 can't be said in JSON:
/// U+FFFD stands in their place.
fn string(plain: &[u8]) -> Text {
    let quoted = serde_json::Value::from(String::from_utf8_lossy(plain)).to_string();
    Text::new(&quoted.as_bytes()[1..quoted.len() - 1])
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
