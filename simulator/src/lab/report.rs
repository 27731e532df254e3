//! What came of a swarm, as a test wants to ask it.

use std::ops::Deref;

use torrentlab_reports::record::TimelineRow;
use torrentlab_scenarios::Scenario;
use xxhash_rust::xxh3::xxh3_64;

use crate::run::{Backend, Outcome, RunOptions, resolved};

/// What came of a run. It is an [`Outcome`] with the questions that tests ask.
///
/// Where a test fails while it holds one, the line that runs the swarm again is printed.
#[derive(Debug)]
pub struct Report {
    outcome: Outcome,
    replay: Replay,
}

impl Report {
    pub(super) fn new(outcome: Outcome, replay: Replay) -> Self {
        Self { outcome, replay }
    }

    /// Hosts that came for the content and have it.
    pub fn completed(&self) -> u64 {
        self.record.summary.completed
    }

    /// Whether all who came for the content have it.
    pub fn all_completed(&self) -> bool {
        self.record.summary.unfinished == 0
    }

    /// Download times of the hosts of `class` that finished, in seconds from each one's joining, shortest first.
    pub fn completion_s(&self, class: &str) -> Vec<f64> {
        let of_class = self.record.peers.iter().filter(|peer| peer.class == class);
        let mut times: Vec<f64> = of_class.filter_map(|peer| peer.download_s).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    /// Bytes received for nothing, by all hosts together: duplicates, and pieces that failed their check.
    pub fn wasted_bytes(&self) -> u64 {
        self.record.peers.iter().map(|peer| peer.wasted_bytes).sum()
    }

    /// Pieces that failed their check.
    pub fn hash_failures(&self) -> u64 {
        self.record.summary.hash_failures
    }

    /// Distributed copies over time: seconds, and how many copies all who were present had together.
    pub fn health(&self) -> impl Iterator<Item = (f64, f64)> {
        self.record.timeline.iter().map(|row: &TimelineRow| (row.t_s, row.distributed_copies))
    }

    /// How to run the swarm again: a command, or, where the test brought code of its own, in words. The scenario that the
    /// command names is written by this call.
    pub fn replay(&self) -> String {
        self.replay.line()
    }

    /// Fails the test unless all who came for the content have it, each a true copy.
    ///
    /// # Panics
    /// Then, with who lacks what.
    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert_eq!(self.corrupt, 0, "hosts whose content differs from the original");
        let unfinished = self.record.peers.iter().filter(|peer| {
            peer.completed_s.is_none()
                && peer.initial_pieces < self.record.info.content.pieces
                && peer.left_s.is_none()
        });
        let pieces = self.record.info.content.pieces;
        let lacking: Vec<String> =
            unfinished.map(|peer| format!("{} has {} of {pieces} pieces", peer.host, peer.pieces)).collect();
        assert!(
            lacking.is_empty(),
            "not everyone finished ({}): {}",
            self.record.info.ended_by,
            lacking.join(", ")
        );
        self
    }
}

impl Deref for Report {
    type Target = Outcome;

    fn deref(&self) -> &Outcome {
        &self.outcome
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: {}", self.replay());
        }
    }
}

/// What it takes to run a swarm again.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    scenario_toml: String,
    name: String,
    seed: u64,
    flags: String,
    is_custom: bool,
}

impl Replay {
    pub(super) fn new(scenario: &Scenario, seed: u64, options: &RunOptions<'_>, is_custom: bool) -> Self {
        let mut flags = String::new();
        if options.backend != Backend::default() {
            flags += &format!(" --backend {}", options.backend.name());
        }
        if options.check {
            flags += " --check";
        }
        let scenario_toml = resolved(scenario, seed);
        Self { scenario_toml, name: scenario.name.clone(), seed, flags, is_custom }
    }

    /// Writes the scenario to a folder for what is temporary, and says how to run it.
    pub(super) fn line(&self) -> String {
        let seed = self.seed;
        if self.is_custom {
            return format!(
                "run this test again: its seed is {seed}, and it brings code that no scenario can name"
            );
        }
        // Of the same scenario it is the same file, whoever writes it.
        let file = format!("torrentlab-{}-{:016x}.toml", self.name, xxh3_64(self.scenario_toml.as_bytes()));
        let path = std::env::temp_dir().join(file);
        match std::fs::write(&path, &self.scenario_toml) {
            Ok(()) => format!("torrentlab run {} --seed {seed}{}", path.display(), self.flags),
            Err(error) => {
                format!("seed {seed} (the scenario could not be written to {}: {error})", path.display())
            }
        }
    }
}
