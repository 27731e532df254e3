//! Whatever is read of a datagram of BEP 15 can be written and read again, and both sides bear anything from the other.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::Instant;
use torrentlab_engine::tracker::server::{Tracker, TrackerConfig};
use torrentlab_engine::tracker::udp::{
    ATTEMPTS, Answer, Ask, ConnectionId, Exchange, Reply, Request, Server,
};
use torrentlab_engine::tracker::{AnnounceEvent, AnnounceRequest, Family};
use torrentlab_engine::units::{InfoHash, PeerId};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

fuzz_target!(|input: &[u8]| {
    if let Ok(request) = Request::decode(input) {
        assert_eq!(Request::decode(&request.encode()).as_ref(), Ok(&request));
    }
    for family in FAMILIES {
        let Ok(reply) = Reply::decode(input, family) else { continue };
        // The first time, peers of the other family and what is beyond one packet are left out.
        let kept = Reply::decode(&reply.encode(family), family).expect("our own form");
        assert_eq!(Reply::decode(&kept.encode(family), family), Ok(kept));
    }
    to_server(input);
    to_client(input);
});

/// A client that has connected sends the input, with its connection id in the place of the first 8 bytes.
fn to_server(input: &[u8]) {
    let mut dice = Dice::stream(1, ("fuzz", 0, "tracker"));
    let (server, mut tracker) = (Server::new(&mut dice), Tracker::new(TrackerConfig::default()));
    for from in ["10.0.0.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().expect("an address")) {
        let mut ask = |datagram: &[u8]| server.answer(Instant::ZERO, from, datagram, &mut tracker, &mut dice);
        ask(input);
        let connected = ask(&Request { transaction: 0, ask: Ask::Connect }.encode()).expect("an answer");
        if let Some(rest) = input.get(8..) {
            ask(&[&connected[8..], rest].concat());
        }
        tracker.check_invariants();
    }
}

/// A tracker sends the input as its answer, with the right transaction id, to a request to connect and to an announce.
fn to_client(input: &[u8]) {
    let (Some(action), Some(rest)) = (input.get(..4), input.get(8..)) else { return };
    for family in FAMILIES {
        let mut dice = Dice::stream(1, ("fuzz", 0, "client"));
        let mut fresh = Exchange::new(announce(), family, ATTEMPTS);
        let transaction = next(&mut fresh, &mut dice);
        let mut connected = fresh.clone();
        let id = Reply { transaction, answer: Answer::Connect(ConnectionId(7)) };
        assert_eq!(connected.on_datagram(Instant::ZERO, &id.encode(family)), None);
        fresh.on_datagram(Instant::ZERO, &[action, &transaction.to_be_bytes(), rest].concat());
        let transaction = next(&mut connected, &mut dice);
        connected.on_datagram(Instant::ZERO, &[action, &transaction.to_be_bytes(), rest].concat());
    }
}

/// The transaction id of what the client sends next.
fn next(exchange: &mut Exchange, dice: &mut Dice) -> u32 {
    let datagram = exchange.poll(Instant::ZERO, dice).expect("in time").expect("due");
    Request::decode(&datagram).expect("our own form").transaction
}

fn announce() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash([1; 20]),
        peer_id: PeerId([2; 20]),
        port: 6881,
        uploaded: 0,
        downloaded: 0,
        left: 0,
        event: AnnounceEvent::Started,
        numwant: None,
        key: 0,
    }
}
