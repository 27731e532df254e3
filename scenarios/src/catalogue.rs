//! The scenarios that come with torrentlab.

use std::sync::LazyLock;

use crate::schema::Scenario;

/// A scenario of the catalogue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name, as `torrentlab run` takes it.
    pub name: &'static str,
    /// The question that it puts.
    pub question: String,
    /// The answer that is expected.
    pub answer: String,
    /// Its file, whole.
    pub text: &'static str,
}

/// All scenarios of the catalogue, in the order in which a newcomer would run them.
pub fn catalogue() -> &'static [Entry] {
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| FILES.iter().map(entry).collect());
    &ENTRIES
}

fn entry(&(name, text): &(&'static str, &'static str)) -> Entry {
    let scenario: Scenario = toml_edit::de::from_str(text).expect("the catalogue is tested");
    Entry { name, question: scenario.question, answer: scenario.answer, text }
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../catalogue/", $name, ".toml")))),*]
    };
}

const FILES: &[(&str, &str)] = files![
    "first-swarm",
    "flash-crowd",
    "client-server",
    "slow-seed",
    "seed-leaves",
    "seed-dies",
    "tracker-dies",
    "partition-heals",
    "heterogeneous",
    "free-riders",
    "phones",
    "flaky-phones",
    "nat-share",
    "stalling-peer",
    "polluter",
    "watching",
    "growth",
    "bharambe-2006",
    "mundinger-2008",
    "missing-piece",
    "real-swarm-a",
    "real-swarm-b",
    "mixed-clients",
    "isp-friendly",
    "like-with-like",
    "bench",
];
