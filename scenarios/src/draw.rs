//! Values that are drawn for each host, and the other fields that may be written in more than one way.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::units::{Percent, Span, UnitError};

/// A time that is the same for all or drawn for each host.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Draw {
    /// Always the same.
    Fixed(Span),
    /// Each time between the two as likely as the next.
    Uniform {
        /// The least.
        from: Span,
        /// The most.
        to: Span,
    },
    /// Exponential with this mean.
    Exponential(Span),
    /// Weibull, as sessions are (Stutzbach and Rejaie, IMC 2006).
    Weibull {
        /// k, above 0.
        shape: f64,
        /// lambda.
        scale: Span,
    },
}

/// How long a host stays as a seed once it has everything.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stay {
    /// It leaves at once.
    None,
    /// It stays until the run ends.
    Forever,
    /// It stays so long.
    For(Draw),
}

/// What a host has when it first joins.
#[derive(Clone, PartialEq, Debug)]
pub enum InitialPieces {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// So much of the pieces, drawn for each host.
    Share(Percent),
    /// These pieces: first and last of each range.
    List(Vec<(u32, u32)>),
}

/// How many upload slots a client has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slots {
    /// Always so many.
    Fixed(u32),
    /// As many as the upload rate feeds well.
    ByRate,
}

/// How many neighbours everyone is to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Neighbours {
    /// So many.
    Number(u32),
    /// All others: a complete mesh.
    Everyone,
}

/// The forms that [`Draw`] takes as a table.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DrawTable {
    Exponential(Span),
    Weibull(Weibull),
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Weibull {
    shape: f64,
    scale: Span,
}

impl From<DrawTable> for Draw {
    fn from(table: DrawTable) -> Self {
        match table {
            DrawTable::Exponential(mean) => Self::Exponential(mean),
            DrawTable::Weibull(Weibull { shape, scale }) => Self::Weibull { shape, scale },
        }
    }
}

impl FromStr for Draw {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let Some((from, to)) = text.split_once("..") else {
            return text.parse().map(Self::Fixed);
        };
        let (from, to) = (from.parse()?, to.parse()?);
        if from > to {
            let hint = format!("write \"{to}..{from}\"");
            return Err(UnitError::new(format!("the range `{text}` ends before it begins"), hint));
        }
        Ok(Self::Uniform { from, to })
    }
}

impl FromStr for Stay {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "none" => Ok(Self::None),
            "forever" => Ok(Self::Forever),
            _ => text.parse().map(Self::For).map_err(|error: UnitError| {
                UnitError::new(error.message, "write \"none\", \"forever\" or a time such as \"200 s\"")
            }),
        }
    }
}

impl FromStr for InitialPieces {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "none" => Ok(Self::None),
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::Share).map_err(|error: UnitError| {
                UnitError::new(
                    error.message,
                    "write \"none\", \"all\", \"30%\" or a list such as [0, \"8-15\"]",
                )
            }),
        }
    }
}

impl FromStr for Slots {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "by-rate" => Ok(Self::ByRate),
            _ => Err(UnitError::new(format!("`{text}` is no number of slots"), "write 4 or \"by-rate\"")),
        }
    }
}

impl FromStr for Neighbours {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "everyone" => Ok(Self::Everyone),
            _ => Err(UnitError::new(
                format!("`{text}` is no number of neighbours"),
                "write 35 or \"everyone\"",
            )),
        }
    }
}

impl Serialize for Neighbours {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => to.serialize_u32(*number),
            Self::Everyone => to.serialize_str("everyone"),
        }
    }
}

impl Serialize for Draw {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Fixed(span) => span.serialize(to),
            Self::Uniform { from, to: last } => to.collect_str(&format_args!("{from}..{last}")),
            Self::Exponential(mean) => DrawTable::Exponential(mean).serialize(to),
            Self::Weibull { shape, scale } => DrawTable::Weibull(Weibull { shape, scale }).serialize(to),
        }
    }
}

impl Serialize for Stay {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => to.serialize_str("none"),
            Self::Forever => to.serialize_str("forever"),
            Self::For(draw) => draw.serialize(to),
        }
    }
}

impl Serialize for InitialPieces {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => to.serialize_str("none"),
            Self::All => to.serialize_str("all"),
            Self::Share(share) => share.serialize(to),
            Self::List(ranges) => to.collect_seq(ranges.iter().map(|&(first, last)| PieceRange(first, last))),
        }
    }
}

impl Serialize for Slots {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(slots) => to.serialize_u32(*slots),
            Self::ByRate => to.serialize_str("by-rate"),
        }
    }
}

/// An entry of a list of pieces: `7` or `"8-15"`.
struct PieceRange(u32, u32);

impl Serialize for PieceRange {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0 == self.1 {
            to.serialize_u32(self.0)
        } else {
            to.collect_str(&format_args!("{}-{}", self.0, self.1))
        }
    }
}

impl FromStr for PieceRange {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let range = text
            .split_once('-')
            .and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
        match range {
            Some((first, last)) if first <= last => Ok(Self(first, last)),
            _ => Err(UnitError::new(
                format!("`{text}` is no range of pieces"),
                "write \"8-15\" for pieces 8 to 15",
            )),
        }
    }
}

/// Reads what is written as text, and passes numbers, tables and lists on to the type's own hooks.
trait Forms: Sized + FromStr<Err = UnitError> {
    const EXPECTED: &'static str;

    fn from_number(_: u32) -> Option<Self> {
        None
    }

    fn from_map<'de, A: MapAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(de::Error::invalid_type(de::Unexpected::Map, &Self::EXPECTED))
    }

    fn from_list(_: Vec<PieceRange>) -> Option<Self> {
        None
    }
}

impl Forms for Draw {
    const EXPECTED: &'static str = "a time or range in quotes, such as \"10 ms\" or \"10ms..50ms\", or a table such as { exponential = \"200 s\" }";

    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        DrawTable::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
    }
}

impl Forms for Stay {
    const EXPECTED: &'static str =
        "\"none\", \"forever\", a time such as \"200 s\", or a table such as { exponential = \"200 s\" }";

    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Draw::from_map(map).map(Self::For)
    }
}

impl Forms for InitialPieces {
    const EXPECTED: &'static str = "\"none\", \"all\", \"30%\" or a list such as [0, \"8-15\"]";

    fn from_list(list: Vec<PieceRange>) -> Option<Self> {
        Some(Self::List(list.into_iter().map(|PieceRange(first, last)| (first, last)).collect()))
    }
}

impl Forms for Slots {
    const EXPECTED: &'static str = "a number of slots or \"by-rate\"";

    fn from_number(number: u32) -> Option<Self> {
        Some(Self::Fixed(number))
    }
}

impl Forms for Neighbours {
    const EXPECTED: &'static str = "a number of neighbours or \"everyone\"";

    fn from_number(number: u32) -> Option<Self> {
        Some(Self::Number(number))
    }
}

impl Forms for PieceRange {
    const EXPECTED: &'static str = "the index of a piece or a range such as \"8-15\"";

    fn from_number(number: u32) -> Option<Self> {
        Some(Self(number, number))
    }
}

struct FormsVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Forms> Visitor<'de> for FormsVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let small = u32::try_from(number).ok().and_then(T::from_number);
        small.ok_or_else(|| E::invalid_type(de::Unexpected::Signed(number), &T::EXPECTED))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut ranges = Vec::new();
        while let Some(range) = list.next_element()? {
            ranges.push(range);
        }
        T::from_list(ranges).ok_or_else(|| de::Error::invalid_type(de::Unexpected::Seq, &T::EXPECTED))
    }
}

macro_rules! forms {
    ($($type:ident),*) => { $(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(FormsVisitor(std::marker::PhantomData))
            }
        }
    )* };
}

forms!(Draw, Stay, InitialPieces, Slots, Neighbours, PieceRange);

macro_rules! described {
    ($type:ident, $about:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $about })
            }
        }
    };
}

described!(
    Draw,
    "A time that is the same for all (`\"20 ms\"`), drawn for each host from a range (`\"10ms..50ms\"`, uniform), or drawn from `{ exponential = \"200 s\" }` (the mean) or `{ weibull = { shape = 0.59, scale = \"41.9 min\" } }`."
);
described!(Stay, "`\"none\"`, `\"forever\"`, or a [Draw](#draw).");
described!(
    InitialPieces,
    "`\"none\"`, `\"all\"`, a percentage that is drawn for each host (`\"30%\"`), or a list of pieces and ranges of pieces, counted from 0 (`[0, \"8-15\"]`)."
);
described!(Slots, "A number, or `\"by-rate\"`: as many as the upload rate feeds well.");
described!(Neighbours, "A number, or `\"everyone\"`: a complete mesh.");
