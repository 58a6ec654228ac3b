//! Texts that are parsed when a document is read. A text that can't be parsed remains a value, because
//! a document with one is read all the same: the rules report it, with all other problems. Pure.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text of a document, and what it means.
#[derive(Debug, Clone)]
pub struct Parsed<T> {
    text: String,
    meaning: Result<T, String>,
}

/// What a text can mean.
pub trait Meaning: Sized {
    /// Parses a text.
    ///
    /// # Errors
    ///
    /// What is wrong with it and what to do, in one line.
    fn parse(text: &str) -> Result<Self, String>;
}

impl<T: Meaning> Parsed<T> {
    /// The text as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means.
    ///
    /// # Errors
    ///
    /// What is wrong with it and what to do, in one line.
    pub fn meaning(&self) -> Result<&T, &str> {
        self.meaning.as_ref().map_err(String::as_str)
    }

    /// What it means; `None` if that is unknown.
    pub fn known(&self) -> Option<&T> {
        self.meaning.as_ref().ok()
    }
}

impl<T: Meaning> From<String> for Parsed<T> {
    fn from(text: String) -> Self {
        Self { meaning: T::parse(&text), text }
    }
}

impl<T: Meaning> From<&str> for Parsed<T> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// The meaning depends on the text alone.
impl<T> PartialEq for Parsed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Parsed<T> {}

impl<T> fmt::Display for Parsed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl<T> Serialize for Parsed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de, T: Meaning> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}

impl<T> JsonSchema for Parsed<T> {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
