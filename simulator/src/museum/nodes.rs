//! Engines whose inputs and outputs are meddled with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use torrentlab_engine::node::{Disconnect, Event, Input, Output};
use torrentlab_engine::time::Duration;
use torrentlab_engine::torrent::{Setup, Torrent};
use torrentlab_engine::units::{Block, ConnId, Geometry, PieceIndex};
use torrentlab_engine::wire::Message;

use super::{NEVER, under};
use crate::mutant::{OnInput, OnOutput, Relay, Rule};
use crate::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.register_node("bug-no-endgame", |setup, now| Box::new(Torrent::new(patient(setup), now)));
    registry.register_node("bug-no-cancel", |setup, now| {
        under(
            setup,
            now,
            OnOutput(|output: Output, relay: &mut Relay| match output {
                Output::Send { message: Message::Cancel(_), .. } => {}
                other => relay.to_driver(other),
            }),
        )
    });
    registry.register_node("bug-lost-have", |setup, now| {
        let mut count = 0u32;
        under(
            setup,
            now,
            OnOutput(move |output: Output, relay: &mut Relay| {
                if let Output::Send { message: Message::Have(_), .. } = output {
                    count += 1;
                    // Every third goes missing.
                    if count.is_multiple_of(3) {
                        return;
                    }
                }
                relay.to_driver(output);
            }),
        )
    });
    registry.register_node("bug-snubbed-for-ever", |setup, now| under(setup, now, SnubbedForEver::default()));
    registry
        .register_node("bug-bans-the-innocent", |setup, now| under(setup, now, BansTheInnocent::default()));
    registry.register_node("bug-hash-loop", |setup, now| {
        let rule = HashLoop { geometry: setup.geometry, senders: BTreeMap::new(), again: BTreeMap::new() };
        under(setup, now, rule)
    });
    registry.register_node("bug-announce-storm", |setup, now| under(setup, now, AnnounceStorm::default()));
    registry.register_node("bug-reconnect-loop", |setup, now| under(setup, now, ReconnectLoop::default()));
    registry.register_node("bug-seed-repeats", |setup, now| {
        let rule = SeedRepeats { shown: 0, pieces: setup.geometry.pieces(), told: BTreeMap::new() };
        under(setup, now, rule)
    });
    registry.register_node("bug-super-seed-waits", |setup, now| under(setup, now, SuperSeedWaits::default()));
    registry.register_node("bug-interest-stuck", |setup, now| under(setup, now, InterestStuck::default()));
    registry.register_node("bug-no-interest", |setup, now| {
        under(
            setup,
            now,
            OnOutput(|output: Output, relay: &mut Relay| match output {
                Output::Send { message: Message::Interested, .. } => {}
                other => relay.to_driver(other),
            }),
        )
    });
    registry.register_node("bug-asks-while-choked", |setup, now| {
        under(
            setup,
            now,
            OnInput(|input, relay: &mut Relay| match input {
                Input::Message { message: Message::Choke, .. } => {}
                other => relay.to_node(other),
            }),
        )
    });
    registry.register_node("bug-queue-not-freed", |setup, now| {
        under(patient(setup), now, QueueNotFreed::default())
    });
    registry.register_node("bug-orphans", |setup, now| under(setup, now, Orphans::default()));
    registry.register_node("bug-half-open", |mut setup, now| {
        (setup.config.handshake_timeout, setup.config.idle_timeout) = (NEVER, NEVER);
        Box::new(Torrent::new(setup, now))
    });
    registry.register_node("bug-deep-queue", |mut setup, now| {
        (setup.config.min_requests, setup.config.max_requests) = (64, 500);
        under(
            setup,
            now,
            OnInput(|input, relay: &mut Relay| match input {
                // `reqq` is in there.
                Input::Message { message: Message::Extended { id: 0, .. }, .. } => {}
                other => relay.to_node(other),
            }),
        )
    });
    registry.register_node("bug-false-have", |setup, now| under(setup, now, FalseHave));
}

/// An engine without an endgame, for which no request is ever lost.
fn patient(mut setup: Setup) -> Setup {
    setup.config.endgame = false;
    setup.config.snub_timeout = NEVER;
    setup.config.request_timeout = None;
    setup
}

/// Asks nothing more of a peer that once snubbed it.
#[derive(Default)]
struct SnubbedForEver {
    addrs: BTreeMap<ConnId, IpAddr>,
    snubbed: BTreeSet<IpAddr>,
}

impl SnubbedForEver {
    fn is_snubbed(&self, conn: ConnId) -> bool {
        self.addrs.get(&conn).is_some_and(|ip| self.snubbed.contains(ip))
    }
}

impl Rule for SnubbedForEver {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        if let Input::Connected { conn, addr, .. } = &input {
            self.addrs.insert(*conn, addr.ip());
        }
        relay.to_node(input);
    }

    fn output(&mut self, output: Output, relay: &mut Relay) {
        match &output {
            Output::Event(Event::Snubbed(conn)) => self.snubbed.extend(self.addrs.get(conn)),
            Output::Send { conn, message: Message::Request(_) | Message::Cancel(_) }
                if self.is_snubbed(*conn) =>
            {
                return;
            }
            _ => {}
        }
        relay.to_driver(output);
    }
}

/// Bans everybody who sent part of a piece that turns out to be wrong.
#[derive(Default)]
struct BansTheInnocent {
    addrs: BTreeMap<ConnId, SocketAddr>,
    senders: BTreeMap<PieceIndex, BTreeSet<ConnId>>,
}

impl Rule for BansTheInnocent {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        let mut banned = Vec::new();
        match &input {
            Input::Connected { conn, addr, .. } => _ = self.addrs.insert(*conn, *addr),
            Input::Closed { conn, .. } => _ = self.addrs.remove(conn),
            Input::Message { conn, message: Message::Piece { block, .. } } => {
                self.senders.entry(block.piece).or_default().insert(*conn);
            }
            Input::PieceChecked { piece, ok, .. } => {
                let senders = self.senders.remove(piece).unwrap_or_default();
                banned.extend(senders.into_iter().filter(|_| !ok));
            }
            _ => {}
        }
        relay.to_node(input);
        for conn in banned {
            if let Some(addr) = self.addrs.remove(&conn) {
                relay.to_driver(Output::Event(Event::Banned(addr.ip())));
                relay.to_driver(Output::Close { conn, why: Disconnect::Banned });
                relay.to_node(Input::Closed { conn, why: Disconnect::Banned });
            }
        }
    }
}

/// Asks whoever sent a wrong piece for the same again.
struct HashLoop {
    geometry: Geometry,
    senders: BTreeMap<PieceIndex, ConnId>,
    /// Blocks that are still to come of pieces that are asked for again.
    again: BTreeMap<PieceIndex, u32>,
}

impl HashLoop {
    fn ask_again(&mut self, piece: PieceIndex, conn: ConnId, relay: &mut Relay) {
        let blocks = self.geometry.blocks_in(piece);
        self.again.insert(piece, blocks);
        for nth in 0..blocks {
            let message = Message::Request(self.geometry.block(piece, nth));
            relay.to_driver(Output::Send { conn, message });
        }
    }
}

impl Rule for HashLoop {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        match input {
            Input::Message { conn, message: Message::Piece { block, payload } } => {
                self.senders.insert(block.piece, conn);
                let Some(left) = self.again.get_mut(&block.piece) else {
                    let message = Message::Piece { block, payload };
                    return relay.to_node(Input::Message { conn, message });
                };
                *left -= 1;
                let is_whole = *left == 0;
                relay.to_driver(Output::WriteBlock { block, payload });
                if is_whole {
                    relay.to_driver(Output::CheckPiece { piece: block.piece, digests: false });
                }
            }
            Input::PieceChecked { piece, ok: false, digests } => match self.senders.get(&piece) {
                Some(&conn) => self.ask_again(piece, conn, relay),
                None => relay.to_node(Input::PieceChecked { piece, ok: false, digests }),
            },
            Input::PieceChecked { piece, .. } => {
                self.again.remove(&piece);
                relay.to_node(input);
            }
            other => relay.to_node(other),
        }
    }
}

/// Announces itself again as soon as the tracker fails.
#[derive(Default)]
struct AnnounceStorm {
    last: Option<Output>,
}

impl Rule for AnnounceStorm {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        match (&input, &self.last) {
            (Input::TrackerReply { result, .. }, Some(announce)) if result.is_err() => {
                relay.to_driver_after(Duration::from_millis(100), announce.clone());
            }
            _ => relay.to_node(input),
        }
    }

    fn output(&mut self, output: Output, relay: &mut Relay) {
        if let Output::Announce(_) = &output {
            self.last = Some(output.clone());
        }
        relay.to_driver(output);
    }
}

/// Dials a seed again from which it has just parted because both are seeds.
#[derive(Default)]
struct ReconnectLoop {
    addrs: BTreeMap<ConnId, SocketAddr>,
}

impl Rule for ReconnectLoop {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        if let Input::Connected { conn, addr, outgoing: true, .. } = &input {
            self.addrs.insert(*conn, *addr);
        }
        relay.to_node(input);
    }

    fn output(&mut self, output: Output, relay: &mut Relay) {
        if let Output::Close { conn, why: Disconnect::BothSeeds } = &output
            && let Some(addr) = self.addrs.remove(conn)
        {
            relay.to_driver_after(Duration::from_secs(1), Output::Dial(addr));
        }
        relay.to_driver(output);
    }
}

/// Shows the same piece to everybody, and the next one once everybody has it.
struct SeedRepeats {
    shown: u32,
    pieces: u32,
    /// By connection: what it was shown that it has not announced.
    told: BTreeMap<ConnId, Option<PieceIndex>>,
}

impl SeedRepeats {
    fn show(&mut self, relay: &mut Relay) {
        let piece = PieceIndex(self.shown % self.pieces);
        for (conn, told) in &mut self.told {
            *told = Some(piece);
            relay.to_driver(Output::Send { conn: *conn, message: Message::Have(piece) });
        }
    }
}

impl Rule for SeedRepeats {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        match &input {
            Input::Message { conn, message: Message::Have(piece) } => {
                if let Some(told) = self.told.get_mut(conn).filter(|told| **told == Some(*piece)) {
                    *told = None;
                }
            }
            Input::Closed { conn, .. } => _ = self.told.remove(conn),
            _ => {}
        }
        let all_have_it = !self.told.is_empty() && self.told.values().all(Option::is_none);
        relay.to_node(input);
        if all_have_it && self.shown + 1 < self.pieces {
            self.shown += 1;
            self.show(relay);
        }
    }

    fn output(&mut self, output: Output, relay: &mut Relay) {
        match output {
            Output::Send { conn, message: Message::HaveAll | Message::Bitfield(_) } => {
                let first = PieceIndex(self.shown % self.pieces);
                self.told.insert(conn, Some(first));
                relay.to_driver(Output::Send { conn, message: Message::HaveNone });
                relay.to_driver(Output::Send { conn, message: Message::Have(first) });
            }
            Output::Close { conn, .. } => {
                self.told.remove(&conn);
                relay.to_driver(output);
            }
            other => relay.to_driver(other),
        }
    }
}

/// A super-seed that goes on waiting for what a peer that left was shown.
#[derive(Default)]
struct SuperSeedWaits {
    shown: BTreeSet<ConnId>,
    waits: bool,
}

impl Rule for SuperSeedWaits {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        if let Input::Closed { conn, .. } = &input {
            self.waits |= self.shown.remove(conn);
        }
        relay.to_node(input);
    }

    fn output(&mut self, output: Output, relay: &mut Relay) {
        if let Output::Send { conn, message: Message::Have(_) } = &output {
            if self.waits {
                return;
            }
            self.shown.insert(*conn);
        }
        relay.to_driver(output);
    }
}

/// Says that it is interested, and never takes that back.
#[derive(Default)]
struct InterestStuck {
    interested: BTreeSet<ConnId>,
}

impl Rule for InterestStuck {
    fn output(&mut self, output: Output, relay: &mut Relay) {
        match output {
            Output::Send { message: Message::NotInterested, .. } => {}
            Output::Send { conn, message: Message::Interested } if !self.interested.insert(conn) => {}
            other => relay.to_driver(other),
        }
    }
}

/// Keeps what it asked for in its books when it is choked, and so asks for nothing more.
#[derive(Default)]
struct QueueNotFreed {
    choked: BTreeSet<ConnId>,
}

impl Rule for QueueNotFreed {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        match &input {
            Input::Message { conn, message: Message::Choke } => {
                self.choked.insert(*conn);
                return;
            }
            Input::Message { conn, message: Message::Unchoke } => _ = self.choked.remove(conn),
            // As little as a choke does a reject tell it anything.
            Input::Message { message: Message::Reject(_), .. } => return,
            _ => {}
        }
        relay.to_node(input);
    }

    fn output(&mut self, output: Output, relay: &mut Relay) {
        match &output {
            Output::Send { conn, message: Message::Request(_) | Message::Cancel(_) }
                if self.choked.contains(conn) => {}
            _ => relay.to_driver(output),
        }
    }
}

/// Never asks anybody for what a peer that left was asked for.
#[derive(Default)]
struct Orphans {
    asked: BTreeMap<ConnId, BTreeSet<Block>>,
    orphans: BTreeSet<Block>,
}

impl Orphans {
    fn left(&mut self, conn: ConnId) {
        self.orphans.extend(self.asked.remove(&conn).unwrap_or_default());
    }
}

impl Rule for Orphans {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        match &input {
            Input::Message { conn, message: Message::Piece { block, .. } | Message::Reject(block) } => {
                if let Some(asked) = self.asked.get_mut(conn) {
                    asked.remove(block);
                }
            }
            Input::Closed { conn, .. } => self.left(*conn),
            _ => {}
        }
        relay.to_node(input);
    }

    fn output(&mut self, output: Output, relay: &mut Relay) {
        match &output {
            Output::Send { conn, message: Message::Request(block) } => {
                if self.orphans.contains(block) {
                    return;
                }
                self.asked.entry(*conn).or_default().insert(*block);
            }
            Output::Send { conn, message: Message::Cancel(block) } => {
                if self.orphans.contains(block) {
                    return;
                }
                if let Some(asked) = self.asked.get_mut(conn) {
                    asked.remove(block);
                }
            }
            _ => {}
        }
        relay.to_driver(output);
    }
}

/// Says that it has everything when it has begun.
struct FalseHave;

impl Rule for FalseHave {
    fn output(&mut self, output: Output, relay: &mut Relay) {
        match output {
            Output::Send { conn, message: Message::HaveNone | Message::Bitfield(_) } => {
                relay.to_driver(Output::Send { conn, message: Message::HaveAll });
            }
            other => relay.to_driver(other),
        }
    }
}
