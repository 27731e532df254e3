//! The builder: what it says to the scenario, what a test can ask afterwards, and what it prints where something is wrong.

use torrentlab_engine::node::{Input, Misuse, Node, Outbox};
use torrentlab_engine::picker::Sequential;
use torrentlab_engine::time::Instant;
use torrentlab_engine::torrent::{Setup, Torrent};
use torrentlab_scenarios::load;
use torrentlab_simulator::lab::{Builder, Error};
use torrentlab_simulator::run::Backend;
use torrentlab_simulator::strategies::Nobody;
use torrentlab_simulator::{Fault, Link, Swarm};

fn small() -> Builder {
    Swarm::builder().seed(7).peers(6).content("1 MiB", "128 KiB")
}

#[test]
fn everything_said_reaches_the_scenario() {
    let swarm = small()
        .seeds(2)
        .link(Link::new().up("1 Mbit/s").down("9 Mbit/s").latency("30 ms"))
        .link_of("seed", Link::new().loss("1%"))
        .class("late", 3)
        .set("hosts.late.arrival.flash-crowd.at=5 s")
        .fault(Fault::kill("1 of late").at("10 s").lasts("1 min"))
        .fault(Fault::new("{ latency = \"200 ms\" }", "seed-0"))
        .run()
        .unwrap();
    swarm.assert_ok();
    let text = &swarm.record.scenario_toml;
    for line in [
        "seed = 7",
        "count = 6",
        "size = \"1 MiB\"",
        "up = \"1 Mbit/s\"",
        "down = \"9 Mbit/s\"",
        "loss = \"1%\"",
        "target = \"1 of late\"",
        "latency = \"200 ms\"",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert_eq!(swarm.completed(), 9);
    assert_eq!((swarm.completion_s("leecher").len(), swarm.completion_s("late").len()), (6, 3));
    assert!(swarm.completion_s("leecher").is_sorted());
    assert_eq!(swarm.health().next().map(|(at, copies)| (at, copies >= 2.0)), Some((0.0, true)));
    assert_eq!(swarm.hash_failures(), 0);
}

#[test]
fn a_scenario_of_the_catalogue_or_a_file_can_be_the_start() {
    let sets = ["hosts.leecher.count=5", "content.size=1 MiB"];
    let start = |name: &str| Swarm::scenario(name).set(sets[0]).set(sets[1]).seed(3);
    let built = start("first-swarm").run().unwrap();
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let scenario = load("first-swarm", &[]).unwrap().scenario;
    std::fs::write(file.path(), scenario.resolved_toml()).unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(start(path).run().unwrap().trace.hash, built.trace.hash);
    let polluted =
        |name: &str| start(name).fault(Fault::corrupt("leecher-1")).run().unwrap().record.faults.len();
    assert_eq!((polluted("first-swarm"), polluted(path)), (1, 1));
    let text = scenario.resolved_toml();
    let from_text = Swarm::from_toml(&text, "mine.toml").set(sets[0]).set(sets[1]).seed(3).run().unwrap();
    assert_eq!(from_text.trace.hash, built.trace.hash);
}

#[test]
fn what_is_wrong_is_the_scenarios_error() {
    let error = |builder: Builder| builder.run().expect_err("it is wrong").to_string();
    let wrong_unit = error(small().link(Link::new().up("1 Mbt/s")));
    assert!(
        wrong_unit.contains("hosts.leecher.links.up=1 Mbt/s") && wrong_unit.contains("hint: "),
        "{wrong_unit}"
    );
    assert!(error(small().set("hosts.lecher.count=1")).contains("lecher"));
    assert!(error(small().fault(Fault::new("kil", "leecher"))).contains("`kil`"));
    assert!(error(small().fault(Fault::kill("\" ' \u{7f}"))).contains("hint: "));
    assert!(error(small().set("hosts.leecher.picker=mine")).contains("mine"));
    assert!(error(Swarm::scenario("frist-swarm")).contains("first-swarm"));
    assert!(error(Swarm::scenario("frist-swarm").fault(Fault::kill("seed"))).contains("first-swarm"));
}

#[test]
fn a_tests_own_strategies_and_nodes_run_in_the_classes_that_it_names() {
    let shipped = small().set("hosts.leecher.picker=sequential").run().unwrap();
    let own = small().picker("leecher", || Box::new(Sequential)).run().unwrap();
    assert_eq!(own.trace.hash, shipped.trace.hash);
    let selfish = small().choker("leecher", |_, _| Box::new(Nobody)).run().unwrap();
    assert_eq!(selfish.record.summary.leecher_upload_share, Some(0.0));
    let engine = |setup: Setup, now: Instant| Box::new(Torrent::new(setup, now)) as Box<dyn Node>;
    assert_eq!(small().node("leecher", engine).run().unwrap().trace.hash, small().run().unwrap().trace.hash);
    let mute =
        small().rogue("leecher", |_, _| Box::new(Mute)).set("until={ time = \"1 min\" }").run().unwrap();
    assert_eq!(mute.completed(), 0);
}

/// A node that says nothing.
struct Mute;

impl Node for Mute {
    fn handle(&mut self, _: Instant, _: Input, _: &mut Outbox) -> Result<(), Misuse> {
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// A node that breaks.
struct Broken;

impl Node for Broken {
    fn handle(&mut self, _: Instant, _: Input, _: &mut Outbox) -> Result<(), Misuse> {
        panic!("a broken invariant")
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(Instant::ZERO)
    }
}

#[test]
fn a_failure_says_how_to_run_the_swarm_again() {
    let broken = small().node("leecher", |_, _| Box::new(Broken)).run().unwrap_err();
    assert_eq!(broken.failure().map(|failure| &*failure.class), Some("invariant:a-broken-invariant"));
    let shown = format!("{broken:?}");
    assert!(shown.contains("replay: run this test again: its seed is 7"), "{shown}");
    assert!(matches!(broken, Error::Run { .. }));
}

#[test]
fn the_line_that_replays_a_run_names_a_file_that_does() {
    let swarm = small().backend(Backend::Turmoil).peers(2).run().unwrap();
    let line = swarm.replay();
    let words: Vec<&str> = line.split(' ').collect();
    let ["torrentlab", "run", path, "--seed", "7", "--backend", "turmoil"] = words[..] else {
        panic!("{line}");
    };
    let again = Swarm::scenario(path).backend(Backend::Turmoil).seed(7).run().unwrap();
    assert_eq!(again.trace.hash, swarm.trace.hash);
}

#[test]
#[should_panic(expected = "not everyone finished (time): leecher-0 has 0 of 8 pieces")]
fn an_unfinished_swarm_is_not_ok() {
    small().set("until={ time = \"100 ms\" }").run().unwrap().assert_ok();
}
