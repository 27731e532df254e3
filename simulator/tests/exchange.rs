//! What peer exchange (BEP 11) and canonical priority (BEP 40) do to a swarm.

use torrentlab_reports::record::RunRecord;
use torrentlab_scenarios::Scenario;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, RunOptions, run};

/// The tracker names one peer to each who asks, and dies once all have asked; who is done goes.
const FEW_CONTACTS: &str = r#"
schema = 1
time_cap = "90 s"
content = { size = "4 MiB", piece_size = "64 KiB" }

[[fault]]
at = "6 s"
target = "tracker"
kind = "down"

[hosts.seed]
count = 1
behaviour = "seed"
limits.numwant = 1
links = { up = "4 Mbit/s", down = "16 Mbit/s", latency = "10 ms" }

[hosts.leecher]
count = 12
stay = "none"
limits.numwant = 1
arrival.flash-crowd.within = "5 s"
links = { up = "1 Mbit/s", down = "8 Mbit/s", latency = "10ms..40ms" }
"#;

/// Ten hosts come to forty that have all the connections that they want.
const FULL: &str = r#"
schema = 1
time_cap = "20 min"
content = { size = "8 MiB", piece_size = "128 KiB" }

[hosts.seed]
count = 1
behaviour = "seed"
limits = { connections = 8, dial_target = 8 }
links = { up = "4 Mbit/s", down = "16 Mbit/s", latency = "10 ms" }

[hosts.early]
count = 40
limits = { connections = 8, dial_target = 8 }
arrival.flash-crowd.within = "5 s"
links = { up = "1 Mbit/s", down = "8 Mbit/s", latency = "10ms..40ms" }

[hosts.late]
count = 10
limits = { connections = 8, dial_target = 8 }
arrival.flash-crowd = { at = "20 s", within = "5 s" }
links = { up = "1 Mbit/s", down = "8 Mbit/s", latency = "10ms..40ms" }
"#;

fn record(text: &str, with: &str, seed: u64, backend: Backend) -> RunRecord {
    // Of every class.
    let text = text.replace("\nlinks = {", &format!("\n{with}\nlinks = {{"));
    let scenario = Scenario::from_toml(&text, "test.toml").unwrap_or_else(|error| panic!("{error}"));
    let options = RunOptions { backend, check: true, ..RunOptions::default() };
    run(&scenario, seed, &Registry::default(), &options, &mut |_| ()).unwrap_or_else(|e| panic!("{e}")).record
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_swarm_whose_tracker_knew_little_holds_together_by_peer_exchange() {
    for (backend, seeds) in [(Backend::Des, 1..=5), (Backend::Turmoil, 1..=1)] {
        for seed in seeds {
            let with = record(FEW_CONTACTS, "peer_exchange = true", seed, backend).summary;
            assert_eq!((with.completed, with.ended_by.as_str()), (12, "all_done"), "{backend:?}, {seed}");
            let without = record(FEW_CONTACTS, "", seed, backend).summary;
            assert!(without.completed <= 6, "{backend:?}, {seed}: {} without", without.completed);
        }
    }
}

#[test]
fn one_host_that_exchanges_alone_helps_nobody() {
    let text = FEW_CONTACTS.replacen("behaviour", "peer_exchange = true\nbehaviour", 1);
    let alone = record(&text, "", 1, Backend::Des).summary;
    assert_eq!(alone.completed, record(FEW_CONTACTS, "", 1, Backend::Des).summary.completed);
}

/// How long the newcomers take to a first piece, and everybody to the whole, in the median.
fn newcomers(with: &str) -> (f64, f64) {
    let runs = (1..=5).map(|seed| {
        let record = record(FULL, with, seed, Backend::Des);
        assert_eq!(record.summary.completed, 50);
        let late = record.peers.iter().filter(|peer| peer.class == "late");
        (median(late.filter_map(|peer| peer.bootstrap_s)), record.summary.completion_s.p50.unwrap())
    });
    let (bootstrap, completion): (Vec<f64>, Vec<f64>) = runs.unzip();
    (median(bootstrap.into_iter()), median(completion.into_iter()))
}

#[test]
fn newcomers_find_a_place_in_a_full_swarm_by_canonical_priority() {
    let (with, without) = (newcomers("canonical_priority = true"), newcomers(""));
    assert!(with.0 < 15.0 && without.0 > 3.0 * with.0, "first piece: {with:?} with, {without:?} without");
    assert!(with.1 < without.1, "the whole: {with:?} with, {without:?} without");
}
