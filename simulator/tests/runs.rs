//! Whole runs of real engines.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use torrentlab_engine::metainfo::{Content, Metainfo, NewTorrent, hash_piece};
use torrentlab_reports::record::Turnover;
use torrentlab_scenarios::{Scenario, load, schema::Until};
use torrentlab_simulator::content::RealContent;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{News, Outcome, Progress, RunError, RunOptions, compare, run, side_by_side};

fn scenario(name: &str, sets: &[&str]) -> Scenario {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    load(name, &sets).unwrap_or_else(|error| panic!("{error}")).scenario
}

fn outcome(name: &str, sets: &[&str]) -> Outcome {
    let options = RunOptions { check: true, ..RunOptions::default() };
    run(&scenario(name, sets), 1, &Registry::default(), &options, &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn everyone_gets_the_file_and_the_seed_is_relieved() {
    let Outcome { record, .. } = outcome("first-swarm", &[]);
    let summary = &record.summary;
    assert_eq!((summary.completed, summary.ended_by.as_str()), (100, "all_done"), "{summary:#?}");
    assert!(summary.seed_upload_copies.unwrap() < 4.0, "{summary:#?}");
    assert!(summary.leecher_upload_share.unwrap() > 0.9, "{summary:#?}");
    let up: u64 = record.peers.iter().map(|peer| peer.payload_up_bytes).sum();
    let down: u64 = record.peers.iter().map(|peer| peer.payload_down_bytes).sum();
    assert_eq!(up, down, "every byte received was sent by someone");
    assert!(record.peers.iter().all(|peer| peer.pieces == 64));
}

#[test]
fn the_record_has_rates_where_hosts_come_and_go_at_constant_ones() {
    let turnover = |sets: &[&str]| {
        let mut all = vec!["content.size=64 KiB", "until.time=1 s", "hosts.leecher.count=3"];
        all.extend(sets);
        let classes = outcome("first-swarm", &all).record.info.classes;
        classes.iter().find(|class| class.name == "leecher").and_then(|class| class.turnover)
    };
    let [poisson, stay] =
        ["hosts.leecher.arrival={poisson=\"6 /min\"}", "hosts.leecher.stay={exponential=\"9 s\"}"];
    let expected = Turnover { arrivals_per_s: 0.1, patience_s: None, seeding_s: Some(9.0) };
    assert_eq!(turnover(&[poisson, stay]), Some(expected));
    let session = "hosts.leecher.session.length={exponential=\"20 s\"}";
    let expected = Turnover { arrivals_per_s: 2.0, patience_s: Some(20.0), seeding_s: Some(0.0) };
    assert_eq!(
        turnover(&["hosts.leecher.arrival={constant=\"2 /s\"}", session, "hosts.leecher.stay=none"]),
        Some(expected)
    );
    assert_eq!(turnover(&[stay]), None, "a flash crowd");
    for otherwise in [
        "hosts.leecher.stay=9 s",
        "hosts.leecher.session.length=20 s",
        "hosts.leecher.leave.after_copies=1.0",
        "hosts.leecher.peers=seeds",
    ] {
        assert_eq!(turnover(&[poisson, stay, otherwise]), None, "{otherwise}");
    }
}

#[test]
fn the_whole_catalogue_runs_to_an_end_that_is_named() {
    for entry in torrentlab_scenarios::catalogue()
        .iter()
        .filter(|entry| !["bench", "bharambe-2006"].contains(&entry.name))
    {
        let Outcome { record, .. } = outcome(entry.name, &["time_cap=20 min"]);
        let summary = &record.summary;
        assert!(
            ["all_done", "time", "steady_state", "time_cap", "stalled"].contains(&summary.ended_by.as_str())
        );
        assert_eq!(summary.health_deviation_max, Some(0.0), "{}: copies, and their recount", entry.name);
    }
}

const SMALL: [&str; 2] = ["content.size=4 MiB", "hosts.leecher.count=20"];

#[test]
fn copies_are_what_a_recount_finds_however_hosts_come_and_go() {
    let churn = ["hosts.leecher.session={ length = \"20 s\", gap = \"10 s\" }", "hosts.leecher.stay=5 s"];
    let cases: [&[&str]; 3] = [
        &churn,
        &["hosts.leecher.pieces=30%", "hosts.leecher.leave={ at = \"40 s\", how = \"vanish\" }"],
        &["hosts.seed.leave={ after_copies = 1.5, how = \"kill\" }", "time_cap=10 min"],
    ];
    for case in cases {
        let Outcome { record, .. } = outcome("first-swarm", &[&SMALL, case].concat());
        assert!(record.timeline.iter().any(|row| row.distributed_copies > 1.0), "{case:?}");
        assert_eq!(record.summary.health_deviation_max, Some(0.0), "{case:?}");
    }
}

#[test]
fn a_class_may_have_no_hosts() {
    for class in ["seed", "leecher"] {
        let none = format!("hosts.{class}.count=0");
        let Outcome { record, .. } =
            outcome("first-swarm", &[&none, "allow_missing_pieces=true", "time_cap=1 min"]);
        assert_eq!((record.summary.completed, record.info.classes.len()), (0, 2), "{class}");
    }
}

#[test]
fn a_seed_sends_less_twice_where_it_shows_its_pieces_one_by_one_and_all_of_it_where_nobody_chooses() {
    let unique = |set: &str| {
        let summary = outcome("first-swarm", &[set]).record.summary;
        let [unique, again] =
            [summary.seed_first_copy_unique, summary.seed_duplicate_share].map(Option::unwrap);
        assert!((again > 0.0) == (unique < 1.0), "{unique}, {again}");
        unique
    };
    let plain = unique("hosts.seed.super_seeding=false");
    let smart = unique("hosts.seed.super_seeding=true");
    let in_order = unique("hosts.leecher.picker=sequential");
    assert!(smart > 0.95 && (0.5..smart).contains(&plain), "{smart}, {plain}");
    assert!(in_order < 0.4, "everybody has the same piece: {in_order}");
}

#[test]
fn runs_side_by_side_are_the_runs_one_by_one() {
    let scenario = scenario("first-swarm", &["content.size=2 MiB", "hosts.leecher.count=20"]);
    let registry = Registry::default();
    let options = RunOptions::default();
    let seeds = [1, 2, 3, 4, 5];
    let mut together = BTreeMap::new();
    let work =
        |seed, tell: &mut dyn FnMut(Progress)| run(&scenario, seed, &registry, &options, tell).unwrap();
    side_by_side(&seeds, 2, work, |news| {
        if let News::Done(seed, outcome) = news {
            together.insert(seed, outcome);
        }
    });
    let mut hashes = Vec::new();
    for (seed, both) in together {
        let alone = run(&scenario, seed, &registry, &options, &mut |_| ()).unwrap();
        assert_eq!(alone.record, both.record);
        assert_eq!(alone.trace, both.trace);
        hashes.push(alone.trace.hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 5, "another seed, another trace");
}

#[test]
fn the_first_event_that_differs_is_named() {
    let scenario = scenario("first-swarm", &["content.size=1 MiB", "hosts.leecher.count=5"]);
    let find = |seeds| compare(&scenario, seeds, &Registry::default(), &RunOptions::default()).unwrap();
    assert_eq!(find([1, 1]), None);
    let difference = find([1, 2]).expect("another seed, another run");
    assert_ne!(difference.first, difference.second);
}

#[test]
fn an_unknown_strategy_is_named_with_those_there_are() {
    let scenario = scenario("first-swarm", &["hosts.leecher.picker=mine"]);
    let error = run(&scenario, 1, &Registry::default(), &RunOptions::default(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, RunError::Build(_)));
    assert!(error.to_string().contains("rarest-first"), "{error}");
}

#[test]
fn a_run_ends_soon_when_nobody_wants_it_any_more() {
    let scenario = scenario("first-swarm", &[]);
    let stop = AtomicBool::new(false);
    let options = RunOptions { stop: Some(&stop), ..RunOptions::default() };
    let mut last_s = 0.0;
    let result = run(&scenario, 1, &Registry::default(), &options, &mut |progress| {
        last_s = progress.simulated_s;
        stop.store(last_s > 3.0, Ordering::Relaxed);
    });
    assert!(matches!(result, Err(RunError::Stopped)));
    assert!((3.0..6.0).contains(&last_s), "{last_s}");
}

#[test]
fn a_time_ends_a_run_in_which_some_are_unfinished() {
    let mut scenario = scenario("first-swarm", &[]);
    scenario.until = Until::Time("30 s".parse().unwrap());
    let Outcome { record, .. } =
        run(&scenario, 1, &Registry::default(), &RunOptions::default(), &mut |_| ()).unwrap();
    assert_eq!((record.summary.ended_by.as_str(), record.summary.simulated_s), ("time", 30.0));
    assert!(record.summary.unfinished > 0 && record.summary.completion_s.max.is_none());
}

#[test]
fn every_session_ends_and_returns_keep_their_pieces() {
    let Outcome { record, .. } = outcome(
        "first-swarm",
        &["hosts.leecher.session.length=\"20 s\"", "hosts.leecher.session.gap={ exponential = \"10 s\" }"],
    );
    assert_eq!((record.summary.completed, record.summary.ended_by.as_str()), (100, "all_done"));
    let blocks = u64::from(record.summary.completed as u32) * 1024;
    assert!(record.peers.iter().filter(|peer| peer.sessions > 1).count() > 50);
    assert!(record.summary.blocks < blocks * 13 / 10, "what was checked is not fetched again");
}

#[test]
fn real_bytes_reach_everyone_and_are_hashed_again_at_the_end() {
    let bytes: Vec<u8> = (0..1_000_000u32).map(|at| (at / 251 + at) as u8).collect();
    let torrent = NewTorrent {
        name: "x".to_owned(),
        content: Content::File(bytes.len() as u64),
        piece_len: 1 << 16,
        hashes: bytes.chunks(1 << 16).map(hash_piece).collect(),
        private: false,
        tiers: Vec::new(),
        comment: None,
        created_by: None,
    };
    let metainfo = Metainfo::parse(&torrent.encode().unwrap()).unwrap();
    let scenario = scenario("first-swarm", &["hosts.leecher.count=20"]);
    let go = |bytes: Vec<u8>| {
        let content = RealContent { metainfo: metainfo.clone(), parts: vec![bytes.into()] };
        let options = RunOptions { content: Some(&content), ..RunOptions::default() };
        run(&scenario, 1, &Registry::default(), &options, &mut |_| ()).unwrap()
    };
    let good = go(bytes.clone());
    assert_eq!((good.record.summary.completed, good.corrupt), (20, 0));
    assert_eq!(good.record.info.content.total_bytes, 1_000_000);
    let mut spoilt = bytes;
    spoilt[500_000] ^= 1;
    let bad = go(spoilt);
    assert_eq!(bad.record.summary.completed, 0, "a piece that nobody has right is never complete");
    assert!(bad.record.summary.hash_failures > 0 && bad.corrupt == 1, "the seed's own copy is wrong");
}
