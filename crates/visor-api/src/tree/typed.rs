//! A tree as a deserializer, without another copy of it. Null members are left out; of duplicates,
//! the last one is used.

use serde::{
    Deserializer,
    de::{
        Error as _, IntoDeserializer, Unexpected, Visitor,
        value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{Node, Value};

impl<'de> Deserializer<'de> for &'de Node {
    /// Its messages have the type names of JSON.
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match &self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_unit(),
            },
            Value::Float(value) if value.is_finite() => visitor.visit_f64(*value),
            Value::Null | Value::Float(_) => visitor.visit_unit(),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => SeqDeserializer::new(items.iter()).deserialize_any(visitor),
            Value::Map(members) => MapDeserializer::new(present(members)).deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match &self.value {
            Value::Text(variant) => visitor.visit_enum(variant.as_str().into_deserializer()),
            Value::Map(members) if present(members).count() == 1 => {
                let members = MapDeserializer::new(present(members));
                visitor.visit_enum(MapAccessDeserializer::new(members))
            }
            Value::Map(_) => {
                Err(Self::Error::invalid_value(Unexpected::Map, &"map with a single key"))
            }
            // The error says what was expected.
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The members that aren't null, which means "not set".
pub(super) fn present(members: &[(String, Node)]) -> impl Iterator<Item = (&str, &Node)> {
    let present = members.iter().filter(|(_, node)| !node.is_null());
    present.map(|(key, node)| (key.as_str(), node))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, de::DeserializeOwned};
    use serde_json::json;

    use crate::tree::Document;

    /// What derived types ask a deserializer for.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        text: String,
        count: Option<u32>,
        share: Option<f64>,
        flag: Option<bool>,
        newtype: Option<Newtype>,
        choice: Option<Choice>,
        either: Option<Either>,
        list: Option<Vec<i64>>,
        map: Option<BTreeMap<String, Choice>>,
        #[serde(flatten)]
        others: BTreeMap<String, serde_json::Value>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Newtype(u8);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Choice {
        Nothing,
        Number(u64),
        Fields { one: u8, other: Option<String> },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i32),
        Text(String),
    }

    /// Any value that may stand where the types above want one, or want another.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            (-1e9..1e9).prop_map(serde_json::Value::from),
            (0u8..9).prop_map(Into::into),
            "nothing|number|[a-z]{0,5}".prop_map(Into::into),
        ];
        scalar.prop_recursive(3, 24, 4, |inner| {
            let key =
                "text|count|share|flag|newtype|choice|either|list|map|one|other|number|fields";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(key, inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// What the tree of a value's text reads as is what the value itself does.
    fn agree<T: DeserializeOwned + PartialEq + std::fmt::Debug>(value: serde_json::Value) {
        let text = value.to_string();
        let document = Document::parse(&text).unwrap();
        let read = T::deserialize(&document.root);
        match (serde_json::from_value::<T>(without_nulls(value)), read) {
            (Ok(wanted), Ok(read)) => assert_eq!(wanted, read, "{text}"),
            (Err(_), Err(_)) => {}
            (wanted, read) => panic!("{wanted:?} {read:?} {text}"),
        }
    }

    fn without_nulls(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Array(items) => items.into_iter().map(without_nulls).collect(),
            serde_json::Value::Object(members) => {
                let present = members.into_iter().filter(|(_, value)| !value.is_null());
                present.map(|(key, value)| (key, without_nulls(value))).collect()
            }
            scalar => scalar,
        }
    }

    proptest! {
        /// A tree is deserialized like JSON.
        #[test]
        fn a_tree_reads_as_its_json_does(
            text in "[a-z]{0,3}",
            value in value(),
            field in "count|share|flag|newtype|choice|either|list|map|more",
        ) {
            agree::<Typed>(json!({"text": text, field: value}));
            agree::<serde_json::Value>(value.clone());
            agree::<Typed>(value);
        }
    }

    #[test]
    fn of_doubles_the_last_one_stays_and_null_is_none() {
        let document = Document::parse("{a: 0x10, b: -1, b: 2, c: null, d: [~]}").unwrap();
        let read = serde_json::Value::deserialize(&document.root).unwrap();
        assert_eq!(read, json!({"a": 16, "b": 2, "d": [null]}));
    }
}
