//! Swarms with peers that misbehave, made from the real engine.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{Event, Node, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::{Setup, Torrent};
use torrentlab_engine::units::PieceIndex;
use torrentlab_scenarios::units::Span;
use torrentlab_scenarios::{Scenario, load};
use torrentlab_simulator::build::{build, synthetic};
use torrentlab_simulator::mutant::{Answer, Liar, Mutant, OnOutput, Pollution, Relay, Spoils, Stall};
use torrentlab_simulator::plan::addr_of;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::simulation::Simulation;
use torrentlab_simulator::swarm::Swarm;
use torrentlab_simulator::trace::Detail;

const LEECHERS: u32 = 12;
/// Pieces, of 64, that a leecher at most finds wrong before it knows the polluter. They were under way by then.
const MOST_FAILURES: u64 = 32;
/// The default.
const SNUB_TIMEOUT_S: f64 = 60.0;

/// The first swarm in small, with `bad` hosts of a class `bad` that has everything or nothing.
fn scenario(bad: u32, behaviour: &str) -> Scenario {
    let bad = format!(
        "hosts.bad={{ count = {bad}, behaviour = \"{behaviour}\", links = {{ up = \"4 Mbit/s\", down = \"4 Mbit/s\" }} }}"
    );
    let sets = [
        "content.size=16 MiB".to_owned(),
        format!("hosts.leecher.count={LEECHERS}"),
        "hosts.leecher.node=listening".to_owned(),
        bad,
    ];
    load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}")).scenario
}

/// What the leechers' engines tell.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }

    fn banned(&self) -> BTreeSet<IpAddr> {
        let told = self.0.lock().unwrap();
        told.iter().filter_map(|event| if let Event::Banned(ip) = event { Some(*ip) } else { None }).collect()
    }
}

/// A registry whose leechers tell `told` what happens to them.
fn registry(told: &Told) -> Registry {
    let (mut registry, told) = (Registry::default(), told.clone());
    registry.register_node("listening", move |setup, now| {
        let told = told.clone();
        let listen = OnOutput(move |output: Output, relay: &mut Relay| {
            if let Output::Event(event) = &output {
                told.0.lock().unwrap().push(event.clone());
            }
            relay.to_driver(output);
        });
        Box::new(Mutant::new(Torrent::new(setup, now), listen))
    });
    registry
}

fn hosts_of(swarm: &Swarm<'_>, scenario: &Scenario, class: &str) -> Vec<u32> {
    let position = scenario.hosts.keys().position(|name| name == class).expect("the class is there") as u16;
    let ledger = swarm.ledger();
    let hosts = (0u32..).zip(&ledger.hosts);
    hosts.filter(|(_, host)| host.class == position).map(|(host, _)| host).collect()
}

/// When each leecher had everything; all must within an hour, and rightly.
fn finish(swarm: &mut Swarm<'_>, leechers: &[u32]) -> Vec<Instant> {
    let end = Instant::ZERO + Duration::from_secs(3600);
    let done = |swarm: &Swarm<'_>| {
        let times = leechers.iter().map(|&host| swarm.ledger().hosts[host as usize].completed_at);
        times.collect::<Option<Vec<_>>>()
    };
    while done(swarm).is_none() && swarm.step(end) {}
    swarm.check_invariants();
    assert_eq!(swarm.corrupt(), 0);
    done(swarm).expect("every leecher ends with the right content")
}

/// Runs the swarm with one host that serves wrong blocks: whether it was banned, and failed checks of each leecher.
fn polluted(spoils: Option<Spoils>, seed: u64) -> (bool, Vec<u64>) {
    let told = Told::default();
    let (scenario, registry) = (scenario(1, "seed"), registry(&told));
    let content = synthetic(&scenario).unwrap();
    let mut swarm = Swarm::new(build(&scenario, &registry, content, seed, Detail::Hash, None).unwrap());
    let [bad] = hosts_of(&swarm, &scenario, "bad")[..] else { panic!("one polluter") };
    let leechers = hosts_of(&swarm, &scenario, "leecher");
    let pollution = spoils.map(|spoils| Pollution::new(spoils, Dice::stream(seed, ("bad", 0, "pollution"))));
    swarm.pollute(bad, pollution);
    finish(&mut swarm, &leechers);
    let mut banned = told.banned();
    let found_out = banned.remove(&addr_of(bad).ip());
    assert!(banned.is_empty(), "honest peers were banned: {banned:?}");
    let failures = leechers.iter().map(|&host| swarm.ledger().hosts[host as usize].hash_failures).collect();
    (found_out, failures)
}

#[test]
fn a_polluter_is_banned_and_nobody_else() {
    for seed in 1..=3 {
        for spoils in [Spoils::All, Spoils::Some(0.1), Spoils::Some(0.5), Spoils::Piece(PieceIndex(3))] {
            let (banned, failures) = polluted(Some(spoils), seed);
            let most = if matches!(spoils, Spoils::Piece(_)) { 3 } else { MOST_FAILURES };
            assert!(banned && failures.iter().all(|&count| count <= most), "{spoils:?}: {failures:?}");
        }
    }
}

#[test]
fn who_serves_right_blocks_is_banned_by_nobody_negative() {
    assert_eq!(polluted(None, 1), (false, vec![0; LEECHERS as usize]));
}

/// When the last of the leechers has everything, and how often peers were snubbed, with three hosts that are `node`s.
fn last_with<N: Node + 'static>(
    behaviour: &str,
    change: impl Fn(&mut Scenario),
    seed: u64,
    node: impl Fn(Setup, Instant) -> N + Send + Sync + 'static,
) -> (f64, usize) {
    let told = Told::default();
    let (mut scenario, mut registry) = (scenario(3, behaviour), registry(&told));
    scenario.hosts.get_mut("bad").expect("the class is there").node = "bad".to_owned();
    change(&mut scenario);
    registry.register_node("bad", move |setup, now| Box::new(node(setup, now)));
    let content = synthetic(&scenario).unwrap();
    let mut swarm = Swarm::new(build(&scenario, &registry, content, seed, Detail::Hash, None).unwrap());
    let leechers = hosts_of(&swarm, &scenario, "leecher");
    let last = finish(&mut swarm, &leechers).into_iter().max().expect("there are leechers");
    assert_eq!(told.count(|event| matches!(event, Event::Banned(_) | Event::HashFailed(_))), 0);
    (last.as_secs_f64(), told.count(|event| matches!(event, Event::Snubbed(_))))
}

/// The same without the three: they never say a word.
fn last_without(seed: u64) -> f64 {
    let mute = |setup, now| Mutant::new(Torrent::new(setup, now), OnOutput(|_: Output, _: &mut Relay| ()));
    last_with("normal", |_| (), seed, mute).0
}

fn at(secs: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(secs)
}

fn stalling(from: u64, until: u64) -> impl Fn(Setup, Instant) -> Mutant<Torrent, Stall> {
    move |setup, now| Mutant::new(Torrent::new(setup, now), Stall::default()).during(at(from), at(until))
}

#[test]
fn a_stalling_peer_is_snubbed_and_costs_less_than_the_time_that_takes() {
    for seed in 1..=3 {
        let alone = last_without(seed);
        let (last, snubbed) = last_with("seed", |_| (), seed, stalling(0, 10_000));
        assert!(snubbed > 0 && last < alone + SNUB_TIMEOUT_S, "{last} s with, {alone} s without them");
        let (later, _) = last_with("seed", |_| (), seed, stalling(20, 60));
        assert!(later < alone, "who stalls for a while helps before and after: {later} s, {alone} s");
    }
}

#[test]
fn a_stalling_peer_costs_more_than_that_where_nobody_is_snubbed_negative() {
    let patient = |scenario: &mut Scenario| {
        let leecher = scenario.hosts.get_mut("leecher").expect("the class is there");
        (leecher.limits.snub_timeout, leecher.endgame) = (Span::from_secs(3_000), false);
    };
    let (last, snubbed) = last_with("seed", patient, 1, stalling(0, 1_000));
    assert!(snubbed == 0 && last > last_without(1) + SNUB_TIMEOUT_S, "{last} s");
}

#[test]
fn a_liar_costs_less_than_the_time_that_finding_out_takes() {
    for seed in 1..=3 {
        let alone = last_without(seed);
        for (answer, from) in
            [(Answer::Reject, 0), (Answer::Reject, 30), (Answer::Silence, 0), (Answer::Silence, 30)]
        {
            let liar = move |setup: Setup, now| {
                let liar = Liar::new(setup.have.clone(), answer);
                Mutant::new(Torrent::new(setup, now), liar).during(at(from), Instant::NEVER)
            };
            let (last, _) = last_with("normal", |_| (), seed, liar);
            assert!(last < alone + SNUB_TIMEOUT_S, "{answer:?} from {from} s: {last} s, {alone} s without");
        }
    }
}
