//! Integers with bounds, which the schema states and deserialization enforces. Pure.

use std::{
    borrow::Cow,
    fmt,
    num::{NonZeroU32, NonZeroU64},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An integer from `MIN` to `MAX`, stored as a `T` that has no room for much else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounded<T, const MIN: i64, const MAX: i64>(T);

/// A type of integers that can be stored in a [`Bounded`].
pub trait Integer: Copy {
    /// The integer of this value; `None` if the type has none.
    fn from_i64(value: i64) -> Option<Self>;

    /// Its value.
    fn to_i64(self) -> i64;
}

impl<T: Integer, const MIN: i64, const MAX: i64> Bounded<T, MIN, MAX> {
    /// The integer of this value; `None` if it is out of bounds.
    pub fn new(value: i64) -> Option<Self> {
        if (MIN..=MAX).contains(&value) { T::from_i64(value).map(Self) } else { None }
    }

    /// The integer.
    pub fn get(self) -> T {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> Bounded<u32, MIN, MAX> {
    /// This constant, whose bounds the compiler checks.
    pub const fn of<const VALUE: u32>() -> Self {
        const { assert!(MIN <= VALUE as i64 && VALUE as i64 <= MAX) };
        Self(VALUE)
    }
}

impl<const MIN: i64, const MAX: i64> Bounded<NonZeroU32, MIN, MAX> {
    /// This constant, whose bounds the compiler checks.
    pub const fn of<const VALUE: u32>() -> Self {
        const { assert!(MIN <= VALUE as i64 && VALUE as i64 <= MAX) };
        Self(const { NonZeroU32::new(VALUE).expect("it is 0") })
    }
}

macro_rules! integer {
    ($($type:ty, $from:expr, $to:expr;)+) => {$(
        impl Integer for $type {
            fn from_i64(value: i64) -> Option<Self> {
                $from(value)
            }

            fn to_i64(self) -> i64 {
                $to(self)
            }
        }
    )+};
}

integer! {
    u16, |value: i64| value.try_into().ok(), i64::from;
    u32, |value: i64| value.try_into().ok(), i64::from;
    u64, |value: i64| value.try_into().ok(), |value: u64| value.try_into().unwrap_or(i64::MAX);
    NonZeroU32, |value: i64| u32::try_from(value).ok().and_then(Self::new), |value: Self| i64::from(value.get());
    NonZeroU64, |value: i64| u64::try_from(value).ok().and_then(Self::new), |value: Self| value.get().try_into().unwrap_or(i64::MAX);
}

impl<T: fmt::Display, const MIN: i64, const MAX: i64> fmt::Display for Bounded<T, MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Integer, const MIN: i64, const MAX: i64> Serialize for Bounded<T, MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.to_i64())
    }
}

impl<'de, T: Integer, const MIN: i64, const MAX: i64> Deserialize<'de> for Bounded<T, MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = i64::deserialize(deserializer)?;
        Self::new(value)
            .ok_or_else(|| de::Error::custom(format_args!("{value} is not from {MIN} to {MAX}")))
    }
}

impl<T, const MIN: i64, const MAX: i64> JsonSchema for Bounded<T, MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("IntegerFrom{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let format = if MAX <= i32::MAX.into() { "int32" } else { "int64" };
        if MAX == i64::MAX {
            json_schema!({"type": "integer", "format": format, "minimum": MIN})
        } else {
            json_schema!({"type": "integer", "format": format, "minimum": MIN, "maximum": MAX})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_out_of_bounds_are_rejected() {
        type Share = Bounded<u32, 2, 7>;
        for (text, value) in
            [("1", None), ("2", Some(2)), ("7", Some(7)), ("8", None), ("-3", None)]
        {
            let read = serde_json::from_str::<Share>(text);
            assert_eq!(read.as_ref().ok().map(|share| share.get()), value, "{text}");
            if let Err(error) = read {
                assert!(error.to_string().contains("is not from 2 to 7"), "{error}");
            }
        }
        assert_eq!(serde_json::to_string(&Share::of::<5>()).unwrap(), "5");
        assert!(Bounded::<u16, 0, 100_000>::new(70_000).is_none());
        assert!(Bounded::<NonZeroU64, 0, { i64::MAX }>::new(0).is_none());
    }
}
