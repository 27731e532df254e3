//! What chokers and behaviours do to a swarm: the effects that they are known for. Each comparison is of the same seeds
//! with one thing changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{Event, Output};
use torrentlab_engine::torrent::Torrent;
use torrentlab_engine::wire::Message;
use torrentlab_reports::record::RunRecord;
use torrentlab_scenarios::read;
use torrentlab_simulator::mutant::{Mutant, OnOutput, Relay, UnderReporter};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{RunOptions, run};

/// Three clients of four times the uplink among 57 others, who leave when they are done.
const MIXED: &str = r#"
schema = 1
time_cap = "1 h"
content = { size = "32 MiB", piece_size = "256 KiB" }

[hosts.seed]
count = 1
behaviour = "seed"
links = { up = "4 Mbit/s", down = "16 Mbit/s", latency = "10 ms" }

[hosts.other]
count = 57
stay = "none"
arrival.flash-crowd.within = "10 s"
links = { up = "1 Mbit/s", down = "8 Mbit/s", latency = "10ms..40ms" }

[hosts.client]
count = 3
stay = "none"
arrival.flash-crowd.within = "10 s"
links = { up = "4 Mbit/s", down = "16 Mbit/s", latency = "10ms..40ms" }
"#;

/// One in five gives nothing, and nobody stays when done.
const FREE_RIDERS: &str = r#"
schema = 1
time_cap = "1 h"
content = { size = "16 MiB", piece_size = "256 KiB" }

[hosts.seed]
count = 1
behaviour = "seed"
links = { up = "4 Mbit/s", down = "16 Mbit/s", latency = "10 ms" }

[hosts.giver]
count = 80
stay = "none"
arrival.flash-crowd.within = "10 s"
links = { up = "1 Mbit/s", down = "8 Mbit/s", latency = "10ms..40ms" }

[hosts.free-rider]
count = 20
behaviour = "free-rider"
stay = "none"
arrival.flash-crowd.within = "10 s"
links = { up = "1 Mbit/s", down = "8 Mbit/s", latency = "10ms..40ms" }
"#;

/// A run for each of the first seeds, in which everyone must be done in the end.
fn records(swarm: &str, sets: &[&str], registry: &Registry, seeds: u64) -> Vec<RunRecord> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let scenario = read(swarm, "test.toml", &sets).unwrap_or_else(|error| panic!("{error}")).scenario;
    let record = |seed| {
        let outcome = run(&scenario, seed, registry, &RunOptions::default(), &mut |_| ());
        let record = outcome.unwrap_or_else(|error| panic!("{error}")).record;
        assert_eq!(record.summary.unfinished, 0, "{sets:?}");
        record
    };
    (1..=seeds).map(record).collect()
}

/// When the median of a class was done, run by run.
fn medians(records: &[RunRecord], class: &str) -> Vec<f64> {
    records.iter().map(|record| record.summary.class_p50_s[class].expect("all are done")).collect()
}

/// The same for a swarm with something changed.
fn medians_with(swarm: &str, set: &str, class: &str, seeds: u64) -> Vec<f64> {
    let sets: &[&str] = if set.is_empty() { &[] } else { &[set] };
    medians(&records(swarm, sets, &Registry::default(), seeds), class)
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.len() as f64
}

/// How much longer the median free rider takes than the median giver who uses this choker, on the mean of the runs.
fn wait_of_free_riders(choker: &str) -> f64 {
    let records = records(FREE_RIDERS, &[&format!("hosts.giver.choker={choker}")], &Registry::default(), 3);
    mean(&medians(&records, "free-rider")) / mean(&medians(&records, "giver"))
}

/// Bharambe et al.: what a free rider gets of each peer is the threshold of block-level tit for tat, and no more.
#[test]
fn free_riders_wait_where_slots_have_to_be_earned_and_longest_where_blocks_have_to_be() {
    let waits = ["libtorrent", "propshare", "tit-for-tat", "block-tit-for-tat"].map(wait_of_free_riders);
    assert!(waits.iter().all(|&wait| wait > 1.3), "{waits:?}");
    assert!(waits[3] > waits[2], "{waits:?}");
}

#[test]
fn free_riders_wait_for_nothing_where_slots_are_given_away_negative() {
    for choker in ["random", "round-robin"] {
        let wait = wait_of_free_riders(choker);
        assert!((0.85..1.15).contains(&wait), "{choker}: {wait}");
    }
}

/// Chow, Golubchik, Misra: seeds that serve those who begin and those who are about to finish have the others trade.
#[test]
fn givers_are_done_sooner_where_those_who_stayed_seed_against_leeches() {
    let givers = |seeding: &str| {
        let choker =
            |class| format!("hosts.{class}.choker={{ tit-for-tat = {{ seeding = \"{seeding}\" }} }}");
        let sets = [choker("seed"), choker("giver")];
        let sets = [&sets[0], &sets[1], "hosts.giver.stay=forever", "content.size=32 MiB"];
        medians(&records(FREE_RIDERS, &sets, &Registry::default(), 4), "giver")
    };
    let (against, plain) = (givers("anti-leech"), givers("upload-rate"));
    assert!(mean(&against) < mean(&plain), "{against:?}, {plain:?}");
}

/// Sirivianos et al.: whoever knows more peers is more peers' optimistic choice.
#[test]
fn a_free_rider_with_a_large_view_waits_less() {
    let large =
        "hosts.free-rider.limits={ numwant = 200, connections = 200, dial_target = 200, half_open = 50 }";
    let plain = medians_with(FREE_RIDERS, "", "free-rider", 3);
    let large = medians_with(FREE_RIDERS, large, "free-rider", 3);
    assert!(mean(&large) < 0.9 * mean(&plain), "{large:?}, {plain:?}");
}

/// A fast client gains by paying more peers less (Piatek et al.; the first offer is what the others give in each slot),
/// and by paying each its part (Levin et al.).
#[test]
fn fast_clients_are_done_sooner_as_bittyrants_or_with_propshare_than_with_tit_for_tat() {
    let plain = medians_with(MIXED, "", "client", 6);
    for choker in ["{ bittyrant = { offer = \"250 kbit/s\" } }", "propshare"] {
        let strategic = medians_with(MIXED, &format!("hosts.client.choker={choker}"), "client", 6);
        let sooner = strategic.iter().zip(&plain).filter(|(strategic, plain)| strategic < plain).count();
        assert!(sooner >= 5 && mean(&strategic) < 0.95 * mean(&plain), "{choker}: {strategic:?}, {plain:?}");
    }
}

#[test]
fn who_unchokes_late_gives_less_and_waits_longer() {
    let records = |choker: &str| records(MIXED, &[choker], &Registry::default(), 3);
    let given = |records: &[RunRecord]| -> u64 {
        let clients = records.iter().flat_map(|record| &record.peers).filter(|peer| peer.class == "client");
        clients.map(|peer| peer.payload_up_bytes).sum()
    };
    let late = records("hosts.client.choker={ late-unchoker = { after = 0.7 } }");
    let honest = records("hosts.client.choker=tit-for-tat");
    assert!(given(&late) < given(&honest) * 9 / 10, "{}, {}", given(&late), given(&honest));
    let (late, honest) = (mean(&medians(&late, "client")), mean(&medians(&honest, "client")));
    assert!(late > honest, "{late} s, {honest} s");
}

/// `have`s that the clients send until they are done.
fn announced(under: bool) -> usize {
    let (mut registry, count) = (Registry::default(), Arc::new(AtomicUsize::new(0)));
    let told = count.clone();
    registry.register_node("told", move |setup, now| {
        let (told, mut done) = (told.clone(), false);
        let listen = OnOutput(move |output: Output, relay: &mut Relay| {
            match &output {
                Output::Event(Event::Completed) => done = true,
                Output::Send { message: Message::Have(_), .. } if !done => {
                    _ = told.fetch_add(1, Ordering::Relaxed)
                }
                _ => (),
            }
            relay.to_driver(output);
        });
        let (have, dice) = (setup.have.clone(), Dice::stream(1, ("client", 0, "revelation")));
        let torrent = Torrent::new(setup, now);
        if under {
            Box::new(Mutant::new(Mutant::new(torrent, UnderReporter::new(have, dice)), listen))
        } else {
            Box::new(Mutant::new(torrent, listen))
        }
    });
    records(MIXED, &["hosts.client.node=told"], &registry, 1);
    count.load(Ordering::Relaxed)
}

#[test]
fn an_under_reporter_announces_a_part_of_what_it_has() {
    let (under, honest) = (announced(true), announced(false));
    assert!(under * 2 < honest, "{under}, {honest}");
}

#[test]
fn a_class_of_under_reporters_is_served_and_serves() {
    let records = records(MIXED, &["hosts.client.behaviour=under-reporter"], &Registry::default(), 1);
    let clients = records[0].peers.iter().filter(|peer| peer.class == "client");
    assert!(clients.clone().count() == 3 && clients.clone().all(|peer| peer.payload_up_bytes > 16 << 20));
}
