//! Whole runs byte for byte.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use torrentlab_engine::metainfo::{Content, Metainfo, NewTorrent, hash_piece};
use torrentlab_engine::node::{Input, Misuse, Node, Outbox};
use torrentlab_engine::time::Instant;
use torrentlab_engine::torrent::Torrent;
use torrentlab_scenarios::{Scenario, load};
use torrentlab_simulator::content::RealContent;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{
    Backend, News, Outcome, Progress, RunError, RunOptions, compare, run, side_by_side,
};
use torrentlab_simulator::trace::Detail;

const BYTES: RunOptions<'_> = RunOptions {
    backend: Backend::Turmoil,
    content: None,
    detail: Detail::Hash,
    explain: None,
    check: true,
    stop: None,
    watch: None,
    look_at: None,
};

/// A swarm of a seed and eight leechers who come within 2 s, so small that it is over soon.
fn small(sets: &[&str]) -> Scenario {
    let few = ["content.size=1 MiB", "hosts.leecher.count=8", "hosts.leecher.arrival.flash-crowd.within=2 s"];
    let sets: Vec<String> = few.iter().chain(sets).map(|set| (*set).to_owned()).collect();
    load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}")).scenario
}

fn outcome(sets: &[&str]) -> Outcome {
    run(&small(sets), 1, &Registry::default(), &BYTES, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn everyone_gets_every_byte_and_the_record_is_whole() {
    let Outcome { record, corrupt, .. } = outcome(&[]);
    let (info, summary) = (&record.info, &record.summary);
    assert_eq!((summary.completed, summary.ended_by.as_str(), corrupt), (8, "all_done", 0), "{summary:#?}");
    let tick = info.tick.unwrap();
    assert_eq!((info.backend.as_str(), tick.ms), ("turmoil", 2.0), "a tenth of 20 ms");
    assert!((0.0..tick.ms).contains(&tick.mean_delay_ms), "{tick:?}");
    let up: u64 = record.peers.iter().map(|peer| peer.payload_up_bytes).sum();
    let down: u64 = record.peers.iter().map(|peer| peer.payload_down_bytes).sum();
    assert_eq!(up, down, "every byte received was sent by someone");
    for peer in &record.peers {
        assert_eq!(peer.pieces, 4);
        assert!(peer.wire_up_bytes > peer.payload_up_bytes, "the wire carries more than blocks: {peer:?}");
        let cap = peer.up_bytes_per_s.unwrap() as f64 * peer.online_s;
        assert!(peer.wire_up_bytes as f64 <= cap + 1_500.0, "{peer:?}");
    }
    assert!(record.timeline.iter().map(|row| row.tracker_announces).sum::<u64>() >= 9);
    assert_eq!(summary.health_deviation_max, Some(0.0), "{summary:#?}");
    let shares = [summary.seed_first_copy_unique, summary.departed_share_p50].map(Option::unwrap);
    assert!(shares[0] > 0.2 && shares[1] == 0.0, "all stayed: {shares:?}");
}

#[test]
fn who_is_interested_in_whom_is_noted() {
    let Outcome { record, .. } = outcome(&["content.size=4 MiB"]);
    let interest = record.summary.interest_p50.expect("it takes over 10 s");
    assert!((0.3..=1.0).contains(&interest), "{interest}");
}

#[test]
fn the_same_seed_leaves_the_same_record_whoever_looks_on() {
    let scenario = small(&[]);
    let registry = Registry::default();
    let looks = Mutex::new(0);
    let with = |seed, options: &RunOptions<'_>| {
        run(&scenario, seed, &registry, options, &mut |_| *looks.lock().unwrap() += 1).unwrap()
    };
    let one = with(1, &BYTES);
    assert!(*looks.lock().unwrap() > 10, "progress is told of");
    let watched = RunOptions { detail: Detail::Chunks, check: false, ..BYTES };
    let other = with(1, &watched);
    assert_eq!((one.record, one.trace.hash), (other.record, other.trace.hash));
    let mut hashes = Vec::new();
    let work = |seed, _: &mut dyn FnMut(Progress)| with(seed, &BYTES).trace.hash;
    side_by_side(&[1, 2, 3], 3, work, |news| {
        if let News::Done(seed, hash) = news {
            hashes.push((seed, hash));
        }
    });
    hashes.sort_unstable();
    assert_eq!(hashes[0], (1, one.trace.hash), "side by side or alone");
    assert!(hashes[0].1 != hashes[1].1 && hashes[1].1 != hashes[2].1, "another seed, another trace");
}

#[test]
fn the_first_event_that_differs_is_named() {
    let find = |seeds| compare(&small(&[]), seeds, &Registry::default(), &BYTES).unwrap();
    assert_eq!(find([1, 1]), None);
    let difference = find([1, 2]).expect("another seed, another run");
    assert_ne!(difference.first, difference.second);
}

#[test]
fn hosts_leave_in_three_ways_and_come_back_with_what_they_had() {
    for how in ["stop", "kill", "vanish"] {
        let how = format!("hosts.leecher.leave.how={how}");
        let sessions = "hosts.leecher.session.length=3 s";
        let Outcome { record, corrupt, .. } =
            outcome(&[&how, sessions, "hosts.leecher.session.gap={ exponential = \"2 s\" }"]);
        let summary = &record.summary;
        assert_eq!((summary.completed, summary.ended_by.as_str(), corrupt), (8, "all_done", 0), "{how}");
        assert!(record.peers.iter().filter(|peer| peer.sessions > 1).count() > 3, "{how}");
        assert!(summary.blocks < 3 * 8 * 64, "what was checked is not fetched again: {summary:#?}");
    }
}

#[test]
fn who_has_everything_may_leave() {
    let Outcome { record, .. } = outcome(&["hosts.leecher.stay=none"]);
    assert_eq!(record.summary.completed, 8);
    let left = record.peers.iter().filter(|peer| peer.left_s.is_some()).count();
    assert!(left >= 7, "{left} of 8 left before the last had finished");
}

#[test]
fn real_bytes_are_hashed_again_at_the_end() {
    let bytes: Vec<u8> = (0..500_000u32).map(|at| (at / 251 + at) as u8).collect();
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
    let mut spoilt = bytes.clone();
    spoilt[300_000] ^= 1;
    for (bytes, all, corrupt) in [(bytes, 8, 0), (spoilt, 0, 1)] {
        let content = RealContent { metainfo: metainfo.clone(), parts: vec![bytes.into()] };
        let options = RunOptions { content: Some(&content), check: false, ..BYTES };
        let scenario = small(&["time_cap=30 s"]);
        let outcome = run(&scenario, 1, &Registry::default(), &options, &mut |_| ()).unwrap();
        assert_eq!((outcome.record.summary.completed, outcome.corrupt), (all, corrupt));
        assert_eq!(outcome.record.summary.hash_failures > 0, corrupt > 0);
    }
}

#[test]
fn what_it_cannot_do_well_is_refused_with_the_alternative() {
    let table = [
        (&["hosts.leecher.count=500"][..], "hosts: 501 hosts"),
        (&["content.size=5 GiB", "content.piece_size=4 MiB"], "content.size: 5368709120 bytes"),
        (&["hosts.leecher.peers=seeds"], "hosts.leecher.peers: the tracker is a real one"),
    ];
    for (sets, what) in table {
        let error = run(&small(sets), 1, &Registry::default(), &BYTES, &mut |_| ()).unwrap_err();
        assert!(matches!(error, RunError::Build(_)), "{error}");
        let told = error.to_string();
        assert!(told.starts_with(what) && told.contains("--backend des"), "{told}");
    }
}

/// Panics when it is told of a peer.
struct Broken(Torrent);

impl Node for Broken {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        assert!(!matches!(input, Input::Connected { .. }), "this one is broken");
        self.0.handle(now, input, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }
}

#[test]
fn a_broken_invariant_ends_the_run_and_is_named() {
    let mut registry = Registry::default();
    registry.register_node("broken", |setup, now| Box::new(Broken(Torrent::new(setup, now))));
    let error = run(&small(&["hosts.leecher.node=broken"]), 1, &registry, &BYTES, &mut |_| ()).unwrap_err();
    let RunError::Failed { seed: 1, failure } = error else { panic!("{error}") };
    let what = failure.what;
    assert!(what.contains("this one is broken"), "{what}");
}

#[test]
fn a_run_ends_soon_when_nobody_wants_it_any_more() {
    let stop = AtomicBool::new(false);
    let options = RunOptions { stop: Some(&stop), ..BYTES };
    let mut last_s = 0.0;
    let result = run(&small(&[]), 1, &Registry::default(), &options, &mut |progress| {
        last_s = progress.simulated_s;
        stop.store(last_s > 1.0, Ordering::Relaxed);
    });
    assert!(matches!(result, Err(RunError::Stopped)));
    assert!((1.0..2.0).contains(&last_s), "{last_s}");
}
