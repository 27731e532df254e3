//! The rows of `peers.csv`, `timeline.csv`, `pieces.csv` and `faults.csv`. Field order is column order.

use serde::{Deserialize, Serialize};

use super::decimal;

/// What a host was there for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Came for the content and shared what it had.
    #[default]
    Leecher,
    /// Came for the content and never uploads.
    FreeRider,
    /// Held everything from the start.
    Seed,
}

/// How a host went: the three differ in who learns of it, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Departure {
    /// Told the tracker and closed its connections.
    Stop,
    /// Its connections broke; the tracker was not told.
    Kill,
    /// Fell silent: only time-outs find out.
    Vanish,
}

/// One host. A host that comes back keeps its row.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRow {
    /// Its name: class and index, as in `leecher-17`.
    pub host: String,
    /// Its class.
    pub class: String,
    /// What it was there for.
    pub role: Role,
    /// Pieces that it held when it joined.
    pub initial_pieces: u32,
    /// Uplink: the smaller of the link and the client's own limit; `None` is unlimited.
    pub up_bytes_per_s: Option<u64>,
    /// Downlink, likewise.
    pub down_bytes_per_s: Option<u64>,
    /// When it first joined.
    #[serde(with = "decimal")]
    pub joined_s: f64,
    /// From joining to the first complete piece.
    #[serde(with = "decimal::option")]
    pub bootstrap_s: Option<f64>,
    /// From the last piece but one to the last.
    #[serde(with = "decimal::option")]
    pub last_piece_s: Option<f64>,
    /// When it held every piece; `None` if it never did, or did from the start.
    #[serde(with = "decimal::option")]
    pub completed_s: Option<f64>,
    /// From joining to completion ([`PeerRow::derive`]).
    #[serde(with = "decimal::option")]
    pub download_s: Option<f64>,
    /// When it left for good; `None` if it was there at the end.
    #[serde(with = "decimal::option")]
    pub left_s: Option<f64>,
    /// How it left.
    pub departure: Option<Departure>,
    /// How often it joined.
    pub sessions: u32,
    /// Time for which it was there, all sessions together.
    #[serde(with = "decimal")]
    pub online_s: f64,
    /// Pieces that it held at its end.
    pub pieces: u32,
    /// Whether it was there at the end, unfinished, and had received nothing for so long that it never would.
    pub stalled: bool,
    /// Blocks' content that it sent.
    pub payload_up_bytes: u64,
    /// Blocks' content that it received, duplicates and spoilt pieces included.
    pub payload_down_bytes: u64,
    /// Everything that its uplink carried.
    pub wire_up_bytes: u64,
    /// Everything that its downlink carried.
    pub wire_down_bytes: u64,
    /// Payload sent over payload received; `None` if it received none ([`PeerRow::derive`]).
    #[serde(with = "decimal::option")]
    pub share_ratio: Option<f64>,
    /// Requests that it sent.
    pub requests: u64,
    /// Blocks that it received, duplicates included.
    pub blocks: u64,
    /// Blocks that it received though it had them.
    pub duplicate_blocks: u64,
    /// Payload received for nothing: duplicates and pieces that failed their check.
    pub wasted_bytes: u64,
    /// Pieces that failed their check.
    pub hash_failures: u64,
    /// Time for which others unchoked it, summed over connections.
    #[serde(with = "decimal")]
    pub unchoked_s: f64,
    /// Time for which it unchoked others, summed over connections.
    #[serde(with = "decimal")]
    pub unchoking_s: f64,
    /// The part of `unchoking_s` that went to hosts of its own class.
    #[serde(with = "decimal")]
    pub unchoking_own_class_s: f64,
    /// Effective number of sources of its copy: 1/sum p², p a source's share of the payload received
    /// ([`crate::stats::effective_sources`]).
    #[serde(with = "decimal::option")]
    pub sources: Option<f64>,
    /// The share of the payload received that came from hosts that had left for good by the end of the run; `None` if
    /// nothing was received.
    #[serde(with = "decimal::option")]
    pub departed_share: Option<f64>,
    /// Of the time for which another leecher was in its peer set while it was a leecher itself, the share for which it
    /// was interested in that one: the median over the leechers that were there for 10 s at least. It is a/b of Legout,
    /// Urvoy-Keller and Michiardi (IMC 2006, 4.1): near 1 where pieces are spread so evenly that each leecher has
    /// something for each.
    #[serde(with = "decimal::option")]
    pub interest: Option<f64>,
    /// The same over the time after each piece had been with somebody who was no seed from the start (the paper's
    /// steady state).
    #[serde(with = "decimal::option")]
    pub interest_steady: Option<f64>,
    /// From joining until playback began; `None` if it never did, or nobody watched ([`crate::playback`]).
    #[serde(with = "decimal::option")]
    pub startup_s: Option<f64>,
    /// How often playback stood still; `None` if nobody watched.
    pub stalls: Option<u32>,
    /// For how long, all together.
    #[serde(with = "decimal::option")]
    pub stalled_s: Option<f64>,
    /// The share of the pieces that came too late for a player that never waits.
    #[serde(with = "decimal::option")]
    pub late_share: Option<f64>,
}

impl PeerRow {
    /// Fills the columns that follow from others: `download_s` and `share_ratio`.
    pub fn derive(&mut self) {
        self.download_s = self.completed_s.map(|at| at - self.joined_s);
        self.share_ratio = (self.payload_down_bytes > 0)
            .then(|| self.payload_up_bytes as f64 / self.payload_down_bytes as f64);
    }

    /// Whether it came for the content: the figures of completion are about these.
    pub fn is_eligible(&self) -> bool {
        self.role != Role::Seed
    }
}

/// The swarm at one moment; a rate is the mean since the sample before.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineRow {
    /// When.
    #[serde(with = "decimal")]
    pub t_s: f64,
    /// Hosts present that lack a piece.
    pub leechers: u32,
    /// Hosts present that hold every piece.
    pub seeds: u32,
    /// Hosts present that came with nothing and hold a complete piece by now.
    pub bootstrapped: u32,
    /// Hosts that have completed so far, gone or not.
    pub completed: u32,
    /// Distributed copies ([`crate::stats::Health`]) among all hosts present.
    #[serde(with = "decimal")]
    pub distributed_copies: f64,
    /// The same, counted again from what was traced: the pieces with which each host came, the checks that it was told
    /// of, and who came and went.
    #[serde(with = "decimal")]
    pub distributed_copies_recounted: f64,
    /// `distributed_copies` without the hosts that held everything from the start.
    #[serde(with = "decimal")]
    pub distributed_copies_without_seeds: f64,
    /// Copies of the rarest piece.
    pub availability_min: u32,
    /// Mean copies of a piece.
    #[serde(with = "decimal")]
    pub availability_mean: f64,
    /// How many pieces are as rare as the rarest.
    pub rarest_pieces: u32,
    /// How evenly the pieces are spread, 0 to 1 ([`crate::stats::Health`]).
    #[serde(with = "decimal")]
    pub piece_entropy: f64,
    /// Payload that all hosts together sent.
    #[serde(with = "decimal")]
    pub payload_up_bytes_per_s: f64,
    /// Payload that they received.
    #[serde(with = "decimal")]
    pub payload_down_bytes_per_s: f64,
    /// Everything that their uplinks carried.
    #[serde(with = "decimal")]
    pub wire_up_bytes_per_s: f64,
    /// `payload_up_bytes_per_s` over the uplinks of the hosts present, free riders left out; `None` where an
    /// uplink is unlimited.
    #[serde(with = "decimal::option")]
    pub upload_utilisation: Option<f64>,
    /// Announces that the tracker answered since the sample before.
    pub tracker_announces: u64,
    /// Faults under way.
    pub faults: u32,
}

impl TimelineRow {
    /// Fills the five columns that describe how the pieces are spread.
    pub fn set_health(&mut self, health: &crate::stats::Health) {
        self.distributed_copies = health.distributed_copies;
        self.availability_min = health.availability_min;
        self.availability_mean = health.availability_mean;
        self.rarest_pieces = health.rarest_pieces;
        self.piece_entropy = health.piece_entropy;
    }
}

/// One piece.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceRow {
    /// Its index.
    pub piece: u32,
    /// Hosts present at the end that hold it.
    pub copies_at_end: u32,
    /// When a host first completed it.
    #[serde(with = "decimal::option")]
    pub first_copy_s: Option<f64>,
    /// When a host last completed it.
    #[serde(with = "decimal::option")]
    pub last_copy_s: Option<f64>,
    /// Payload of it that the seeds sent.
    pub seed_payload_bytes: u64,
    /// How often it failed its check.
    pub hash_failures: u64,
}

/// A fault that began during the run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRow {
    /// Where the scenario says so: `fault.0`, or `random_faults.mix.2`.
    pub fault: String,
    /// What happened.
    pub kind: String,
    /// To whom, in the scenario's words.
    pub target: String,
    /// Who that was: names of hosts, a space between them; nobody where it was the tracker.
    pub hosts: String,
    /// When it began.
    #[serde(with = "decimal")]
    pub begin_s: f64,
    /// When it was over; `None` if it was not when the run ended.
    #[serde(with = "decimal::option")]
    pub end_s: Option<f64>,
}
