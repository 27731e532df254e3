//! Faults of a scenario, as a run meets them.

use proptest::prelude::*;
use torrentlab_reports::record::{Departure, PeerRow};
use torrentlab_scenarios::Scenario;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Outcome, RunOptions, run};

const SWARM: &str = r#"
schema = 1
time_cap = "30 min"
content = { size = "8 MiB", piece_size = "128 KiB" }
tracker = { interval = "2 min", min_interval = "10 s" }

[hosts.seed]
count = 1
behaviour = "seed"
links = { up = "4 Mbit/s", down = "16 Mbit/s", latency = "10 ms" }

[hosts.leecher]
count = 12
arrival.flash-crowd.within = "5 s"
links = { up = "1 Mbit/s", down = "8 Mbit/s", latency = "10ms..40ms" }

"#;

fn outcome(faults: &str) -> Outcome {
    let scenario = Scenario::from_toml(&format!("{SWARM}{faults}"), "test.toml");
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let options = RunOptions { check: true, ..RunOptions::default() };
    run(&scenario, 1, &Registry::default(), &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

fn fault(at: &str, lasts: &str, target: &str, kind: &str) -> String {
    let lasts = if lasts.is_empty() { String::new() } else { format!("for = \"{lasts}\"\n") };
    format!("[[fault]]\nat = \"{at}\"\n{lasts}target = \"{target}\"\n{kind}\n")
}

fn row<'o>(outcome: &'o Outcome, host: &str) -> &'o PeerRow {
    outcome.record.peers.iter().find(|row| row.host == host).unwrap()
}

fn finished(outcome: &Outcome) -> usize {
    outcome.record.peers.iter().filter(|row| row.completed_s.is_some()).count()
}

#[test]
fn copies_are_what_a_recount_finds_whatever_hosts_lose() {
    for kind in ["restart = { disk = \"lost\" }", "restart = { disk = \"torn\" }", "corrupt = {}"] {
        let outcome = outcome(&fault("20 s", "30 s", "5 of leecher", &format!("kind = {{ {kind} }}")));
        let summary = &outcome.record.summary;
        assert_eq!((finished(&outcome), summary.health_deviation_max), (12, Some(0.0)), "{kind}");
        assert!(kind.starts_with("restart") || summary.hash_failures > 0, "{summary:#?}");
    }
}

#[test]
fn hosts_go_for_good_or_come_back_with_or_without_what_they_had() {
    let kinds = [("stop", Departure::Stop), ("kill", Departure::Kill), ("vanish", Departure::Vanish)];
    for (kind, how) in kinds {
        let gone = outcome(&fault("20 s", "", "leecher-3", &format!("kind = \"{kind}\"")));
        let peer = row(&gone, "leecher-3");
        assert_eq!((peer.left_s, peer.departure, peer.sessions), (Some(20.0), Some(how), 1));
        assert_eq!((finished(&gone), gone.record.summary.ended_by.as_str()), (11, "all_done"));

        let back = outcome(&fault("20 s", "30 s", "leecher-3", &format!("kind = \"{kind}\"")));
        let peer = row(&back, "leecher-3");
        assert_eq!((peer.left_s, peer.sessions, finished(&back)), (None, 2, 12), "{kind}");
        assert!(peer.online_s < back.record.info.simulated_s - 29.0);
    }
    let pieces = |kind: &str| {
        let outcome = outcome(&fault("40 s", "10 s", "leecher-3", kind));
        (row(&outcome, "leecher-3").blocks, finished(&outcome))
    };
    let (kept, lost) = (pieces("kind = \"restart\""), pieces("kind.restart.disk = \"lost\""));
    assert_eq!((kept.1, lost.1), (12, 12));
    assert!(lost.0 > kept.0 + 50, "all of it again: {lost:?}, {kept:?}");
}

#[test]
fn a_seed_that_loses_its_disk_is_a_seed_again() {
    let outcome = outcome(&fault("40 s", "5 s", "seed", "kind.restart.disk = \"lost\""));
    let seed = row(&outcome, "seed-0");
    assert_eq!((seed.sessions, seed.completed_s, finished(&outcome)), (2, None, 12));
    assert!(seed.blocks > 0);
}

#[test]
fn whoever_cannot_be_dialled_dials() {
    let half = outcome(&fault("0 s", "", "6 of leecher", "kind = \"nat\""));
    assert_eq!(finished(&half), 12);
    let all = outcome(&fault("0 s", "", "everyone", "kind = \"nat\""));
    assert_eq!(finished(&all), 0, "nobody reaches anybody");
    let seeds = outcome(&fault("0 s", "", "leecher", "kind = \"nat\""));
    assert!(finished(&seeds) == 12 && seeds.record.summary.leecher_upload_share < Some(0.01));
}

#[test]
fn a_host_is_found_again_at_its_new_address() {
    let outcome = outcome(&fault("10 s", "", "everyone", "kind = \"address-change\""));
    assert_eq!(finished(&outcome), 12);
    assert!(outcome.record.peers.iter().all(|row| row.sessions == 1));
    let still = self::outcome("");
    assert!(outcome.record.summary.makespan_s > still.record.summary.makespan_s);
}

#[test]
fn a_tracker_that_is_out_of_order_brings_nobody_together() {
    for kind in [
        "kind = \"down\"",
        "kind.wrong = \"garbage\"",
        "kind.wrong = \"errors\"",
        "kind.wrong = \"dead-peers\"",
        "kind.slow = \"20 s\"",
    ] {
        let outcome = outcome(&fault("0 s", "3 min", "tracker", kind));
        let first = outcome.record.timeline.iter().find(|row| row.bootstrapped > 0).unwrap();
        assert!(first.t_s >= 180.0, "{kind}: {}", first.t_s);
        assert_eq!(finished(&outcome), 12, "{kind}");
        let late = self::outcome(&fault("20 s", "", "tracker", kind));
        assert_eq!(finished(&late), 12, "{kind}: who knows each other needs it no more");
    }
}

#[test]
fn a_tracker_that_forgets_knows_only_who_comes_after() {
    let late = "[hosts.late]\ncount = 1\narrival.flash-crowd.at = \"30 s\"\n\
                links = { up = \"1 Mbit/s\", down = \"8 Mbit/s\" }\n";
    let wait = |faults: &str| row(&outcome(&format!("{late}{faults}")), "late-0").bootstrap_s.unwrap();
    let (forgotten, known) = (wait(&fault("29 s", "", "tracker", "kind = \"forgets\"")), wait(""));
    assert!(forgotten > known + 2.0, "{forgotten} {known}");
}

#[test]
fn what_is_cut_off_waits_until_it_is_joined_again() {
    let alone = |kind: &str, lasts: &str| {
        let outcome = outcome(&fault("20 s", lasts, "2 of leecher", kind));
        (finished(&outcome), outcome.record.summary.makespan_s)
    };
    let (whole, makespan_s) = alone("kind = \"nat\"", "1 s");
    assert_eq!(whole, 12);
    for kind in ["kind = \"partition\"", "kind = \"hold\"", "kind = \"swizzle\""] {
        let (healed, later_s) = alone(kind, "80 s");
        assert_eq!(healed, 12, "{kind}");
        assert!(later_s > makespan_s.map(|s| s + 5.0), "{kind}: {later_s:?} {makespan_s:?}");
    }
    assert_eq!(alone("kind = \"partition\"", "").0, 10, "a partition that does not heal");
    let cut = outcome(&fault("0 s", "3 min", "leecher <-> tracker", "kind = \"partition\""));
    assert!(cut.record.timeline.iter().find(|row| row.bootstrapped > 0).unwrap().t_s >= 180.0);
}

#[test]
fn slower_links_take_longer_as_long_as_they_are_slow() {
    let makespan_s = |faults: &str| outcome(faults).record.summary.makespan_s.unwrap();
    let usual_s = makespan_s("");
    let rate = "kind.rate = { up = \"250 kbit/s\" }";
    let (all_s, while_s) = (
        makespan_s(&fault("0 s", "", "everyone", rate)),
        makespan_s(&fault("0 s", "1 min", "everyone", rate)),
    );
    assert!(
        all_s > 2.0 * usual_s && while_s < all_s && while_s > usual_s + 20.0,
        "{usual_s} {while_s} {all_s}"
    );
    assert!(makespan_s(&fault("0 s", "", "everyone", "kind.latency = \"2 s\"")) > usual_s + 5.0);
}

#[test]
fn who_misbehaves_costs_others_time_and_not_the_file() {
    for kind in ["kind = \"corrupt\"", "kind = \"stall\"", "kind = \"lying-have\""] {
        let outcome = outcome(&fault("0 s", "", "2 of leecher", kind));
        // Who says that he has everything is taken for a seed, and given nothing.
        let expected = if kind.contains("lying") { 10 } else { 12 };
        assert_eq!((finished(&outcome), outcome.corrupt), (expected, 0), "{kind}");
        let spoilt = outcome.record.summary.hash_failures > 0;
        assert_eq!(spoilt, kind.contains("corrupt"), "{kind}");
    }
    let piece = outcome(&fault("0 s", "", "2 of leecher", "kind.corrupt.piece = 7"));
    let failed: Vec<_> = piece.record.pieces.iter().filter(|row| row.hash_failures > 0).collect();
    assert!(failed.iter().all(|row| row.piece == 7), "{failed:?}");
}

#[test]
fn disks_that_fail_hold_up_their_hosts_alone() {
    for kind in ["kind = \"disk-full\"", "kind = \"read-error\""] {
        let outcome = outcome(&fault("20 s", "2 min", "leecher-3", kind));
        assert_eq!((finished(&outcome), outcome.corrupt), (12, 0), "{kind}");
        let done_s = row(&outcome, "leecher-3").completed_s.unwrap();
        assert!(done_s > 140.0, "{kind}: {done_s}");
        let others = outcome.record.peers.iter().filter(|row| row.host != "leecher-3" && row.is_eligible());
        assert!(others.clone().all(|row| row.completed_s < Some(140.0)), "{kind}");
    }
}

#[test]
fn the_same_seed_meets_the_same_faults() {
    let random = "[random_faults]\nrate = \"10 /min\"\nuntil = \"3 min\"\n\
        [[random_faults.mix]]\ntarget = \"2 of leecher\"\nkind = \"vanish\"\nfor = \"5s..1min\"\n\
        [[random_faults.mix]]\ntarget = \"tracker\"\nkind = \"down\"\nfor = \"20 s\"\n\
        [[random_faults.mix]]\ntarget = \"1 of leecher\"\nkind = \"swizzle\"\nfor = \"30 s\"\n\
        [[random_faults.mix]]\ntarget = \"1 of leecher\"\nkind = \"stall\"\nfor = \"30 s\"\n\
        [[random_faults.mix]]\ntarget = \"1 of leecher\"\nkind = \"address-change\"\n";
    let hash = |faults: &str| outcome(faults).record.info.trace_hash;
    assert_eq!(hash(random), hash(random));
    assert_ne!(hash(random), hash(""));
}

/// What can happen to hosts, links and tracker without keeping anybody from the file for good.
const KINDS: [(&str, &str); 15] = [
    ("1 of leecher", "\"stop\""),
    ("2 of leecher", "\"kill\""),
    ("1 of everyone", "\"vanish\""),
    ("1 of leecher", "{ restart = { disk = \"lost\" } }"),
    ("50% of leecher", "\"partition\""),
    ("seed -> 4 of leecher", "\"partition\""),
    ("2 of leecher", "\"hold\""),
    ("seed", "\"swizzle\""),
    ("2 of everyone", "{ rate = { up = \"64 kbit/s\" } }"),
    ("1 of everyone", "{ latency = \"1 s\" }"),
    ("everyone", "{ loss = \"2%\" }"),
    ("50% of everyone", "\"nat\""),
    ("1 of leecher", "\"stall\""),
    ("tracker", "\"down\""),
    ("tracker", "{ wrong = \"dead-peers\" }"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// If every piece stays reachable, everyone who stays finishes: no stall outlives its bound once faults stop. The
    /// bound is that of the slowest way back, the longest pause between two dials of the same peer.
    #[test]
    fn everyone_finishes_once_faults_stop(
        kinds in proptest::sample::subsequence(KINDS.to_vec(), 1..6),
        per_min in 2_u32..20,
        lasts_s in 1_u32..90,
    ) {
        let mut faults = format!("[random_faults]\nrate = \"{per_min} /min\"\nuntil = \"3 min\"\n");
        for (target, kind) in &kinds {
            faults += &format!(
                "[[random_faults.mix]]\ntarget = \"{target}\"\nkind = {kind}\nfor = \"{lasts_s} s\"\n"
            );
        }
        let outcome = outcome(&faults);
        prop_assert_eq!(finished(&outcome), 12, "{}", faults);
        prop_assert!(outcome.record.info.simulated_s < 180.0 + 600.0 + 120.0, "{}", faults);
    }
}
