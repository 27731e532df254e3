//! A scenario for each seed, as its user would write it.
//!
//! Swarm testing (Groce et al., ISSTA 2012): a run does not have every feature at once. Each is switched on or off per
//! seed, so that what one feature hides another run shows.
//!
//! Every scenario can end well: its honest seeds stay, its faults end, and time is left after them. What does not end
//! well is a bug, or a rule of the checkers that is wrong.

use std::fmt::Write as _;

use torrentlab_engine::dice::Dice;
use torrentlab_scenarios::{Scenario, ScenarioError, read};

/// Leechers of a run at most.
const MOST_LEECHERS: u64 = 40;
/// Faults begin and end within so many seconds.
const FAULTS_UNTIL_S: u64 = 180;

/// The scenario of a seed, which is its own seed too.
///
/// # Errors
/// Where the text of the scenario is refused: a defect of the generator.
pub fn generate(seed: u32) -> Result<Scenario, ScenarioError> {
    let loaded = read(&text(seed), &format!("fuzz-{seed}.toml"), &[])?;
    Ok(loaded.scenario)
}

/// The same as text.
pub fn text(seed: u32) -> String {
    Author { dice: Dice::stream(u64::from(seed), ("fuzz", 0, "scenario")), text: String::new() }.write(seed)
}

struct Author {
    dice: Dice,
    text: String,
}

/// What the classes of a run have in common: one draw per seed.
struct Features {
    fast: bool,
    endgame: bool,
    optimistic: bool,
    exchange: bool,
    priority: bool,
    take_back: bool,
    strategies: bool,
    limits: bool,
    churn: bool,
    disks: bool,
    faults: bool,
    rogues: bool,
}

impl Author {
    fn write(mut self, seed: u32) -> String {
        let features = self.features();
        let _ = writeln!(
            self.text,
            "schema = 1\nname = \"fuzz-{seed}\"\nseed = {seed}\nquestion = \"Does anything break in the random swarm {seed}?\"\n\
             until = \"all-done\"\ntime_cap = \"6 h\""
        );
        self.content();
        self.tracker();
        let seeds = 1 + self.dice.below(3);
        self.seeds(&features, seeds);
        let classes = 1 + self.dice.below(3);
        let mut names = vec!["seed".to_owned()];
        for nth in 0..classes {
            let count = 1 + self.log_below(MOST_LEECHERS / classes);
            let name = format!("leecher{nth}");
            self.leechers(&features, &name, count);
            names.push(name);
        }
        if features.rogues {
            self.rogues();
        }
        if features.faults {
            for _ in 0..1 + self.dice.below(4) {
                self.fault(&names);
            }
        }
        self.text
    }

    fn features(&mut self) -> Features {
        let mut on = |one_in| self.dice.below(one_in) == 0;
        Features {
            fast: !on(4),
            endgame: !on(4),
            optimistic: !on(5),
            exchange: on(2),
            priority: on(4),
            take_back: !on(4),
            strategies: on(2),
            limits: on(2),
            churn: on(2),
            disks: on(4),
            faults: !on(3),
            rogues: on(2),
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.dice.below(one_in) == 0
    }

    /// A number below `bound` whose magnitude, rather than itself, is as likely as the next.
    fn log_below(&mut self, bound: u64) -> u64 {
        let bits = 64 - bound.max(1).leading_zeros();
        let magnitude = 1 + self.dice.below(u64::from(bits));
        self.dice.below((1 << magnitude).min(bound.max(1)))
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        self.dice.index(choices.len()).map_or("", |at| choices[at])
    }

    fn content(&mut self) {
        // 40,000 bytes are no whole blocks, and nor is what is cut off at the end.
        let piece = [16 << 10, 32 << 10, 40_000, 64 << 10, 256 << 10][self.dice.index(5).unwrap_or(0)];
        let pieces = 1 + self.log_below(96);
        let cut = if self.chance(2) { self.dice.below(piece) } else { 0 };
        let size = (piece * pieces - cut).clamp(1, 8 << 20);
        let _ = writeln!(self.text, "content = {{ size = \"{size} B\", piece_size = \"{piece} B\" }}");
    }

    fn tracker(&mut self) {
        let protocol = self.one_of(&["http", "udp"]);
        let interval = [60, 120, 600, 1800][self.dice.index(4).unwrap_or(0)];
        let min = [10, 30, 60][self.dice.index(3).unwrap_or(0)];
        let _ = writeln!(
            self.text,
            "tracker = {{ protocol = \"{protocol}\", interval = \"{interval} s\", min_interval = \"{min} s\" }}"
        );
        if self.chance(4) {
            self.line("network = { latency = \"0ms..60ms\" }");
        }
    }

    fn links(&mut self, slowest_kbit: u64) {
        let up = slowest_kbit << self.dice.below(5);
        let down = up << self.dice.below(4);
        let latency = [1, 5, 20, 80, 200][self.dice.index(5).unwrap_or(0)];
        let mut more = String::new();
        if self.chance(6) {
            more += ", jitter = \"10 ms\"";
        }
        if self.chance(8) {
            more += ", loss = \"1%\"";
        }
        if self.chance(4) {
            more += [", socket_buffer = \"20 KiB\"", ", socket_buffer = \"256 KiB\""]
                [self.dice.index(2).unwrap_or(0)];
        }
        let _ = writeln!(
            self.text,
            "links = {{ up = \"{up} kbit/s\", down = \"{down} kbit/s\", latency = \"{latency} ms\"{more} }}"
        );
    }

    /// What seeds and leechers may have in common.
    fn client(&mut self, features: &Features) {
        if !features.fast && self.chance(2) {
            self.line("fast_extension = false");
        }
        if features.exchange && !self.chance(4) {
            self.line("peer_exchange = true");
        }
        if features.priority {
            self.line("canonical_priority = true");
        }
        if !features.take_back {
            self.line("take_back = false");
        }
        if features.limits {
            self.limits(features);
        } else if !features.optimistic {
            self.line("limits.optimistic_slots = 0");
        }
        if features.disks && self.chance(2) {
            self.line("disk = { latency = \"8 ms\", rate = \"20 MB/s\" }");
        }
        if self.chance(5) {
            let how = self.one_of(&["kill", "vanish"]);
            let _ = writeln!(self.text, "leave.how = \"{how}\"");
        }
    }

    fn limits(&mut self, features: &Features) {
        if !features.optimistic {
            self.line("limits.optimistic_slots = 0");
        }
        let choices = [
            "limits.max_requests = 4",
            "limits.reqq = 8",
            "limits.allowed_fast = 5",
            "limits.request_timeout = \"25 s\"",
            "limits.whole_pieces = \"20 s\"",
            "limits.dial_target = 4",
            "limits.up = \"50 KiB/s\"",
            "limits.down_per_conn = \"60 KiB/s\"",
            "limits.redial_max = \"2 min\"",
            "limits.half_open = 1",
            "limits.connections = 8",
        ];
        if self.chance(3) {
            let slots = self.one_of(&["2", "8", "\"by-rate\""]);
            let _ = writeln!(self.text, "limits.slots = {slots}");
        }
        for choice in choices {
            if self.chance(5) {
                self.line(choice);
            }
        }
    }

    fn seeds(&mut self, features: &Features, count: u64) {
        let _ = writeln!(self.text, "\n[hosts.seed]\ncount = {count}\nbehaviour = \"seed\"");
        self.links(500);
        self.client(features);
        if self.chance(4) {
            self.line("super_seeding = true");
        }
        if features.strategies && self.chance(2) {
            let choker = self.one_of(&["libtorrent", "random", "round-robin", "everyone"]);
            let _ = writeln!(self.text, "choker = \"{choker}\"");
        }
    }

    fn leechers(&mut self, features: &Features, name: &str, count: u64) {
        let _ = writeln!(self.text, "\n[hosts.{name}]\ncount = {count}");
        self.links(250);
        self.client(features);
        if !features.endgame {
            self.line("endgame = false");
        } else if self.chance(4) {
            self.line("endgame_from = \"last-pieces\"");
        }
        if features.strategies {
            let picker = self.one_of(&[
                "rarest-first",
                "random",
                "sequential",
                "most-common-first",
                "streaming",
                "global-rarest-first",
            ]);
            let choker = self.one_of(&[
                "tit-for-tat",
                "libtorrent",
                "random",
                "round-robin",
                "bittyrant",
                "propshare",
                "block-tit-for-tat",
                "late-unchoker",
                "everyone",
            ]);
            let _ = writeln!(self.text, "picker = \"{picker}\"\nchoker = \"{choker}\"");
        }
        if self.chance(6) {
            self.line("pieces = \"30%\"");
        }
        if self.chance(6) {
            self.line("announce = \"min-interval\"");
        }
        if self.chance(6) {
            self.line("announce_completed = false");
        }
        if features.churn {
            self.churn();
        }
    }

    fn churn(&mut self) {
        match self.dice.below(3) {
            0 => self.line("arrival.poisson = \"20 /min\""),
            1 => self.line("arrival.constant = \"1 /s\""),
            _ => self.line("arrival.flash-crowd.within = \"30 s\""),
        }
        match self.dice.below(4) {
            0 => self.line("stay = \"none\""),
            1 => self.line("stay = { exponential = \"60 s\" }"),
            _ => {}
        }
        if self.chance(4) {
            self.line("session = { length = \"60 s..300 s\", gap = \"10 s..60 s\" }");
        }
    }

    fn rogues(&mut self) {
        for (class, node) in [("odd", "odd-peer"), ("hostile", "hostile-peer")] {
            if self.chance(2) {
                let count = 1 + self.dice.below(3);
                let pieces = self.one_of(&["none", "50%", "all"]);
                let _ = writeln!(
                    self.text,
                    "\n[hosts.{class}]\ncount = {count}\nnode = \"{node}\"\npieces = \"{pieces}\"\n\
                     leave.at = \"{} s\"",
                    60 + self.dice.below(FAULTS_UNTIL_S)
                );
                self.links(500);
            }
        }
    }

    /// A fault that is over in time.
    fn fault(&mut self, classes: &[String]) {
        let at = self.dice.below(FAULTS_UNTIL_S - 60);
        let lasts = 1 + self.dice.below(60);
        let class = classes[self.dice.index(classes.len()).unwrap_or(0)].clone();
        let leechers = classes[1 + self.dice.index(classes.len() - 1).unwrap_or(0)].clone();
        let whom = match self.dice.below(3) {
            0 => format!("1 of {class}"),
            1 => format!("50% of {class}"),
            _ => class.clone(),
        };
        let some = format!("1 of {leechers}");
        let links = format!("seed <-> {leechers}");
        let (kind, target) = match self.dice.below(24) {
            0 => ("\"stop\"", whom),
            1 => ("\"kill\"", whom),
            2 => ("\"vanish\"", whom),
            3 => ("\"restart\"", whom),
            4 => ("{ restart = { disk = \"lost\" } }", some),
            5 => ("\"partition\"", whom),
            6 => ("\"partition\"", links),
            7 => ("\"hold\"", links),
            8 => ("\"swizzle\"", whom),
            9 => ("{ latency = \"500 ms\" }", whom),
            10 => ("{ loss = \"3%\" }", whom),
            11 => ("{ rate = { up = \"60 kbit/s\" } }", whom),
            12 => ("\"nat\"", some),
            13 => ("\"corrupt\"", some),
            14 => ("\"lying-have\"", some),
            15 => ("\"stall\"", some),
            16 => ("\"down\"", "tracker".to_owned()),
            17 => ("{ slow = \"20 s\" }", "tracker".to_owned()),
            18 => ("{ wrong = \"garbage\" }", "tracker".to_owned()),
            19 => ("{ wrong = \"errors\" }", "tracker".to_owned()),
            20 => ("{ wrong = \"dead-peers\" }", "tracker".to_owned()),
            21 => ("\"disk-full\"", some),
            22 => ("\"read-error\"", whom),
            _ => ("\"forgets\"", "tracker".to_owned()),
        };
        let lasts = if kind == "\"forgets\"" { String::new() } else { format!("\nfor = \"{lasts} s\"") };
        let _ =
            writeln!(self.text, "\n[[fault]]\nat = \"{at} s\"{lasts}\ntarget = \"{target}\"\nkind = {kind}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_makes_a_scenario_and_always_the_same() {
        for seed in 0..500 {
            let scenario = generate(seed).unwrap_or_else(|error| panic!("{seed}: {error}\n{}", text(seed)));
            assert_eq!(scenario.seed, seed);
        }
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8).replace("fuzz-8", "fuzz-7"));
    }

    #[test]
    fn each_feature_is_on_in_some_and_off_in_others() {
        let texts: Vec<String> = (0..300).map(text).collect();
        let features = [
            "fast_extension = false",
            "endgame = false",
            "optimistic_slots = 0",
            "peer_exchange = true",
            "super_seeding = true",
            "node = \"odd-peer\"",
            "node = \"hostile-peer\"",
            "[[fault]]",
            "session =",
            "disk =",
            "picker =",
        ];
        for feature in features {
            let with = texts.iter().filter(|text| text.contains(feature)).count();
            assert!((5..295).contains(&with), "{feature}: {with} of 300");
        }
    }
}
