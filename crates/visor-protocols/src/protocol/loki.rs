//! Loki's push: streams of entries, as protocol buffers in raw snappy, or in JSON. Labels are
//! bookkeeping; the line of an entry is the record.

use std::borrow::Cow;

use http::{Method, StatusCode, request::Parts};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use super::{Answer, Malformed, Protocol, content_type, empty, text};
use crate::{encoding, protobuf, records::Records};

/// Loki.
pub(super) struct Loki;

/// Fields of `logproto.PushRequest`, of its streams, and of their entries.
const STREAMS: u32 = 1;
const ENTRIES: u32 = 2;
const LINE: u32 = 2;

impl Protocol for Loki {
    fn name(&self) -> &'static str {
        "loki"
    }

    fn is_for(&self, head: &Parts) -> bool {
        head.method == Method::POST
            && ["/loki/api/v1/push", "/api/prom/push"].contains(&head.uri.path())
    }

    fn read(
        &self,
        head: &Parts,
        body: &[u8],
        records: &mut Records<'_>,
    ) -> Result<Answer, Malformed> {
        if content_type(head) == "application/json" {
            let push: Push<'_> =
                serde_json::from_slice(body).map_err(|error| Malformed::new(&error))?;
            for Entry(line) in push.streams.iter().flat_map(|stream| &stream.values) {
                records.text(line.as_bytes());
            }
        } else {
            let body = encoding::snappy(body).map_err(|error| Malformed::new(&error))?;
            let path = [STREAMS, ENTRIES, LINE];
            // All of it is checked before anything is added.
            protobuf::each(&body, &path, &mut |_| {})?;
            protobuf::each(&body, &path, &mut |line| {
                records.text(line);
            })?;
        }
        Ok(empty(StatusCode::NO_CONTENT))
    }

    fn reject(&self, _: &Parts, status: StatusCode, why: &str) -> Answer {
        text(status, format!("{why}\n"))
    }
}

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow)]
    streams: Vec<Stream<'a>>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, default)]
    values: Vec<Entry<'a>>,
}

/// The line of an entry, which is a list of a time, a line, and maybe structured metadata.
struct Entry<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of a time and a line")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entry<'de>, A::Error> {
        #[derive(Deserialize)]
        struct Line<'a>(#[serde(borrow)] Cow<'a, str>);
        let _: Option<IgnoredAny> = items.next_element()?;
        let line: Option<Line<'de>> = items.next_element()?;
        let line = line.ok_or_else(|| serde::de::Error::invalid_length(1, &self))?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry(line.0))
    }
}
