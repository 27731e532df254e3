//! Who comes when, and who leaves when and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::draw::Draw;
use crate::units::{Frequency, Span};

/// When the hosts of a class first join. Arrivals end when the whole class has come.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrival {
    /// All at once, or spread evenly at random over a while: `{ flash-crowd = { at = "0 s", within = "10 s" } }`.
    FlashCrowd(FlashCrowd),
    /// One after the other at equal distances, from the start: `{ constant = "100 /s" }`.
    Constant(Frequency),
    /// At random and independent of each other, from the start: `{ poisson = "0.2 /s" }`.
    Poisson(Frequency),
    /// At random with a rate that decays, as for a torrent that was just published:
    /// `{ decay = { rate = "1 /s", tau = "4.5 d", floor = "400 /day" } }`.
    Decay(Decay),
    /// As written in a CSV file: `{ trace = { path = "arrivals.csv" } }`.
    Trace(Trace),
}

/// Everyone comes at about the same time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlashCrowd {
    /// When the first may come.
    pub at: Span,
    /// The last comes at most so much later; each host draws its time.
    pub within: Span,
}

/// Rate `rate` · e^(-t/`tau`), but not below `floor` (Guo et al., IMC 2005, with the floor that tracker logs show).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decay {
    /// The rate at the start.
    pub rate: Frequency,
    /// After so long the rate has fallen to 37%.
    pub tau: Span,
    /// The rate does not fall below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Frequency>,
}

/// Arrivals from a CSV file with a column `time_s` (seconds from the start) and, if more than one class comes from
/// the same file, a column `class`. The class has as many hosts as its rows; `count` may be left out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Trace {
    /// The file; a relative path starts from the scenario's folder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The times themselves. They take the place of the file, which is then not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Span>,
}

/// How long hosts are online at a stretch, whether they have everything or not.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// From joining to leaving.
    pub length: Draw,
    /// From leaving to coming back, with the pieces that the host had. Without it nobody comes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<Draw>,
}

/// When hosts leave beside `stay` and `session`, and how they leave whenever they do.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Leave {
    /// At this time, for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// Once the host has sent so many times the content's size, for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_copies: Option<f64>,
    /// How.
    pub how: Departure,
}

/// How a host leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Departure {
    /// Politely: tells the tracker and closes its connections.
    #[default]
    Stop,
    /// Its process dies: the others learn of it one latency later, the tracker does not.
    Kill,
    /// Silence: only time-outs find out.
    Vanish,
}

/// A steady state.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steady {
    /// Left out of the results.
    pub warm_up: Span,
    /// What the results are of.
    pub window: Span,
}

impl Default for Arrival {
    fn default() -> Self {
        Self::FlashCrowd(FlashCrowd::default())
    }
}
