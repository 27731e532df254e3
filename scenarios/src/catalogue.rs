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

/// The bug museum: scenarios in each of which something is wrong, and one in which that only seems so. Their names begin
/// with `bugs/`.
pub fn bugs() -> &'static [Entry] {
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| BUGS.iter().map(entry).collect());
    &ENTRIES
}

fn entry(&(name, text): &(&'static str, &'static str)) -> Entry {
    let scenario: Scenario = toml_edit::de::from_str(text).expect("the catalogue is tested");
    Entry { name, question: scenario.question, answer: scenario.answer, text }
}

macro_rules! files {
    ($folder:literal, $prefix:literal: $($name:literal),* $(,)?) => {
        &[$((concat!($prefix, $name), include_str!(concat!("../", $folder, "/", $name, ".toml")))),*]
    };
}

const BUGS: &[(&str, &str)] = files![
    "bugs", "bugs/":
    "no-endgame",
    "no-cancel",
    "lost-have",
    "same-rarest",
    "no-newcomers",
    "choke-flapping",
    "snubbed-for-ever",
    "interest-stuck",
    "no-interest",
    "asks-while-choked",
    "queue-not-freed",
    "deep-queue",
    "orphans",
    "hash-loop",
    "bans-the-innocent",
    "seed-repeats",
    "super-seed-waits",
    "false-have",
    "announce-storm",
    "reconnect-loop",
    "half-open",
    "missing-piece",
];

const FILES: &[(&str, &str)] = files![
    "catalogue", "":
    "first-swarm",
    "flash-crowd",
    "client-server",
    "different-pieces",
    "flood",
    "fair-load",
    "lingering",
    "slow-seed",
    "seed-leaves",
    "seed-dies",
    "tracker-dies",
    "peer-exchange",
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
    "qiu-srikant-2004",
    "legout-2006",
    "legout-2007",
    "mundinger-2008",
    "missing-piece",
    "real-swarm-a",
    "real-swarm-b",
    "mixed-clients",
    "isp-friendly",
    "like-with-like",
    "bench",
];
