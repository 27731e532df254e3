//! Swarms of the real engine under all checkers: none may find anything.

use std::fs;

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::torrent::Torrent;
use torrentlab_engine::wire::Message;
use torrentlab_scenarios::load;
use torrentlab_simulator::check::CHECKERS;
use torrentlab_simulator::failure::Failure;
use torrentlab_simulator::mutant::{Mutant, OnInput, OnOutput, Relay, Rule};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, RunError, RunOptions, run};

/// What the checkers find, if anything.
fn found(name: &str, sets: &[&str], seed: u64, backend: Backend) -> Option<String> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let scenario = load(name, &sets).unwrap_or_else(|error| panic!("{error}")).scenario;
    let options = RunOptions { check: true, backend, ..RunOptions::default() };
    run(&scenario, seed, &Registry::default(), &options, &mut |_| ()).err().map(|error| error.to_string())
}

#[test]
fn the_catalogue_keeps_the_rules() {
    let all = torrentlab_scenarios::catalogue();
    let wrong = |name: &str| Some(format!("{name}: {}", found(name, &["time_cap=20 min"], 1, Backend::Des)?));
    let wrong: Vec<String> = all
        .iter()
        .filter(|entry| !["bench", "bharambe-2006"].contains(&entry.name))
        .filter_map(|entry| wrong(entry.name))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the checkers find in a small swarm whose leechers run an engine under this rule, by class.
fn found_of<R: Rule + 'static>(
    sets: &[&str],
    rule: impl Fn() -> R + Send + Sync + 'static,
) -> Option<Failure> {
    let mut all = vec!["content.size=2 MiB", "hosts.leecher.count=8", "hosts.leecher.node=mutant"];
    all.extend(sets);
    let sets: Vec<String> = all.iter().map(|set| (*set).to_owned()).collect();
    let scenario = load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}")).scenario;
    let mut registry = Registry::default();
    registry
        .register_node("mutant", move |setup, now| Box::new(Mutant::new(Torrent::new(setup, now), rule())));
    let options = RunOptions { check: true, ..RunOptions::default() };
    match run(&scenario, 1, &registry, &options, &mut |_| ()) {
        Ok(_) => None,
        Err(RunError::Failed { failure, .. }) => Some(*failure),
        Err(error) => panic!("{error}"),
    }
}

fn assert_finds(checker: &str, failure: Option<Failure>) {
    let failure = failure.unwrap_or_else(|| panic!("{checker} finds nothing"));
    assert_eq!(failure.class, format!("check:{checker}"), "{failure}");
    assert!(failure.at.is_some() && !failure.hosts.is_empty(), "{failure}");
}

/// `UPDATE=1` writes it anew.
#[test]
fn the_page_has_all_checkers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/checkers.md");
    let page = fs::read_to_string(path).unwrap();
    let rows: Vec<String> = CHECKERS.iter().map(|(name, what)| format!("| `{name}` | {what} |\n")).collect();
    let table = format!("| name | what holds |\n|---|---|\n{}", rows.concat());
    let (before, rest) = page.split_once("<!-- checkers -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        let page = format!("{before}<!-- checkers -->\n{table}<!-- end -->{after}");
        return fs::write(path, page).unwrap();
    }
    assert_eq!(found, table, "hint: UPDATE=1 writes it anew");
}

#[test]
fn checkers_change_nothing() {
    let sets = ["content.size=2 MiB", "hosts.leecher.count=8"].map(str::to_owned);
    let scenario = load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}")).scenario;
    for backend in [Backend::Des, Backend::Turmoil] {
        let hash = |check| {
            let options = RunOptions { check, backend, ..RunOptions::default() };
            run(&scenario, 1, &Registry::default(), &options, &mut |_| ()).unwrap().trace.hash
        };
        assert_eq!(hash(true), hash(false), "{}", backend.name());
    }
}

#[test]
fn an_engine_under_no_rule_keeps_the_rules_negative() {
    assert_eq!(found_of(&[], || OnOutput(|output, relay: &mut Relay| relay.to_driver(output))), None);
}

#[test]
fn a_message_out_of_order_is_found() {
    // Says that it is interested twice.
    let twice = || {
        OnOutput(|output: Output, relay: &mut Relay| {
            if let Output::Send { message: Message::Interested, .. } = &output {
                relay.to_driver(output.clone());
            }
            relay.to_driver(output);
        })
    };
    let failure = found_of(&[], twice).unwrap();
    assert!(failure.last_events.iter().any(|event| event.contains("interested")), "{failure}");
    assert_finds("protocol", Some(failure));
}

#[test]
fn a_request_while_choked_is_found() {
    // Believes that seeds unchoke it at once.
    let hopeful = || {
        OnInput(|input: Input, relay: &mut Relay| {
            if let Input::Message { conn, message: Message::HaveAll } = input {
                relay.to_node(input);
                relay.to_node(Input::Message { conn, message: Message::Unchoke });
            } else {
                relay.to_node(input);
            }
        })
    };
    assert_finds("requests", found_of(&[], hopeful));
}

#[test]
fn a_download_that_stands_still_is_found() {
    // Is told of no unchoke.
    let deaf = || {
        OnInput(|input: Input, relay: &mut Relay| match input {
            Input::Message { message: Message::Unchoke, .. } => (),
            other => relay.to_node(other),
        })
    };
    assert_finds("stall", found_of(&[], deaf));
}

#[test]
fn a_failure_that_is_none_of_a_checker_tells_what_last_happened_too() {
    let breaks = || {
        OnInput(|input: Input, relay: &mut Relay| {
            assert!(!matches!(input, Input::PieceChecked { .. }), "the test breaks it");
            relay.to_node(input);
        })
    };
    let failure = found_of(&[], breaks).unwrap();
    assert_eq!(failure.class, "invariant:the-test-breaks-it");
    assert!(failure.last_events.last().is_some_and(|event| event.contains("finds piece")), "{failure}");
}

/// The swarm of `first-swarm`, in small, in both backends.
#[test]
fn small_swarms_keep_the_rules_byte_for_byte() {
    let small = ["content.size=2 MiB", "hosts.leecher.count=8", "time_cap=20 min"];
    let all: [&[&str]; 5] = [
        &[],
        &["hosts.leecher.fast_extension=false"],
        &["hosts.leecher.limits.allowed_fast=3", "hosts.seed.super_seeding=true"],
        &["hosts.leecher.endgame_from=last-pieces", "hosts.leecher.choker=libtorrent"],
        &[
            "tracker.protocol=udp",
            "hosts.leecher.peer_exchange=true",
            "hosts.leecher.behaviour=under-reporter",
        ],
    ];
    for more in all {
        let sets = [&small[..], more].concat();
        for backend in [Backend::Des, Backend::Turmoil] {
            assert_eq!(found("first-swarm", &sets, 1, backend), None, "{more:?} in {}", backend.name());
        }
    }
}
