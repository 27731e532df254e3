//! Whom a fault hits, as a scenario writes it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::schema::Scenario;
use crate::text::TextVisitor;
use crate::units::{Percent, UnitError};

/// Whom a fault hits: the tracker, hosts, or the links between two groups of hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// The tracker.
    Tracker,
    /// Hosts.
    Hosts(Group),
    /// What goes from the hosts of one group to those of the other.
    Links {
        /// From these.
        from: Group,
        /// To those.
        to: Group,
        /// And back.
        both_ways: bool,
    },
}

/// Hosts of several classes, joined by `+`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group(pub Vec<Member>);

/// Some or all hosts of one class, one host, everyone, or the tracker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// How many of them.
    pub amount: Amount,
    /// Who they are.
    pub of: Who,
}

/// How many of a class are hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    /// All of them.
    All,
    /// So many, drawn.
    Count(u32),
    /// Such a share, drawn.
    Share(Percent),
}

/// A name in a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// All hosts of the scenario.
    Everyone,
    /// The tracker.
    Tracker,
    /// A class, or a host by its class and index.
    Name(String),
}

impl Amount {
    /// How many of `all` hosts: shares are rounded, but not to nobody.
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::All => all,
            Self::Count(count) => all.min(u64::from(count)),
            Self::Share(share) => {
                let ppm = u64::from(share.ppm());
                ((all * ppm + 500_000) / 1_000_000).max(all.min(ppm).min(1))
            }
        }
    }
}

impl Scenario {
    /// The class that `name` means, and the index in it where `name` is a host's, as in `leecher-3`.
    pub fn class_or_host(&self, name: &str) -> Option<(&str, Option<u32>)> {
        if let Some((class, _)) = self.hosts.get_key_value(name) {
            return Some((class, None));
        }
        let (class, index) = name.rsplit_once('-')?;
        let (class, _) = self.hosts.get_key_value(class)?;
        let index = index.parse().ok().filter(|index: &u32| index.to_string() == name[class.len() + 1..])?;
        (index < *self.class_sizes().get(class.as_str())?).then_some((class, Some(index)))
    }
}

const HINT: &str = "write \"tracker\", a class such as \"leecher\", \"30% of leecher\", \"2 of leecher\", a host \
     such as \"leecher-3\", \"everyone\", or the links between two: \"seed <-> leecher\"";

impl FromStr for Target {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let links = text.split_once("<->").map(|sides| (sides, true));
        if let Some(((from, to), both_ways)) = links.or(text.split_once("->").map(|sides| (sides, false))) {
            return Ok(Self::Links { from: from.parse()?, to: to.parse()?, both_ways });
        }
        let group: Group = text.parse()?;
        let is_tracker = matches!(&group.0[..], [Member { of: Who::Tracker, .. }]);
        Ok(if is_tracker { Self::Tracker } else { Self::Hosts(group) })
    }
}

impl FromStr for Group {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.split('+').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Member {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (amount, name) = match text.split_once(" of ") {
            Some((amount, name)) => (amount.parse()?, name.trim()),
            None => (Amount::All, text.trim()),
        };
        let of = match name {
            "everyone" => Who::Everyone,
            "tracker" => Who::Tracker,
            _ => Who::Name(name.to_owned()),
        };
        let whole = amount == Amount::All || of != Who::Tracker;
        let named = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || "<>%".contains(c));
        if named && whole {
            return Ok(Self { amount, of });
        }
        Err(UnitError::new(format!("`{}` is nobody who could be hit", text.trim()), HINT))
    }
}

impl FromStr for Amount {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        if text.ends_with('%') {
            return text.parse().map(Self::Share);
        }
        let wrong = |_| UnitError::new(format!("`{text}` is no number of hosts"), HINT);
        text.parse().map(Self::Count).map_err(wrong)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracker => f.write_str("tracker"),
            Self::Hosts(group) => group.fmt(f),
            Self::Links { from, to, both_ways } => {
                write!(f, "{from} {} {to}", if *both_ways { "<->" } else { "->" })
            }
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, member) in self.0.iter().enumerate() {
            f.write_str(if nth == 0 { "" } else { " + " })?;
            member.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.amount {
            Amount::All => {}
            Amount::Count(count) => write!(f, "{count} of ")?,
            Amount::Share(share) => write!(f, "{share} of ")?,
        }
        f.write_str(match &self.of {
            Who::Everyone => "everyone",
            Who::Tracker => "tracker",
            Who::Name(name) => name,
        })
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(TextVisitor { what: "a target", example: "30% of leecher", of: PhantomData })
    }
}

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description":
            "`\"tracker\"`; a class (`\"leecher\"`), a share or a number of its hosts, drawn once (`\"30% of leecher\"`, \
             `\"2 of leecher\"`), a host (`\"leecher-3\"`, counted from 0), `\"everyone\"`, or several of these \
             (`\"seed + 30% of leecher\"`). The links between two such groups, both ways (`\"seed <-> leecher\"`) or \
             one way (`\"seed -> leecher\"`); there the tracker can be on one of the sides \
             (`\"30% of leecher <-> tracker\"`)."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_written_as_they_are_read() {
        for text in [
            "tracker",
            "everyone",
            "leecher-3",
            "33.3% of free-riders",
            "2 of everyone",
            "seed + 30% of leecher",
            "seed <-> leecher",
            "seed-0 -> 5 of leecher + phone",
            "seed + tracker <-> leecher",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("a->b".parse::<Target>().unwrap().to_string(), "a -> b");
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for text in [
            "",
            "+",
            "a +",
            "a <->",
            "<-> b",
            "a <-> b <-> c",
            "30% leecher",
            "half of leecher",
            "2 of tracker",
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.hint.starts_with("write \"tracker\""), "{text}: {error}");
        }
    }
}
