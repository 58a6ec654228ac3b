//! A filter for reviews: only the fields that a response needs are kept, with limits on their number
//! and their text. The rest is skipped while parsing. So a review takes little memory, whatever it
//! contains: anybody who reaches the port may send one.
//!
//! Lists keep their length, and empty objects are kept, so that a patch of the filtered pod applies
//! to the whole one.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::labels::SAFE_TO_EVICT;

/// The maximum number of values: a pod of a hundred containers has as many.
const MAX_VALUES: usize = 8192;
/// The maximum number of bytes of text, including field names.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// What is kept of a value.
enum Filter {
    /// A string, number, boolean or null; nothing of other values.
    Scalar,
    /// These fields of an object.
    Fields(&'static [(&'static str, Filter)]),
    /// The same of every item of a list.
    Items(&'static Filter),
    /// All fields of an object, each a scalar.
    Scalars,
    /// The fields whose names have one of these prefixes.
    Prefixed(&'static [&'static str]),
}

use Filter::{Fields, Items, Prefixed, Scalar, Scalars};

const KIND: Filter = Fields(&[("group", Scalar), ("version", Scalar), ("kind", Scalar)]);
const USER_AND_GROUP: Filter = Fields(&[("runAsUser", Scalar), ("runAsGroup", Scalar)]);
const RESOURCES: Filter = Fields(&[("limits", Scalars), ("requests", Scalars)]);
const MOUNT: Filter = Fields(&[
    ("name", Scalar),
    ("mountPath", Scalar),
    ("subPath", Scalar),
    ("subPathExpr", Scalar),
]);
const CONTAINER: Filter = Fields(&[
    ("name", Scalar),
    ("restartPolicy", Scalar),
    ("ports", Items(&Fields(&[("containerPort", Scalar)]))),
    ("volumeMounts", Items(&MOUNT)),
    ("securityContext", USER_AND_GROUP),
    ("resources", RESOURCES),
]);
const NOTHING: Filter = Fields(&[]);
const READ_ONLY: Filter = Fields(&[("readOnly", Scalar)]);
const VOLUME: Filter = Fields(&[
    ("name", Scalar),
    ("emptyDir", NOTHING),
    ("ephemeral", NOTHING),
    ("persistentVolumeClaim", Fields(&[("claimName", Scalar), ("readOnly", Scalar)])),
    // Only the kind of the volume matters.
    ("configMap", NOTHING),
    ("downwardAPI", NOTHING),
    ("image", NOTHING),
    ("projected", NOTHING),
    ("secret", NOTHING),
    ("awsElasticBlockStore", READ_ONLY),
    ("azureDisk", READ_ONLY),
    ("azureFile", READ_ONLY),
    ("cephfs", READ_ONLY),
    ("cinder", READ_ONLY),
    ("csi", READ_ONLY),
    ("fc", READ_ONLY),
    ("flexVolume", READ_ONLY),
    ("gcePersistentDisk", READ_ONLY),
    ("glusterfs", READ_ONLY),
    ("iscsi", READ_ONLY),
    ("nfs", READ_ONLY),
    ("portworxVolume", READ_ONLY),
    ("quobyte", READ_ONLY),
    ("rbd", READ_ONLY),
    ("scaleIO", READ_ONLY),
    ("storageos", READ_ONLY),
]);
const POD: Filter = Fields(&[
    ("apiVersion", Scalar),
    ("kind", Scalar),
    (
        "metadata",
        Fields(&[
            ("name", Scalar),
            ("generateName", Scalar),
            ("namespace", Scalar),
            ("labels", Prefixed(&["visor.dev/"])),
            ("annotations", Prefixed(&["visor.dev/", SAFE_TO_EVICT])),
        ]),
    ),
    (
        "spec",
        Fields(&[
            ("os", Fields(&[("name", Scalar)])),
            ("hostNetwork", Scalar),
            ("securityContext", USER_AND_GROUP),
            ("resources", RESOURCES),
            ("containers", Items(&CONTAINER)),
            ("initContainers", Items(&CONTAINER)),
            ("volumes", Items(&VOLUME)),
        ]),
    ),
]);
const REVIEW: Filter = Fields(&[
    ("apiVersion", Scalar),
    ("kind", Scalar),
    (
        "request",
        Fields(&[
            ("uid", Scalar),
            ("kind", KIND),
            ("resource", Fields(&[("group", Scalar), ("version", Scalar), ("resource", Scalar)])),
            ("subResource", Scalar),
            ("name", Scalar),
            ("namespace", Scalar),
            ("operation", Scalar),
            ("dryRun", Scalar),
            ("userInfo", NOTHING),
            ("object", POD),
        ]),
    ),
]);

/// Parses what is needed of a review.
///
/// # Errors
///
/// If it isn't JSON, or exceeds the limits.
pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Value> {
    let remaining = Remaining { values: Cell::new(MAX_VALUES), text: Cell::new(MAX_TEXT_BYTES) };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Seed { filter: &REVIEW, remaining: &remaining }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// What remains of the limits.
struct Remaining {
    values: Cell<usize>,
    text: Cell<usize>,
}

impl Remaining {
    fn value<E: Error>(&self) -> Result<(), E> {
        take(&self.values, 1).ok_or_else(|| E::custom(format!("more than {MAX_VALUES} values")))
    }

    fn text<E: Error>(&self, text: &str) -> Result<(), E> {
        take(&self.text, text.len())
            .ok_or_else(|| E::custom(format!("more than {MAX_TEXT_BYTES} bytes of text")))
    }
}

fn take(remaining: &Cell<usize>, count: usize) -> Option<()> {
    remaining.set(remaining.get().checked_sub(count)?);
    Some(())
}

/// Parses one value.
#[derive(Clone, Copy)]
struct Seed<'a> {
    filter: &'a Filter,
    remaining: &'a Remaining,
}

impl Seed<'_> {
    /// The filter of a field, if it is kept.
    fn field(self, name: &str) -> Option<Self> {
        let filter = match self.filter {
            Fields(fields) => &fields.iter().find(|(field, _)| *field == name)?.1,
            Prefixed(prefixes) if prefixes.iter().any(|prefix| name.starts_with(prefix)) => &Scalar,
            Scalars => &Scalar,
            _ => return None,
        };
        Some(Seed { filter, ..self })
    }

    fn scalar<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.remaining.value()?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.remaining.text(value)?;
        self.scalar(value)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.remaining.value()?;
        let mut list = Vec::new();
        if let Items(filter) = self.filter {
            while let Some(item) = items.next_element_seed(Seed { filter, ..self })? {
                list.push(item);
            }
        } else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        self.remaining.value()?;
        let mut object = Map::new();
        while let Some(field) = fields.next_key_seed(Name(self))? {
            match field {
                Some((name, seed)) => {
                    object.insert(name, fields.next_value_seed(seed)?);
                }
                None => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(object))
    }
}

/// Parses a field name: `None` if the field isn't kept.
struct Name<'a>(Seed<'a>);

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Option<(String, Seed<'a>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Option<(String, Seed<'a>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let Some(seed) = self.0.field(name) else { return Ok(None) };
        self.0.remaining.text(name)?;
        Ok(Some((name.to_owned(), seed)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::documented::row_contains;

    fn of(object: &Value) -> serde_json::Result<Value> {
        let read = read(json!({"request": {"object": object}}).to_string().as_bytes())?;
        Ok(read["request"]["object"].clone())
    }

    #[test]
    fn what_an_answer_needs_is_read_and_lists_keep_their_length() {
        let read = of(&json!({
            "metadata": {"name": "web", "uid": "1", "labels": {"app": "web", "visor.dev/inject": "true"},
                         "annotations": {"a": "b"}},
            "spec": {
                "nodeName": "n", "tolerations": [{}, {}],
                "containers": [{"name": "web", "env": [{"name": "A"}]}, {}, null, 7],
                "initContainers": null,
                "volumes": [{"name": "a", "emptyDir": {"medium": "Memory"}}, {"secret": {"secretName": "s"}},
                            {"gitRepo": {}}, {"nfs": {"server": "n", "readOnly": true}}],
            },
        }));
        assert_eq!(
            read.unwrap(),
            json!({
                "metadata": {"name": "web", "labels": {"visor.dev/inject": "true"}, "annotations": {}},
                "spec": {
                    "containers": [{"name": "web"}, {}, null, 7],
                    "initContainers": null,
                    "volumes": [{"name": "a", "emptyDir": {}}, {"secret": {}}, {},
                                {"nfs": {"readOnly": true}}],
                },
            })
        );
    }

    #[test]
    fn large_reviews_are_rejected_but_ignored_fields_may_be_large() {
        let many = |count| Value::Array(vec![json!({}); count]);
        assert!(of(&json!({"spec": {"containers": many(4000)}})).is_ok());
        for field in ["containers", "initContainers", "volumes"] {
            let error = of(&json!({"spec": {field: many(MAX_VALUES)}})).unwrap_err();
            assert!(error.to_string().contains("more than 8192 values"), "{error}");
        }
        let long = "a".repeat(MAX_TEXT_BYTES + 1);
        let error = of(&json!({"metadata": {"name": long}})).unwrap_err();
        assert!(error.to_string().contains("more than 262144 bytes of text"), "{error}");
        let labels: Map<String, Value> =
            (0..MAX_VALUES).map(|n| (format!("visor.dev/{n}"), json!("a"))).collect();
        assert!(of(&json!({"metadata": {"labels": labels}})).is_err());
        let unneeded = json!({"status": many(MAX_VALUES), "spec": {"tolerations": many(MAX_VALUES),
            "dnsPolicy": long}, "metadata": {"labels": {"a": long}}});
        assert!(of(&unneeded).is_ok());
    }

    #[test]
    fn what_is_read_at_most_is_documented() {
        let (thousands, rest) = (MAX_VALUES / 1000, MAX_VALUES % 1000);
        let said = format!("{thousands},{rest} values, {} KiB of text", MAX_TEXT_BYTES >> 10);
        row_contains("webhook | parsed part of a review", &said);
    }

    #[test]
    fn what_is_no_json_is_an_error_however_deep() {
        for bytes in [b"".as_slice(), b"{", b"{}{}", b"\xff", b"{\"request\": {\"object\": {"] {
            assert!(read(bytes).is_err());
        }
        let deep = format!("{{\"a\": {}", "[".repeat(1 << 20));
        assert!(read(deep.as_bytes()).is_err());
        let filter = format!(r#"{{"request": {{"object": {}"#, r#"{"spec":"#.repeat(1 << 16));
        assert!(read(filter.as_bytes()).is_err());
    }
}
