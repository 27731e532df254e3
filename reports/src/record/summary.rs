//! The figures of a run (`summary.json`) and its cost (`cost.json`). Field order is the order in the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::info::Tick;

/// The figures of one run. What was not reached is `None`, never a number that could be taken for one.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// The run's seed.
    pub seed: u64,
    /// Version of the program.
    pub version: String,
    /// `des`, `turmoil`, or the model of contacts.
    pub backend: String,
    /// The steps of time, where it went on in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<Tick>,
    /// Hash over everything that happened.
    pub trace_hash: String,
    /// Hosts that took part, seeds included.
    pub peers: u64,
    /// Hosts that came for the content.
    pub eligible: u64,
    /// Those of them that got it.
    pub completed: u64,
    /// Those that did not: still at it at the end, or gone before.
    pub unfinished: u64,
    /// Those of the unfinished that would never have finished.
    pub stalled: u64,
    /// Why the run ended.
    pub ended_by: String,
    /// Download times over the eligible, each from the host's own join.
    pub completion_s: Completion,
    /// The median of each class of those that came for the content, among its own hosts.
    pub class_p50_s: BTreeMap<String, Option<f64>>,
    /// From the first join of an eligible host to the last completion; `None` unless all completed.
    pub makespan_s: Option<f64>,
    /// The least makespan that any protocol could reach ([`crate::bound`]).
    pub bound_s: Option<f64>,
    /// Whose bound that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_by: Option<String>,
    /// Why there is no bound.
    pub bound_reason: Option<String>,
    /// `makespan_s` over `bound_s`.
    pub stretch_last: Option<f64>,
    /// Mean download time over `bound_s`.
    pub stretch_mean: Option<f64>,
    /// Over the lifetime of all hosts but free riders: payload sent, over uplink times time present.
    pub upload_utilisation: Option<f64>,
    /// Payload that the seeds sent, in copies of the content.
    pub seed_upload_copies: Option<f64>,
    /// The most payload that one host sent, in copies, seeds included.
    pub max_upload_copies: Option<f64>,
    /// The same without the seeds.
    pub max_leecher_upload_copies: Option<f64>,
    /// The share of all payload that hosts other than the seeds sent.
    pub leecher_upload_share: Option<f64>,
    /// The share of all payload that came from a host of another region; absent where there is one region. Duplicates
    /// count, and so does what came before a window of results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_region_share: Option<f64>,
    /// Jain's index over the payload that each eligible host sent: 1 where all sent alike, 1/n where one did.
    pub jain_upload: Option<f64>,
    /// Blocks received, duplicates included.
    pub blocks: u64,
    /// Blocks received by a host that had them.
    pub duplicate_blocks: u64,
    /// Requests sent for each block received: above 1 where blocks were asked for again.
    pub requests_per_block: Option<f64>,
    /// Pieces that failed their check.
    pub hash_failures: u64,
    /// The share of all payload received that was for nothing: duplicates and pieces that failed their check.
    pub wasted_share: Option<f64>,
    /// Bytes on the wire that were not payload, per byte of payload, as sent.
    pub protocol_overhead: Option<f64>,
    /// The least distributed copies in any sample while somebody still lacked a piece.
    pub distributed_copies_min: Option<f64>,
    /// Median time from joining to the first complete piece, over the eligible.
    pub bootstrap_p50_s: Option<f64>,
    /// Median effective number of sources over the hosts that completed.
    pub sources_p50: Option<f64>,
    /// Of those who watched: the median time from joining until playback began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_p50_s: Option<f64>,
    /// Mean number of times that playback stood still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalls_mean: Option<f64>,
    /// Mean time for which it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_mean_s: Option<f64>,
    /// Mean share of the pieces that came too late for a player that never waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_share_mean: Option<f64>,
    /// Time for which hosts of a class unchoked hosts of another, or of their own, summed over connections: by the class
    /// that gave the slots, then by the one that got them. What is absent is 0.
    pub unchoking_s: BTreeMap<String, BTreeMap<String, f64>>,
    /// The lines that the scenario asks for through what changes over time, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fit: BTreeMap<String, FittedLine>,
    /// How long the run was, in seconds of the simulation.
    pub simulated_s: f64,
    /// How many events were delivered.
    pub events: u64,
}

/// Download times. Hosts that did not finish are right-censored: they count among those of which a quantile is
/// taken, so a quantile that was not reached is `None`, and so are mean and maximum unless all finished.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The quickest.
    pub min: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The first quartile.
    pub p25: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// The third quartile.
    pub p75: Option<f64>,
    /// The time by which 95 % had finished.
    pub p95: Option<f64>,
    /// The slowest.
    pub max: Option<f64>,
}

/// A line of least squares through a column of the timeline. `None` where two samples were not there.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedLine {
    /// How many samples it goes through.
    pub samples: u64,
    /// How much the column changes in a second; of an exponential, its natural logarithm.
    pub slope_per_s: Option<f64>,
    /// In what time it doubles; of an exponential that grows.
    pub doubling_s: Option<f64>,
    /// The share of the variance that the line accounts for (R²).
    pub r2: Option<f64>,
}

/// What a run cost the machine.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Time on the clock on the wall.
    pub wall_s: f64,
    /// Processor time.
    pub cpu_s: Option<f64>,
    /// The most memory that the process held.
    pub peak_rss_bytes: Option<u64>,
    /// Events delivered per second of processor time.
    pub events_per_cpu_s: Option<f64>,
    /// Blocks received per second of processor time.
    pub blocks_per_cpu_s: Option<f64>,
}

impl Cost {
    /// The cost of a run of `events` events and `blocks` blocks.
    pub fn new(
        wall_s: f64,
        cpu_s: Option<f64>,
        peak_rss_bytes: Option<u64>,
        events: u64,
        blocks: u64,
    ) -> Self {
        let per_cpu_s = |count: u64| cpu_s.filter(|&cpu_s| cpu_s > 0.0).map(|cpu_s| count as f64 / cpu_s);
        Self {
            wall_s,
            cpu_s,
            peak_rss_bytes,
            events_per_cpu_s: per_cpu_s(events),
            blocks_per_cpu_s: per_cpu_s(blocks),
        }
    }
}
