//! Swarms whose disks take time or fail.

use torrentlab_scenarios::{Scenario, load};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Outcome, RunOptions, run};

fn scenario(sets: &[&str]) -> Scenario {
    let base = ["content.size=4 MiB", "hosts.leecher.count=10"];
    let sets: Vec<String> = base.iter().chain(sets).map(|&set| set.to_owned()).collect();
    load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}")).scenario
}

fn outcome(sets: &[&str]) -> Outcome {
    let options = RunOptions { check: true, ..RunOptions::default() };
    let outcome = run(&scenario(sets), 1, &Registry::default(), &options, &mut |_| ());
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.corrupt, 0);
    outcome
}

/// When each leecher has everything, in seconds.
fn completions(sets: &[&str]) -> Vec<f64> {
    let outcome = outcome(sets);
    outcome
        .record
        .peers
        .iter()
        .filter(|peer| peer.class == "leecher")
        .filter_map(|peer| peer.completed_s)
        .collect()
}

#[test]
fn a_disk_that_costs_nothing_changes_little() {
    let (without, with) = (completions(&[]), completions(&["hosts.leecher.disk={}", "hosts.seed.disk={}"]));
    assert_eq!((without.len(), with.len()), (10, 10));
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    assert!((mean(&without) / mean(&with) - 1.0).abs() < 0.02, "{without:?}, {with:?}");
}

#[test]
fn nobody_is_done_before_its_disk_has_written_everything() {
    // 4 MiB at 100 kB/s, and at least as long for those who read what they serve.
    let times = completions(&["hosts.leecher.disk={rate=\"100 kB/s\"}"]);
    assert!(times.len() == 10 && times.iter().all(|&time| time > 41.9), "{times:?}");
}

#[test]
fn a_seed_serves_no_faster_than_its_disk_reads() {
    let times = completions(&["hosts.seed.disk={rate=\"50 kB/s\"}"]);
    assert!(times.len() == 10 && times.iter().all(|&time| time > 83.8), "{times:?}");
}

#[test]
fn who_has_no_room_for_everything_stops_in_peace() {
    let small = outcome(&["hosts.leecher.disk={capacity=\"2 MiB\"}"]);
    let peers: Vec<_> = small.record.peers.iter().filter(|peer| peer.class == "leecher").collect();
    assert!(peers.iter().all(|peer| peer.completed_s.is_none() && peer.pieces > 0));
    assert_eq!(completions(&["hosts.leecher.disk={capacity=\"4 MiB\"}"]).len(), 10);
}
