//! What was run: the part of a record that is known before the first event, and how the run ended.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::claim::{Claim, Fit};

/// The version of the folder's format; it changes when an older program could misread a newer folder.
pub const FORMAT: u32 = 1;

/// The run's identity, its question, and its outcome as a whole (`run.json`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInfo {
    /// Version of the folder's format: [`FORMAT`].
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario asks.
    pub question: String,
    /// The answer that it expects.
    pub answer: String,
    /// What it claims of the figures.
    pub claims: Vec<Claim>,
    /// What came of those claims that a run can judge by itself.
    pub judgement: Judgement,
    /// The lines that it asks for through what changes over time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fits: BTreeMap<String, Fit>,
    /// The run's seed.
    pub seed: u64,
    /// Version of the program.
    pub version: String,
    /// `des`, `turmoil`, or the model of contacts.
    pub backend: String,
    /// The steps of time, where it went on in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<Tick>,
    /// How long a slot is, in which each host sends one piece, where time goes in slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_s: Option<f64>,
    /// Hash over everything that happened, in hexadecimal digits.
    pub trace_hash: String,
    /// Why the run ended: `all_done`, `time`, `steady_state`, or the cap that was hit.
    pub ended_by: String,
    /// How long the run was, in seconds of the simulation.
    pub simulated_s: f64,
    /// How many events were delivered.
    pub events: u64,
    /// What was shared.
    pub content: ContentInfo,
    /// The share of all payload that came from another region, where there is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_region_share: Option<f64>,
    /// The classes of hosts, in the scenario's order.
    pub classes: Vec<ClassInfo>,
}

impl Default for RunInfo {
    fn default() -> Self {
        Self {
            format: FORMAT,
            scenario: String::new(),
            question: String::new(),
            answer: String::new(),
            claims: Vec::new(),
            judgement: Judgement::default(),
            fits: BTreeMap::new(),
            seed: 0,
            version: String::new(),
            backend: "des".to_owned(),
            tick: None,
            slot_s: None,
            trace_hash: String::new(),
            ended_by: String::new(),
            simulated_s: 0.0,
            events: 0,
            content: ContentInfo::default(),
            cross_region_share: None,
            classes: Vec::new(),
        }
    }
}

/// Steps of time, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// How long each is.
    pub ms: f64,
    /// How late a node's timer went off, on the mean.
    pub mean_delay_ms: f64,
}

/// The size of what was shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentInfo {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes of every piece but the last.
    pub piece_bytes: u64,
    /// How many pieces.
    pub pieces: u32,
}

/// One class of hosts, in words where it has many shapes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassInfo {
    /// The name that the scenario gave it.
    pub name: String,
    /// How many hosts of it took part.
    pub hosts: u32,
    /// What they do: `normal`, `free rider`, `seed`...
    pub behaviour: String,
    /// Uplink of one host; `None` is unlimited.
    pub up_bytes_per_s: Option<u64>,
    /// Downlink of one host; `None` is unlimited.
    pub down_bytes_per_s: Option<u64>,
    /// How it picks pieces.
    pub picker: String,
    /// How it chooses whom to unchoke.
    pub choker: String,
    /// What it holds when it joins: `none`, `all`, `30 %`...
    pub initial_pieces: String,
    /// How it arrives and how long it stays.
    pub presence: String,
    /// Time for which its hosts unchoked hosts of each class, summed over connections.
    pub unchoking_s: BTreeMap<String, f64>,
}

/// What came of the claim, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The outcome in a word.
    pub verdict: Verdict,
    /// A sentence that gives the measured figure beside the bar; may be empty.
    pub why: String,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict.name(), self.why)
    }
}

/// The outcome of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Measured as claimed.
    Held,
    /// Measured otherwise.
    Refuted,
    /// The run cannot tell.
    Inconclusive,
    /// Nobody asked.
    #[default]
    NotJudged,
}

impl Verdict {
    /// The verdict in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Refuted => "refuted",
            Self::Inconclusive => "inconclusive",
            Self::NotJudged => "not judged",
        }
    }
}
