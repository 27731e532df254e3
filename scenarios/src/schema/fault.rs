//! What goes wrong, with whom, and when.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::churn::Departure;
use crate::draw::Draw;
use crate::target::Target;
use crate::units::{Frequency, Percent, Rate, Span};

/// Something that goes wrong at a time. Each has a table `[[fault]]` of its own; its path is `fault.0` for the
/// first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins. Drawn once.
    #[serde(default = "at_once")]
    pub at: Draw,
    /// How long it lasts; without it, until the run ends. Drawn once. Hosts that stop, are killed or vanish come back
    /// when it is over; without it they are gone for good.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Draw>,
    /// Whom it hits. Where a share or a number of hosts is drawn, it is drawn once.
    pub target: Target,
    /// What happens to them.
    #[serde(deserialize_with = "kind")]
    pub kind: FaultKind,
}

/// What goes wrong.
///
/// The network: `partition`, `hold`, `swizzle`, `latency`, `loss`, `rate`, `nat`, `address-change`. Hosts: `stop`,
/// `kill`, `vanish`, `restart`. Disks: `disk-full`, `read-error`. Peers that misbehave: `corrupt`, `lying-have`,
/// `stall`. The tracker: `down`, `slow`, `wrong`, `forgets`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// They leave politely: tell the tracker and close their connections.
    Stop,
    /// Their processes die: the others learn of it one latency later, the tracker does not.
    Kill,
    /// They fall silent: only time-outs find out.
    Vanish,
    /// They go, and come back after `for` (at once without it). `"restart"` alone: killed, and back with their disks.
    Restart(Restart),
    /// Nothing gets through, and connections live on: TCP sends again when the partition has healed. Of hosts: between
    /// them and all others, but not among themselves. Of links: in the directions that the target names. The tracker
    /// is reached from everywhere, unless the target names it.
    Partition,
    /// What is sent waits on the way, and arrives, in order, when the fault is over. Between the same hosts as a
    /// partition.
    Hold,
    /// The links of each host are held one by one in the first half of `for`, and released one by one, in another
    /// order, in the second (as FoundationDB tests itself).
    Swizzle,
    /// Other rates of the access links, in place of the scenario's.
    Rate(RateChange),
    /// So much more one-way latency, on all links of the hosts or on the links named.
    Latency(Span),
    /// Such a share of all packets is lost, on all links of the hosts or on the links named.
    Loss(Percent),
    /// They cannot be dialled, as behind a NAT: dials to them time out. What is connected stays so.
    Nat,
    /// They move to another address: their connections break, unnoticed by the other ends, and who dials the old
    /// address dials in vain.
    AddressChange,
    /// Their disks are full: writes fail.
    DiskFull,
    /// Reads from their disks fail.
    ReadError,
    /// They send corrupt blocks. `"corrupt"` alone: every block.
    Corrupt(Corrupt),
    /// They announce all pieces, and do not answer when they are asked for one that they lack.
    LyingHave,
    /// They unchoke their peers, and never send a block.
    Stall,
    /// The tracker does not answer.
    Down,
    /// The tracker takes so much longer to answer.
    Slow(Draw),
    /// The tracker answers wrongly.
    Wrong(WrongAnswer),
    /// The tracker has forgotten all peers. They are known again as they announce themselves.
    Forgets,
}

/// How hosts go, and what they come back with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Restart {
    /// How they go.
    pub how: Departure,
    /// What has become of their disks.
    pub disk: Disk,
}

/// What a host finds on its disk when it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// The pieces that it had.
    #[default]
    Kept,
    /// The pieces that it had, but for what its disk had not written out when the power went (`disk.sync_after`).
    /// All is checked before it joins.
    Torn,
    /// Nothing.
    Lost,
}

/// Other rates of access links; what is left out stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateChange {
    /// The uplink's rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<Rate>,
    /// The downlink's rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<Rate>,
}

/// Which blocks a polluter spoils.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Corrupt {
    /// Such a share of the blocks, drawn for each block that is sent.
    pub share: Percent,
    /// Blocks of this piece alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub piece: Option<u32>,
}

/// What a tracker that is out of order says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WrongAnswer {
    /// Bytes that mean nothing.
    Garbage,
    /// An error, whatever it is asked.
    Errors,
    /// Addresses at which nobody is.
    DeadPeers,
}

/// Faults that come at random. They begin independently of each other, and each draws its kind and its hosts anew.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomFaults {
    /// How often one begins.
    pub rate: Frequency,
    /// None begins earlier.
    #[serde(default)]
    pub from: Span,
    /// None begins later, and whatever has a `for` is over by then.
    pub until: Span,
    /// What they are: one table `[[random_faults.mix]]` for each sort.
    pub mix: Vec<RandomFault>,
}

/// A sort of random fault.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomFault {
    /// How often it is this sort, in proportion to the other weights.
    #[serde(default = "one")]
    pub weight: u32,
    /// How long each lasts; without it, until the run ends.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Draw>,
    /// Whom each hits: `"1 of leecher"` is another leecher each time.
    pub target: Target,
    /// What happens to them.
    #[serde(deserialize_with = "kind")]
    pub kind: FaultKind,
}

impl Default for Restart {
    fn default() -> Self {
        Self { how: Departure::Kill, disk: Disk::Kept }
    }
}

impl Default for Corrupt {
    fn default() -> Self {
        Self { share: Percent::from_ppm(1_000_000), piece: None }
    }
}

impl FaultKind {
    /// The word for it in a scenario.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Vanish => "vanish",
            Self::Restart(_) => "restart",
            Self::Partition => "partition",
            Self::Hold => "hold",
            Self::Swizzle => "swizzle",
            Self::Rate(_) => "rate",
            Self::Latency(_) => "latency",
            Self::Loss(_) => "loss",
            Self::Nat => "nat",
            Self::AddressChange => "address-change",
            Self::DiskFull => "disk-full",
            Self::ReadError => "read-error",
            Self::Corrupt(_) => "corrupt",
            Self::LyingHave => "lying-have",
            Self::Stall => "stall",
            Self::Down => "down",
            Self::Slow(_) => "slow",
            Self::Wrong(_) => "wrong",
            Self::Forgets => "forgets",
        }
    }

    /// Whether it happens to the tracker, and to nobody else.
    pub const fn is_trackers(&self) -> bool {
        matches!(self, Self::Down | Self::Slow(_) | Self::Wrong(_) | Self::Forgets)
    }

    /// Whether it can happen to the links between two groups of hosts.
    pub const fn is_for_links(&self) -> bool {
        matches!(self, Self::Partition | Self::Hold | Self::Swizzle | Self::Latency(_) | Self::Loss(_))
    }

    /// Whether it is over as soon as it has happened.
    pub const fn is_instant(&self) -> bool {
        matches!(self, Self::AddressChange | Self::Forgets)
    }
}

impl fmt::Display for FaultKind {
    /// The name, and what matters of the details.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Restart(Restart { disk: Disk::Lost, .. }) => f.write_str(" without its disk"),
            Self::Rate(RateChange { up, down }) => {
                up.iter().try_for_each(|up| write!(f, " up {up}"))?;
                down.iter().try_for_each(|down| write!(f, " down {down}"))
            }
            Self::Latency(more) => write!(f, " +{more}"),
            Self::Loss(share) => write!(f, " {share}"),
            Self::Corrupt(Corrupt { share, piece }) => {
                if share.ppm() < 1_000_000 {
                    write!(f, " {share}")?;
                }
                piece.iter().try_for_each(|piece| write!(f, " piece {piece}"))
            }
            Self::Slow(Draw::Fixed(more)) => write!(f, " +{more}"),
            Self::Slow(Draw::Uniform { from, to }) => write!(f, " +{from}..{to}"),
            Self::Wrong(WrongAnswer::Garbage) => f.write_str(" garbage"),
            Self::Wrong(WrongAnswer::Errors) => f.write_str(" errors"),
            Self::Wrong(WrongAnswer::DeadPeers) => f.write_str(" dead-peers"),
            _ => Ok(()),
        }
    }
}

/// Reads a kind; one whose details all have defaults may be its name alone.
fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<FaultKind, D::Error> {
    from.deserialize_any(KindVisitor)
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = FaultKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a kind of fault, such as \"kill\", or with its details: { latency = \"300 ms\" }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<FaultKind, E> {
        let missing = |details: &str| E::custom(format!("`{name}` needs its details\nhint: write {details}"));
        match name {
            "restart" => Ok(FaultKind::Restart(Restart::default())),
            "corrupt" => Ok(FaultKind::Corrupt(Corrupt::default())),
            "rate" => Err(missing("{ rate = { up = \"100 kbit/s\" } }")),
            "latency" => Err(missing("{ latency = \"300 ms\" }")),
            "loss" => Err(missing("{ loss = \"1%\" }")),
            "slow" => Err(missing("{ slow = \"5 s\" }")),
            "wrong" => Err(missing("{ wrong = \"garbage\" }")),
            _ => FaultKind::deserialize(name.into_deserializer()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FaultKind, A::Error> {
        let kind = FaultKind::deserialize(MapAccessDeserializer::new(&mut map))?;
        match map.next_key::<IgnoredAny>()? {
            None => Ok(kind),
            Some(_) => {
                Err(de::Error::custom("a fault is of one kind\nhint: write a [[fault]] for each kind"))
            }
        }
    }
}

fn at_once() -> Draw {
    Draw::Fixed(Span::ZERO)
}

fn one() -> u32 {
    1
}
