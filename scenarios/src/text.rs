//! Types that a scenario writes as text: serde and the reference go through `FromStr` and `Display`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::bounds::Bounds;
use crate::units::{Frequency, Percent, Rate, Size, Span};

/// Reads a `T` from a string; `example` is for the error when it is no string.
pub(crate) struct TextVisitor<T> {
    pub(crate) what: &'static str,
    pub(crate) example: &'static str,
    pub(crate) of: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in quotes, such as \"{}\"", self.what, self.example)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! text {
    ($type:ident, $what:literal, $example:literal, $about:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(TextVisitor { what: $what, example: $example, of: PhantomData })
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $about })
            }
        }
    };
}

text!(
    Rate,
    "a rate",
    "2 Mbit/s",
    "`\"2 Mbit/s\"`, `\"400 kbit/s\"`, `\"250 kB/s\"`, `\"1 MiB/s\"` or `\"unlimited\"`. 1 kbit = 1,000 bits, 1 kB = 1,000 bytes, 1 KiB = 1,024 bytes."
);
text!(
    Size,
    "a size",
    "256 KiB",
    "`\"256 KiB\"`, `\"102.4 MB\"` or `\"1 GiB\"`. 1 MB = 10^6 bytes, 1 MiB = 2^20 bytes."
);
text!(Span, "a time", "10 s", "`\"40 ms\"`, `\"10 s\"`, `\"5 min\"` or `\"1 h\"`; also `us`, `ns` and `d`.");
text!(Percent, "a percentage", "1%", "`\"1%\"` or `\"33.3%\"`, at most `\"100%\"`.");
text!(Frequency, "a frequency", "100 /s", "`\"100 /s\"`, `\"6 /min\"`, `\"2 /h\"` or `\"740 /day\"`.");
text!(
    Bounds,
    "a range",
    "1.00..1.15",
    "`\"1.00..1.15\"`, `\"0.9..\"`, `\"..3\"`, or `\"1\"` for one value alone."
);
