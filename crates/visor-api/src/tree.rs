//! A YAML document as a tree that knows the location of each node. Pure: text in, tree out.

mod typed;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapDeserializer},
};
use serde_saphyr::{
    DuplicateKeyPolicy, MessageFormatter, Options, Spanned, UserMessageFormatter,
    budget::BudgetBreach, options,
};

use crate::message::one_line;
use typed::present;

/// The maximum number of events (nodes and ends) that aliases of one document may expand to,
/// against alias bombs.
const MAX_REPLAYED_EVENTS: usize = 100_000;

/// The maximum number of nodes of one document: more than the largest text has in a readable notation.
const MAX_NODES: usize = 1_000_000;
/// The maximum number of events of the parser: a node is one, or two if it contains others.
const MAX_EVENTS: usize = 2_000_000;

/// A value and its location.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Line within the document's text, from 1. A member of a mapping has its key's line.
    pub(crate) line: usize,
    /// The bytes of the document's text that a scalar was parsed from; empty if unknown.
    written: (usize, usize),
    pub(crate) value: Value,
}

/// The types of YAML: those of JSON, with the order and the duplicates of a mapping's members.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// One document of an input.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) root: Node,
    pub(super) text: &'a str,
}

/// Why a text is not YAML.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    /// Line within the document's text, from 1; 0 if unknown.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl<'a> Document<'a> {
    /// Parses one YAML (or JSON) document.
    pub(crate) fn parse(text: &'a str) -> Result<Self, SyntaxError> {
        match serde_saphyr::from_str_with_options::<Spanned<Node>>(text, parser_options()) {
            Ok(root) => Ok(Self { root: Node::placed(root), text }),
            Err(error) => {
                let error = error.without_snippet();
                let message = match error {
                    serde_saphyr::Error::Budget {
                        breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. },
                        ..
                    } => format!(
                        "the document has more than {MAX_NODES} values; split it into several"
                    ),
                    _ => one_line(&UserMessageFormatter.format_message(error)),
                };
                Err(SyntaxError {
                    line: error.location().map_or(0, |place| line_number(place.line())),
                    message,
                })
            }
        }
    }

    /// A scalar as it was written, such as `yes` for the value true.
    pub(crate) fn as_written(&self, node: &Node) -> Option<&'a str> {
        let (start, length) = node.written;
        let text = self.text.get(start..start.checked_add(length)?)?.trim();
        if text.is_empty() { None } else { Some(text) }
    }
}

impl Node {
    fn placed(spanned: Spanned<Self>) -> Self {
        let span = spanned.defined.span();
        let written = span.byte_offset().zip(span.byte_len()).unwrap_or_default();
        Self {
            line: line_number(spanned.referenced.line()),
            written: (
                usize::try_from(written.0).unwrap_or(usize::MAX),
                usize::try_from(written.1).unwrap_or(usize::MAX),
            ),
            value: spanned.value.value,
        }
    }

    /// The members of an object except its status, for deserialization.
    pub(crate) fn without_status(&self) -> impl Deserializer<'_, Error = serde_json::Error> {
        let members = if let Value::Map(members) = &self.value { members.as_slice() } else { &[] };
        MapDeserializer::new(present(members).filter(|(key, _)| *key != "status"))
    }

    /// The member of a mapping with that name. A null member counts as absent.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Value::Map(members) = &self.value else { return None };
        members.iter().find(|(key, node)| key == name && !node.is_null()).map(|(_, node)| node)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The line of the value at `path` (`spec.generators[0].name`), else that of the nearest
    /// existing value around it.
    pub(crate) fn line_of(&self, path: &str) -> usize {
        let path = path.strip_prefix('.').unwrap_or(path);
        let inner = match &self.value {
            // The key of a label may contain dots, and may be a prefix of another key.
            Value::Map(members) => members
                .iter()
                .filter_map(|(key, node)| {
                    let rest = path.strip_prefix(key.as_str())?;
                    (rest.is_empty() || rest.starts_with(['.', '['])).then_some((node, rest))
                })
                .min_by_key(|(_, rest)| rest.len()),
            Value::List(items) => path
                .strip_prefix('[')
                .and_then(|rest| rest.split_once(']'))
                .and_then(|(index, rest)| Some((items.get(index.parse::<usize>().ok()?)?, rest))),
            _ => None,
        };
        inner.map_or(self.line, |(node, rest)| node.line_of(rest))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(ValueVisitor)?;
        Ok(Self { line: 0, written: (0, 0), value })
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Node>>()? {
            items.push(Node::placed(item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let mut node = Node::placed(map.next_value()?);
            node.line = line_number(key.referenced.line());
            members.push((key.value, node));
        }
        Ok(Value::Map(members))
    }
}

/// The parser's own limits of depth and size apply; duplicate keys are accepted, so that all of
/// them can be reported at once.
fn parser_options() -> Options {
    options! {
        with_snippet: false,
        budget: serde_saphyr::budget! { max_nodes: MAX_NODES, max_events: MAX_EVENTS },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED_EVENTS,
        },
    }
}

fn line_number(line: u64) -> usize {
    usize::try_from(line).unwrap_or(0)
}
