//! Hosts that are asked why they decide as they do: what they say, and that it changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::{PeerView, Picker, SwarmView};
use torrentlab_engine::units::PieceIndex;
use torrentlab_reports::record::{Decision, Explanation, Outcome, ReasonRow};
use torrentlab_scenarios::{Scenario, load};
use torrentlab_simulator::explain::Explain;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, RunOptions, run};

/// A seed and six leechers with two slots each; somebody watches what comes.
fn small(sets: &[&str]) -> Scenario {
    let few = [
        "content.size=2 MiB",
        "content.piece_size=64 KiB",
        "hosts.leecher.count=6",
        "hosts.leecher.playback.rate=4 Mbit/s",
        "hosts.leecher.limits.slots=2",
        "hosts.seed.limits.slots=2",
    ];
    let sets: Vec<String> = few.iter().chain(sets).map(|set| (*set).to_owned()).collect();
    load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}")).scenario
}

/// What all of `hosts` say, and the hashes of the trace with and without their being asked.
struct Asked {
    said: Vec<(String, Explanation)>,
    hashes: [String; 2],
}

fn ask(scenario: &Scenario, hosts: &[&str], backend: Backend, registry: &Registry) -> Asked {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let said = Arc::new(Mutex::new(Vec::new()));
    let explain = {
        let said = Arc::clone(&said);
        let tell = move |host: &str, explanation| said.lock().unwrap().push((host.to_owned(), explanation));
        Explain::new(scenario, &hosts, tell).unwrap()
    };
    let hashes = [None, Some(&explain)].map(|explain| {
        let options = RunOptions { backend, explain, ..RunOptions::default() };
        run(scenario, 1, registry, &options, &mut |_| ()).unwrap().record.info.trace_hash
    });
    let said = said.lock().unwrap().clone();
    Asked { said, hashes }
}

fn rows(said: &[(String, Explanation)], kind: Decision) -> Vec<&[ReasonRow]> {
    let decisions = said.iter().map(|(_, explanation)| explanation.rows.as_slice());
    decisions.filter(|rows| rows[0].kind == kind).collect()
}

/// What must hold for every decision of every strategy.
fn assert_sound(said: &[(String, Explanation)], is_reasoned: bool) {
    for rows in said.iter().map(|(_, explanation)| &explanation.rows) {
        let candidates: BTreeSet<_> = rows.iter().map(|row| (&row.peer, row.piece)).collect();
        assert_eq!(candidates.len(), rows.len(), "a candidate twice in {rows:?}");
        assert!(rows.len() <= rows[0].candidates as usize, "{rows:?}");
        for row in rows {
            assert!(row.peer.starts_with("leecher-") || row.peer.starts_with("seed-"), "{}", row.peer);
            assert_eq!(row.score.is_some(), row.rank.is_some());
            assert!(row.rivals.is_none_or(|rivals| rivals < row.candidates));
            let is_pick = row.kind == Decision::Pick;
            assert_eq!((row.piece.is_some(), row.interested.is_some()), (is_pick, !is_pick));
            assert!(!is_reasoned || row.score.is_some() || !row.remark.is_empty(), "no reason: {row:?}");
        }
        if rows[0].kind == Decision::Pick {
            assert!(rows.iter().filter(|row| row.outcome == Outcome::PassedOver).count() <= 16);
            assert!(rows.iter().any(|row| row.outcome == Outcome::Picked), "nothing is picked: {rows:?}");
        }
    }
}

const ALL: [&str; 7] =
    ["leecher-0", "leecher-1", "leecher-2", "leecher-3", "leecher-4", "leecher-5", "seed-0"];

#[test]
fn every_shipped_strategy_gives_reasons_and_decides_the_same_when_asked() {
    let registry = Registry::default();
    let pickers = registry.pickers().filter(|&name| name != "script").map(|name| ("picker", name));
    let chokers = registry.chokers().filter(|&name| name != "script").map(|name| ("choker", name));
    for (field, name) in pickers.chain(chokers) {
        let scenario = small(&[&format!("hosts.leecher.{field}={name}")]);
        let Asked { said, hashes } = ask(&scenario, &ALL, Backend::Des, &registry);
        assert_eq!(hashes[0], hashes[1], "{name} decides otherwise when it is asked");
        assert_sound(&said, true);
        assert!(rows(&said, Decision::Pick).len() > 100, "{name}");
        assert!(rows(&said, Decision::Unchoke).len() > 10, "{name}");
    }
}

#[test]
fn every_policy_of_seeds_gives_reasons() {
    for by in ["upload-rate", "fastest-upload", "round-robin", "anti-leech"] {
        let choker = format!("hosts.seed.choker={{ tit-for-tat = {{ seeding = \"{by}\" }} }}");
        let scenario = small(&[&choker, "hosts.leecher.count=12"]);
        let Asked { said, hashes } = ask(&scenario, &["seed-0"], Backend::Des, &Registry::default());
        assert_eq!(hashes[0], hashes[1], "{by}");
        assert_sound(&said, true);
        assert!(rows(&said, Decision::Pick).is_empty(), "a seed picks nothing");
        let choked = rows(&said, Decision::Unchoke).concat();
        let choked = choked.iter().filter(|row| row.outcome == Outcome::Choked).count();
        assert!(choked > 0, "{by}: somebody is told why it has to wait");
    }
}

#[test]
fn rarest_first_takes_the_fewest_copies_and_says_where_chance_decided() {
    let scenario = small(&["hosts.leecher.picker={ rarest-first = { random_first = 0 } }"]);
    let Asked { said, .. } = ask(&scenario, &["leecher-3"], Backend::Des, &Registry::default());
    let mut by_chance = 0;
    for rows in rows(&said, Decision::Pick) {
        let fewest = rows.iter().filter_map(|row| row.score).fold(f64::INFINITY, f64::min);
        let picked: Vec<_> = rows.iter().filter(|row| row.outcome == Outcome::Picked).collect();
        let first = picked[0];
        assert_eq!((first.score, first.score_of.as_str(), first.rank), (Some(fewest), "copies", Some(1)));
        let with_as_many = rows.iter().filter(|row| row.score == Some(fewest)).count();
        assert!(first.equals.unwrap() as usize >= with_as_many);
        by_chance += u32::from(first.rivals.unwrap() > 0);
    }
    assert!(by_chance > 5, "ties are many: {by_chance}");
}

#[test]
fn in_order_nothing_is_left_to_chance_negative() {
    let scenario = small(&["hosts.leecher.picker=sequential"]);
    let Asked { said, .. } = ask(&scenario, &["leecher-3"], Backend::Des, &Registry::default());
    let picked = rows(&said, Decision::Pick).concat();
    let rivals: u32 = picked.iter().filter_map(|row| row.rivals).sum();
    assert_eq!(rivals, 0);
}

#[test]
fn tit_for_tat_serves_those_who_send_most() {
    let scenario = small(&["content.size=8 MiB", "hosts.leecher.count=14"]);
    let Asked { said, .. } = ask(&scenario, &ALL[..6], Backend::Des, &Registry::default());
    let mut rounds = 0;
    for rows in rows(&said, Decision::Unchoke) {
        let regular = rows.iter().filter(|row| row.outcome == Outcome::Regular && row.note.is_empty());
        let least = regular.filter(|row| row.score_of == "bytes/s from it").filter_map(|row| row.score);
        let least = least.fold(f64::INFINITY, f64::min);
        for row in rows.iter().filter(|row| row.note == "others come first") {
            rounds += 1;
            assert!(row.rate_down_bytes_per_s.unwrap() as f64 <= least, "{rows:?}");
        }
    }
    assert!(rounds > 0, "somebody was outdone");
}

#[test]
fn inside_turmoil_hosts_are_asked_too() {
    let scenario = small(&["content.size=1 MiB"]);
    let Asked { said, hashes } = ask(&scenario, &ALL, Backend::Turmoil, &Registry::default());
    assert_eq!(hashes[0], hashes[1]);
    assert_sound(&said, true);
    let from: BTreeMap<&str, usize> = said.iter().fold(BTreeMap::new(), |mut counts, (host, _)| {
        *counts.entry(host.as_str()).or_default() += 1;
        counts
    });
    assert_eq!(from.keys().copied().collect::<Vec<_>>(), ALL);
}

#[test]
fn in_models_of_contacts_hosts_say_what_they_pick() {
    let sets = ["hosts.user.count=10".to_owned(), "content.size=16 MB".to_owned()];
    let scenario = load("mundinger-2008", &sets).unwrap_or_else(|error| panic!("{error}")).scenario;
    let hosts: Vec<String> = scenario
        .class_sizes()
        .iter()
        .flat_map(|(class, &count)| (0..count.min(3)).map(move |index| format!("{class}-{index}")))
        .collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let Asked { said, hashes } = ask(&scenario, &hosts, Backend::Des, &Registry::default());
    assert_eq!(hashes[0], hashes[1]);
    assert!(rows(&said, Decision::Pick).len() > 10);
    assert!(rows(&said, Decision::Unchoke).is_empty(), "nobody is choked there");
}

/// The last piece that the peer has.
#[derive(Debug)]
struct Last;

impl Picker for Last {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        _want: usize,
        _dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        out.extend(view.offered_by(peer).last());
    }
}

#[test]
fn a_strategy_that_says_nothing_has_its_candidates_and_its_choice() {
    let mut registry = Registry::default();
    registry.register_picker("last", || Box::new(Last));
    let scenario = small(&["hosts.leecher.picker=last"]);
    let Asked { said, hashes } = ask(&scenario, &ALL, Backend::Des, &registry);
    assert_eq!(hashes[0], hashes[1]);
    assert_sound(&said, false);
    for rows in rows(&said, Decision::Pick) {
        let picked = rows.iter().find(|row| row.outcome == Outcome::Picked).unwrap();
        assert!(rows.iter().all(|row| row.piece <= picked.piece && row.score.is_none()));
        assert!(rows.len() as u32 == picked.candidates || rows.len() == 17);
    }
}

#[test]
fn a_host_that_there_is_not_is_refused() {
    let told = |host: &str| {
        let hosts = ["leecher-1".to_owned(), host.to_owned()];
        Explain::new(&small(&[]), &hosts, |_, _| ()).unwrap_err().to_string()
    };
    let expected = "there is no host `leecher-6`\nhint: the hosts are leecher-0 to leecher-5 and seed-0";
    assert_eq!(told("leecher-6"), expected);
    assert!(told("tracker").starts_with("there is no host `tracker`"));
}
