//! What a scenario file may say. The doc comments here are the reference of all fields.

mod bug;
mod churn;
mod claim;
mod contacts;
mod fault;
mod host;
mod world;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bug::Bug;
pub use churn::{Arrival, Decay, Departure, FlashCrowd, Leave, Session, Steady, Trace};
pub use claim::{Claim, Fit, Shape, Trend};
pub use contacts::{Contacts, RandomContacts, Slotted};
pub use fault::{
    Corrupt, Disk, Fault, FaultKind, RandomFault, RandomFaults, RateChange, Restart, WrongAnswer,
};
pub use host::{Announce, Behaviour, EndgameFrom, HostClass, HostDisk, Limits, Links, Peers, Playback};
pub use world::{Content, Network, Record, Swarm, Tracker, TrackerPolicy, TrackerProtocol};

use crate::units::Span;

/// A scenario: what runs, for how long, and why.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The version of this format. Must be 1.
    pub schema: u32,
    /// The scenario's name; the folder of its results is called so. Without it, the file's name.
    #[serde(default)]
    pub name: String,
    /// The question that the scenario puts, in a sentence or two.
    #[serde(default)]
    pub question: String,
    /// The answer that is expected, in a sentence or two.
    #[serde(default)]
    pub answer: String,
    /// The seed of all randomness.
    #[serde(default = "one")]
    pub seed: u32,
    /// When the run is over: `"all-done"` (nobody is left who still downloads or is still to come),
    /// `{ time = "1 h" }`, or `{ steady = { warm_up = "1 h", window = "2 h" } }`.
    #[serde(default)]
    pub until: Until,
    /// The run ends here at the latest, whatever `until` says. To hit it is a result, not a success.
    #[serde(default = "a_day")]
    pub time_cap: Span,
    /// A scenario in which a piece is in nobody's hands at first is refused as a mistake, unless this is true.
    #[serde(default)]
    pub allow_missing_pieces: bool,
    /// What is shared.
    pub content: Content,
    /// How many leechers there are in all, for classes that have a share of them.
    #[serde(default)]
    pub swarm: Swarm,
    /// The classes of hosts, by name.
    pub hosts: BTreeMap<String, HostClass>,
    /// A model of theory in place of real clients on links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Contacts>,
    /// What goes wrong: one table `[[fault]]` for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fault: Vec<Fault>,
    /// Faults that come at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_faults: Option<RandomFaults>,
    /// The tracker.
    #[serde(default)]
    pub tracker: Tracker,
    /// What all links have in common.
    #[serde(default)]
    pub network: Network,
    /// What is written down.
    #[serde(default)]
    pub record: Record,
    /// What is claimed of the figures, so that a run can refute it: one table `[[claim]]` for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claim: Vec<Claim>,
    /// Lines through what changes over time, by name: figures of the scenario's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fit: BTreeMap<String, Fit>,
    /// The bug that it shows, for a scenario of the bug museum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<Bug>,
    /// Too slow for `torrentlab validate --quick`, which leaves its claims out.
    #[serde(default)]
    pub slow: bool,
}

/// When a run is over.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Until {
    /// When everyone who stayed has everything and nobody is still to come.
    #[default]
    AllDone,
    /// At this time.
    Time(Span),
    /// After a warm-up that is left out of the results and a window that makes them.
    Steady(Steady),
}

impl Scenario {
    /// How many hosts each class has, in the order of `hosts`.
    ///
    /// Shares are rounded by largest remainder, so that the leechers make exactly `swarm.leechers`.
    pub fn class_sizes(&self) -> BTreeMap<&str, u32> {
        let total = self.swarm.leechers.unwrap_or(0);
        let mut rest = i64::from(total);
        let mut remainders = Vec::new();
        let mut sizes = BTreeMap::new();
        for (name, class) in &self.hosts {
            let size = match (class.share, class.fixed_count()) {
                (Some(share), None) => {
                    let exact = u64::from(total) * u64::from(share.ppm());
                    let (whole, part) = ((exact / PPM) as u32, exact % PPM);
                    if class.behaviour == Behaviour::Seed {
                        ((exact + PPM / 2) / PPM).max(1) as u32
                    } else {
                        rest -= i64::from(whole);
                        remainders.push((std::cmp::Reverse(part), name.as_str()));
                        whole
                    }
                }
                (_, count) => count.unwrap_or(0),
            };
            sizes.insert(name.as_str(), size);
        }
        remainders.sort_unstable();
        for (_, name) in remainders.into_iter().take(usize::try_from(rest).unwrap_or(0)) {
            *sizes.entry(name).or_default() += 1;
        }
        sizes
    }

    /// How long a slot is, where time goes in slots.
    pub fn slot(&self) -> Option<Span> {
        match self.contacts {
            Some(Contacts::Slotted(slotted)) => Some(slotted.slot),
            Some(Contacts::Random(_)) | None => None,
        }
    }

    /// How many pieces the content has.
    pub fn pieces(&self) -> u64 {
        self.content.size.bytes().div_ceil(self.content.piece_size.bytes().max(1))
    }
}

const PPM: u64 = 1_000_000;

fn one() -> u32 {
    1
}

fn a_day() -> Span {
    Span::from_secs(24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draw, InitialPieces};

    const MINIMAL: &str = r#"
        schema = 1
        content = { size = "1 MB" }
        swarm.leechers = 10
        [hosts.seed]
        share = "1%"
        behaviour = "seed"
        links = { up = "1 Mbit/s", down = "unlimited" }
        [hosts.slow]
        share = "33.3%"
        stay = { exponential = "200 s" }
        arrival.poisson = "6 /min"
        links = { up = "1 Mbit/s", down = "unlimited", latency = "10ms..50ms" }
        [hosts.middling]
        share = "33.3%"
        pieces = [0, "2-3"]
        links = { up = "1 Mbit/s", down = "unlimited" }
        [hosts.fast]
        share = "33.4%"
        arrival = { flash-crowd = { within = "5 s" } }
        links = { up = "1 Mbit/s", down = "unlimited" }
    "#;

    #[test]
    fn a_field_takes_the_value_that_its_text_means() {
        let scenario: Scenario = toml_edit::de::from_str(MINIMAL).unwrap();
        let slow = &scenario.hosts["slow"];
        assert_eq!(slow.stay, crate::Stay::For(Draw::Exponential(Span::from_secs(200))));
        assert_eq!(
            slow.links.latency,
            Draw::Uniform { from: Span::from_millis(10), to: Span::from_millis(50) }
        );
        assert_eq!(scenario.hosts["middling"].initial_pieces(), InitialPieces::List(vec![(0, 0), (2, 3)]));
        assert_eq!(scenario.hosts["seed"].initial_pieces(), InitialPieces::All);
    }

    #[test]
    fn every_form_of_a_field_is_written_as_it_is_read() {
        let fields = [
            "stay = \"none\"",
            "stay = \"10 s..1 min\"",
            "stay.weibull = { shape = 0.34, scale = \"21.3 min\" }",
            "pieces = \"30%\"",
            "pieces = \"all\"",
            "pieces = [0, \"2-3\", 9]",
            "limits.slots = \"by-rate\"",
            "limits.slots = 7",
            "arrival.constant = \"100 /s\"",
            "arrival.decay = { rate = \"1 /s\", tau = \"4.5 d\", floor = \"400 /day\" }",
            "arrival.trace = { times = [\"0 s\", \"1500 ms\"] }",
            "session = { length = \"10 min\", gap.exponential = \"5 min\" }",
            "leave = { at = \"1 h\", after_copies = 1.5, how = \"vanish\" }",
            "peers = \"seeds\"",
            "region = \"north\"",
        ];
        for field in fields {
            let text = MINIMAL
                .replace("stay = { exponential = \"200 s\" }\n        arrival.poisson = \"6 /min\"", field);
            assert_ne!(text, MINIMAL);
            let scenario: Scenario =
                toml_edit::de::from_str(&text).unwrap_or_else(|error| panic!("{field}: {error}"));
            let written = toml_edit::ser::to_string(&scenario).unwrap();
            assert_eq!(toml_edit::de::from_str::<Scenario>(&written).unwrap(), scenario, "{field}");
        }
    }

    #[test]
    fn shares_make_the_whole_and_seeds_come_on_top() {
        let scenario: Scenario = toml_edit::de::from_str(MINIMAL).unwrap();
        let sizes: Vec<_> = scenario.class_sizes().into_iter().collect();
        assert_eq!(sizes, [("fast", 4), ("middling", 3), ("seed", 1), ("slow", 3)]);
    }
}
