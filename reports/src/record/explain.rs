//! The rows of `explain/<host>.csv`: why a host picked what it picked and unchoked whom it unchoked. Field order is
//! column order.

use serde::{Deserialize, Serialize};

use super::decimal;

/// What was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Which pieces to begin with a peer.
    Pick,
    /// Whom to upload to.
    Unchoke,
}

/// What became of a candidate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A piece was picked.
    Picked,
    /// A piece was not picked.
    PassedOver,
    /// A peer has a slot that it earned.
    Regular,
    /// A peer has an optimistic slot.
    Optimistic,
    /// A peer has no slot.
    Choked,
}

impl Outcome {
    /// Whether the candidate was chosen.
    pub const fn is_chosen(self) -> bool {
        !matches!(self, Self::PassedOver | Self::Choked)
    }
}

/// One candidate of one decision: a piece that a peer has, or a peer that wants a slot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonRow {
    /// The decision, counted from 1 for each host.
    pub decision: u64,
    /// When it was taken.
    #[serde(with = "decimal")]
    pub t_s: f64,
    /// What was decided.
    pub kind: Decision,
    /// The peer: from whom the piece is, or who wants a slot. A host, or an address that is no host's.
    pub peer: String,
    /// The piece; `None` for an unchoke decision.
    pub piece: Option<u32>,
    /// What became of it.
    pub outcome: Outcome,
    /// What the strategy went by; `None` where it does not say, or goes by nothing.
    #[serde(with = "decimal::option")]
    pub score: Option<f64>,
    /// What the score is, with its unit.
    pub score_of: String,
    /// Its place among the candidates by score, from 1; equal ones share a place.
    pub rank: Option<u32>,
    /// Candidates with the same score, itself included.
    pub equals: Option<u32>,
    /// Of a candidate that was chosen: how many that rank as high or higher were not. Where there are any, chance decided.
    pub rivals: Option<u32>,
    /// What else the strategy says of it.
    pub note: String,
    /// Candidates of the decision, of which no more than the first by rank and the chosen ones have a row.
    pub candidates: u32,
    /// Whether the peer wants what the host has.
    pub interested: Option<bool>,
    /// Whether the peer had a slot before.
    pub was_unchoked: Option<bool>,
    /// Payload that the peer sends the host, over the last 20 s.
    pub rate_down_bytes_per_s: Option<u64>,
    /// Payload that the host sends the peer, likewise.
    pub rate_up_bytes_per_s: Option<u64>,
    /// Payload that the peer has sent the host on this connection.
    pub received_bytes: Option<u64>,
    /// Payload that the host has sent the peer on this connection.
    pub sent_bytes: Option<u64>,
    /// Of a peer without a slot: since it lost one, or came.
    #[serde(with = "decimal::option")]
    pub waited_s: Option<f64>,
    /// The most that the slot may be sent.
    pub cap_bytes_per_s: Option<u64>,
    /// What the strategy says of the decision as a whole.
    pub remark: String,
}

/// One decision.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// Its candidates, best first.
    pub rows: Vec<ReasonRow>,
    /// What comes behind those that equal the last chosen one: the score, what it is, and how many have it.
    pub next: Option<(f64, String, u32)>,
}

impl ReasonRow {
    /// The columns of the table.
    pub const COLUMNS: [&'static str; 22] = [
        "decision",
        "t_s",
        "kind",
        "peer",
        "piece",
        "outcome",
        "score",
        "score_of",
        "rank",
        "equals",
        "rivals",
        "note",
        "candidates",
        "interested",
        "was_unchoked",
        "rate_down_bytes_per_s",
        "rate_up_bytes_per_s",
        "received_bytes",
        "sent_bytes",
        "waited_s",
        "cap_bytes_per_s",
        "remark",
    ];

    /// A row of which nothing is known yet but the decision.
    pub fn new(t_s: f64, kind: Decision) -> Self {
        Self {
            decision: 0,
            t_s,
            kind,
            peer: String::new(),
            piece: None,
            outcome: match kind {
                Decision::Pick => Outcome::PassedOver,
                Decision::Unchoke => Outcome::Choked,
            },
            score: None,
            score_of: String::new(),
            rank: None,
            equals: None,
            rivals: None,
            note: String::new(),
            candidates: 0,
            interested: None,
            was_unchoked: None,
            rate_down_bytes_per_s: None,
            rate_up_bytes_per_s: None,
            received_bytes: None,
            sent_bytes: None,
            waited_s: None,
            cap_bytes_per_s: None,
            remark: String::new(),
        }
    }
}
