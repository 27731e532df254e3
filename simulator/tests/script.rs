//! Swarms with peers that play a part.

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::Node;
use torrentlab_engine::torrent::Torrent;
use torrentlab_engine::units::ConnId;
use torrentlab_engine::wire::{Message, Payload};
use torrentlab_scenarios::{Scenario, load};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Outcome, RunOptions, run};
use torrentlab_simulator::script::{Cue, Script};

/// The first swarm in small, with three hosts of a class `actor`.
fn scenario() -> Scenario {
    let sets = [
        "content.size=2 MiB",
        "hosts.leecher.count=12",
        "hosts.actor={ count = 3, node = \"actor\", links = { up = \"4 Mbit/s\", down = \"4 Mbit/s\" } }",
    ];
    load("first-swarm", &sets.map(str::to_owned)).unwrap_or_else(|error| panic!("{error}")).scenario
}

fn play(part: impl Fn(Cue<'_>) -> Vec<Message> + Clone + Send + Sync + 'static) -> Outcome {
    let mut registry = Registry::default();
    registry.register_rogue("actor", move |setup, now| {
        let part = part.clone();
        Box::new(Script::new(&setup, now, move |_: ConnId, cue: Cue<'_>| part(cue))) as Box<dyn Node>
    });
    let options = RunOptions { check: true, ..RunOptions::default() };
    run(&scenario(), 1, &registry, &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

fn finished_leechers(outcome: &Outcome) -> usize {
    let peers = outcome.record.peers.iter();
    peers.filter(|peer| peer.class == "leecher" && peer.completed_s.is_some()).count()
}

#[test]
fn polluters_are_found_out_and_everyone_else_finishes() {
    let outcome = play(|cue| match cue {
        Cue::Open => vec![Message::HaveAll, Message::Unchoke],
        Cue::Message(&Message::Request(block)) => {
            let payload = Payload::Synthetic { len: block.len, tag: 666 };
            vec![Message::Piece { block, payload }]
        }
        Cue::Message(_) => Vec::new(),
    });
    assert!(outcome.record.summary.hash_failures > 0, "nobody asked a polluter");
    assert_eq!(finished_leechers(&outcome), 12);
    assert_eq!(outcome.corrupt, 0);
}

#[test]
fn peers_that_promise_and_never_send_hold_nobody_up() {
    let outcome =
        play(|cue| if cue == Cue::Open { vec![Message::HaveAll, Message::Unchoke] } else { Vec::new() });
    assert_eq!(finished_leechers(&outcome), 12);
}

#[test]
fn peers_that_talk_nonsense_are_sent_away() {
    let outcome = play(|cue| if cue == Cue::Open { vec![Message::Unknown(99)] } else { Vec::new() });
    assert_eq!(finished_leechers(&outcome), 12);
}

#[test]
fn a_node_of_a_class_can_be_an_engine_in_disguise() {
    let mut registry = Registry::default();
    registry.register_node("actor", |mut setup, now| {
        setup.have = Bitfield::none(setup.geometry.pieces());
        setup.config.endgame = false;
        Box::new(Torrent::new(setup, now))
    });
    let options = RunOptions::default();
    let outcome =
        run(&scenario(), 1, &registry, &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.record.summary.completed, 15);
}
