//! Any other request: its body has plain lines, JSON by line or in a list, or a form. This is what
//! collectors' own HTTP outputs send.

use http::{StatusCode, request::Parts};
use visor_proof::delivery::Field;

use super::{Answer, Malformed, Protocol, content_type, empty, text};
use crate::records::Records;

/// Any request.
pub(super) struct Any;

impl Protocol for Any {
    fn name(&self) -> &'static str {
        "http"
    }

    fn is_for(&self, _: &Parts) -> bool {
        true
    }

    fn read(
        &self,
        head: &Parts,
        body: &[u8],
        records: &mut Records<'_>,
    ) -> Result<Answer, Malformed> {
        if content_type(head) == "application/x-www-form-urlencoded" && is_form(body) {
            let pairs = form_urlencoded::parse(body);
            let field = |(name, text): (_, std::borrow::Cow<'_, str>)| Field {
                name,
                text: text.into_owned().into_bytes().into(),
            };
            records.fields(&pairs.map(field).collect::<Vec<_>>());
        } else {
            records.file(body);
        }
        Ok(empty(StatusCode::OK))
    }

    fn reject(&self, _: &Parts, status: StatusCode, why: &str) -> Answer {
        text(status, format!("{why}\n"))
    }
}

/// Whether the body is encoded as a form. Syslog-ng says so of lines as they are.
fn is_form(body: &[u8]) -> bool {
    let is_encoded = |byte: &u8| byte.is_ascii_alphanumeric() || b"*-._+%=&".contains(byte);
    body.contains(&b'=') && body.trim_ascii_end().iter().all(is_encoded)
}
