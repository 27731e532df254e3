//! Models of theory, in which hosts meet and pass whole pieces on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Frequency, Span};

/// How hosts meet in a model of theory: everybody may meet everybody, and each meeting passes at most one piece on.
/// There are no links, no protocol, no tracker and no choking: what a scenario says of them is refused. Who receives
/// chooses the piece with its `picker`, which knows how many hosts in all have each piece. See [theory](theory.md).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Contacts {
    /// Time goes in slots, and in each every host sends at most one piece: `{ slotted = { slot = "1 s" } }`.
    Slotted(Slotted),
    /// Each host has a clock that strikes at random: `{ random = { rate = "1 /s" } }`.
    Random(RandomContacts),
}

/// In each slot the hosts have their turn in random order. Who has a turn sends one piece to a host drawn at random from
/// all that lack one of its pieces, pieces already on the way to them in this slot left out; if there is none, it sends
/// nothing. A host may receive from any number of others. What it receives it has, and may pass on, from the next slot on.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slotted {
    /// How long a slot is: what a piece takes on everybody's uplink.
    pub slot: Span,
}

/// When its clock strikes, a host contacts one that is drawn at random from all others present that came for the content,
/// and sends it a piece if it has one that the other lacks. The piece is there at once.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomContacts {
    /// How often each host makes contact, on the mean.
    pub rate: Frequency,
    /// The same for hosts whose behaviour is `"seed"`; without it, as `rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_rate: Option<Frequency>,
}
