//! What a peer on the wire may expect of an engine, case by case, in `des`, in `turmoil` and over real sockets.

mod world;

use torrentlab_engine::node::{Node, Output};
use torrentlab_engine::time::Duration;
use torrentlab_engine::torrent::Torrent;
use torrentlab_engine::units::{BLOCK_LEN, Block};
use torrentlab_engine::wire::Message;
use torrentlab_simulator::fake_peer::Verdict;
use torrentlab_simulator::mutant::{Mutant, OnOutput, Relay};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::Backend;
use world::{Case, cases, over_sockets, simulate};

/// What differs from what was hoped for, a line each.
fn failures(verdicts: &[(&Case, Verdict)]) -> Vec<String> {
    let failed = |(case, verdict): &(&Case, Verdict)| {
        verdict.as_ref().err().map(|why| format!("{}: {why}\n  source: {}", case.name, case.source))
    };
    verdicts.iter().filter_map(failed).collect()
}

fn assert_all_pass(verdicts: &[(&Case, Verdict)]) {
    let failures = failures(verdicts);
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), verdicts.len(), failures.join("\n"));
}

#[test]
fn the_cases_are_many_and_each_has_its_name_and_source() {
    let cases = cases();
    assert!(cases.len() >= 70, "{}", cases.len());
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len());
    for case in &cases {
        assert!(case.source.len() > 20, "{}", case.name);
    }
    let needs_bytes = cases.iter().filter(|case| case.play().needs_bytes()).count();
    let needs_time = cases.iter().filter(|case| case.play().needs_time()).count();
    assert_eq!((needs_bytes, needs_time), (5, 10), "docs/reference/library.md says so many");
}

#[test]
fn the_engine_passes_in_des() {
    let cases = cases();
    let played = cases.iter().filter(|case| !case.play().needs_bytes());
    let registry = Registry::default;
    let verdicts: Vec<_> =
        played.map(|case| (case, simulate(case, Backend::Des, registry(), true))).collect();
    assert_all_pass(&verdicts);
}

#[test]
fn the_engine_passes_in_turmoil() {
    let cases = cases();
    let registry = Registry::default;
    let verdicts: Vec<_> =
        cases.iter().map(|case| (case, simulate(case, Backend::Turmoil, registry(), true))).collect();
    assert_all_pass(&verdicts);
}

#[test]
fn the_engine_passes_over_sockets() {
    let cases = cases();
    let played: Vec<&Case> = cases.iter().filter(|case| !case.play().needs_time()).collect();
    assert_all_pass(&over_sockets(&played, &Registry::default(), Duration::from_secs(60)));
}

/// The engine with a rule about what it says.
fn broken(rule: impl FnMut(Output, &mut Relay) + Clone + Send + Sync + 'static) -> Registry {
    let mut registry = Registry::default();
    registry.register_node("engine", move |setup, now| {
        Box::new(Mutant::new(Torrent::new(setup, now), OnOutput(rule.clone()))) as Box<dyn Node>
    });
    registry
}

/// The names of the cases that an engine under this rule fails in `des`.
fn fails_of(rule: impl FnMut(Output, &mut Relay) + Clone + Send + Sync + 'static) -> Vec<String> {
    let cases = cases();
    let played = cases.iter().filter(|case| !case.play().needs_time() && !case.play().needs_bytes());
    let fails = played.filter(|case| simulate(case, Backend::Des, broken(rule.clone()), false).is_err());
    fails.map(|case| case.name.clone()).collect()
}

/// That it fails them over sockets too.
fn assert_fails_over_sockets(
    names: &[String],
    rule: impl FnMut(Output, &mut Relay) + Clone + Send + Sync + 'static,
) {
    let cases = cases();
    let played: Vec<&Case> = cases.iter().filter(|case| names.contains(&case.name)).collect();
    // What is waited for never comes.
    for (case, verdict) in over_sockets(&played, &broken(rule), Duration::from_secs(3)) {
        assert!(verdict.is_err(), "{} passes over sockets", case.name);
    }
}

#[test]
fn an_engine_that_asks_for_32_kib_fails_negative() {
    let rule = |output, relay: &mut Relay| match output {
        Output::Send { conn, message: Message::Request(Block { piece, begin, len }) } if begin == 0 => {
            let block = Block { piece, begin, len: len + BLOCK_LEN };
            relay.to_driver(Output::Send { conn, message: Message::Request(block) });
        }
        other => relay.to_driver(other),
    };
    let fails = fails_of(rule);
    assert!(fails.contains(&"requests are for aligned blocks of 16 KiB".to_owned()), "{fails:?}");
    assert!(!fails.contains(&"a seed serves what it is asked for".to_owned()), "{fails:?}");
    assert_fails_over_sockets(&fails, rule);
}

#[test]
fn an_engine_that_sends_a_late_bitfield_fails_negative() {
    let rule = |output, relay: &mut Relay| {
        if let Output::Send { conn, message: Message::Have(_) } = output {
            let message = Message::Bitfield(vec![0b1000_0000].into());
            relay.to_driver(Output::Send { conn, message });
        }
        relay.to_driver(output);
    };
    let fails = fails_of(rule);
    let late = ["a bitfield is only ever the first message", "a seed that hides its pieces shows one"];
    assert_eq!(fails, late);
    assert_fails_over_sockets(&fails, rule);
}

#[test]
fn an_engine_that_never_withdraws_its_interest_fails_negative() {
    let rule = |output, relay: &mut Relay| match output {
        Output::Send { message: Message::NotInterested, .. } => {}
        other => relay.to_driver(other),
    };
    let fails = fails_of(rule);
    assert!(fails.contains(&"interest is withdrawn when nothing is left".to_owned()), "{fails:?}");
    assert!(!fails.contains(&"interest is told as soon as there is something".to_owned()), "{fails:?}");
    assert_fails_over_sockets(&fails, rule);
}

#[test]
fn an_engine_that_closes_nothing_fails_negative() {
    let fails = fails_of(|output, relay| match output {
        Output::Close { .. } => {}
        other => relay.to_driver(other),
    });
    assert!(fails.contains(&"a request of more than 128 KiB is refused".to_owned()), "{fails:?}");
    assert!(fails.len() > 20, "{fails:?}");
}
