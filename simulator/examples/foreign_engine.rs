//! Somebody else's engine in the simulator: a minimal BitTorrent client of its own, which shares nothing with
//! torrentlab's but the types of messages, in one swarm with torrentlab's, under the same checkers.
//!
//! ```text
//! cargo run -p torrentlab-simulator --example foreign_engine
//! ```
//!
//! It is sans-IO, as the contract of `Node` asks: what happens comes in as an `Input`, what is to be done goes out as an
//! `Output`, and time is an argument. It picks pieces in order of their numbers, keeps five requests out to each peer, and
//! serves four peers at a time, in turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Disconnect, Input, Misuse, Node, Outbox, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::Setup;
use torrentlab_engine::tracker::{Announce, AnnounceEvent, AnnounceRequest};
use torrentlab_engine::units::{Block, ConnId, Geometry, PeerId, PieceIndex};
use torrentlab_engine::wire::{Message, Reserved};
use torrentlab_simulator::lab::Error;
use torrentlab_simulator::{Report, Swarm};

const REQUESTS: usize = 5;
const SLOTS: usize = 4;
const CONNECTIONS: usize = 40;
const SECOND: Duration = Duration::from_secs(1);

/// A mistake that the client can be given, for checkers to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// None.
    No,
    /// It does not listen to chokes.
    DeafToChokes,
}

/// The client.
#[derive(Debug)]
pub struct Tiny {
    announce: AnnounceRequest,
    geometry: Geometry,
    id: PeerId,
    have: Bitfield,
    /// Blocks that are there, of pieces that are not whole.
    blocks: BTreeSet<Block>,
    /// Blocks that somebody was asked for.
    asked: BTreeSet<Block>,
    peers: BTreeMap<ConnId, Peer>,
    addrs: BTreeSet<SocketAddr>,
    announce_at: Instant,
    waits_for_tracker: bool,
    tick_at: Instant,
    ticks: u64,
    mistake: Mistake,
}

#[derive(Debug)]
struct Peer {
    addr: SocketAddr,
    id: Option<PeerId>,
    has: Bitfield,
    choking: bool,
    am_choking: bool,
    interested: bool,
    am_interested: bool,
    /// What it was asked for, and since when it has been silent about that.
    asked: VecDeque<Block>,
    served_at: Instant,
    wants: VecDeque<Block>,
    room: u32,
    heard_at: Instant,
    said_at: Instant,
}

impl Tiny {
    /// A client in the place of what `setup` describes.
    pub fn new(setup: &Setup, mistake: Mistake, now: Instant) -> Self {
        let announce = AnnounceRequest {
            info_hash: setup.info_hash,
            peer_id: setup.config.peer_id,
            port: setup.config.listen_port,
            uploaded: 0,
            downloaded: 0,
            left: 1,
            event: AnnounceEvent::Started,
            numwant: Some(30),
            key: 1,
        };
        Self {
            announce,
            geometry: setup.geometry,
            id: setup.config.peer_id,
            have: setup.have.clone(),
            blocks: BTreeSet::new(),
            asked: BTreeSet::new(),
            peers: BTreeMap::new(),
            addrs: BTreeSet::new(),
            announce_at: now,
            waits_for_tracker: false,
            tick_at: now + SECOND,
            ticks: 0,
            mistake,
        }
    }

    fn say(&mut self, conn: ConnId, message: Message, now: Instant, out: &mut Outbox) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.said_at = now;
            out.send(conn, message);
        }
    }

    fn close(&mut self, conn: ConnId, why: Disconnect, out: &mut Outbox) {
        self.forget(conn);
        out.push(Output::Close { conn, why });
    }

    fn forget(&mut self, conn: ConnId) {
        if let Some(peer) = self.peers.remove(&conn) {
            peer.asked.iter().for_each(|block| _ = self.asked.remove(block));
        }
    }

    fn blocks_of(&self, piece: PieceIndex) -> impl Iterator<Item = Block> + use<> {
        let geometry = self.geometry;
        (0..geometry.blocks_in(piece)).map(move |nth| geometry.block(piece, nth))
    }

    fn on_message(&mut self, conn: ConnId, message: Message, now: Instant, out: &mut Outbox) {
        let pieces = self.geometry.pieces();
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        peer.heard_at = now;
        match message {
            Message::PeerId(id) => {
                let known = self.peers.values().any(|peer| peer.id == Some(id));
                if known || id == self.id {
                    return self.close(conn, Disconnect::Duplicate, out);
                }
                if let Some(peer) = self.peers.get_mut(&conn) {
                    peer.id = Some(id);
                }
                if self.have.count() > 0 {
                    self.say(conn, Message::Bitfield(Bytes::from(self.have.to_wire())), now, out);
                }
            }
            Message::Choke if self.mistake == Mistake::DeafToChokes => {}
            Message::Choke => {
                peer.choking = true;
                // Without the Fast extension a choke answers all requests.
                for block in std::mem::take(&mut peer.asked) {
                    self.asked.remove(&block);
                }
            }
            Message::Unchoke => peer.choking = false,
            Message::Interested => peer.interested = true,
            Message::NotInterested => peer.interested = false,
            Message::Have(piece) if self.geometry.contains(piece) => _ = peer.has.insert(piece),
            Message::Bitfield(bits) => match Bitfield::from_wire(&bits, pieces) {
                Some(has) => peer.has = has,
                None => {
                    return self.close(conn, Disconnect::Misbehaved("a bitfield of the wrong length"), out);
                }
            },
            Message::Request(block) if !self.geometry.holds(block) => {
                return self.close(conn, Disconnect::Misbehaved("a request outside the torrent"), out);
            }
            Message::Request(block)
                if !peer.am_choking && self.have.has(block.piece) && peer.wants.len() < 250 =>
            {
                peer.wants.push_back(block);
            }
            Message::Cancel(block) => peer.wants.retain(|wanted| *wanted != block),
            Message::Piece { block, payload } if self.geometry.holds(block) => {
                peer.served_at = now;
                peer.asked.retain(|asked| *asked != block);
                self.asked.remove(&block);
                if !self.have.has(block.piece) && self.blocks.insert(block) {
                    out.push(Output::WriteBlock { block, payload });
                    if self.blocks_of(block.piece).all(|block| self.blocks.contains(&block)) {
                        out.push(Output::CheckPiece { piece: block.piece, digests: false });
                    }
                }
            }
            Message::Have(_) | Message::Piece { .. } | Message::Unknown(_) => {
                return self.close(conn, Disconnect::Misbehaved("nonsense"), out);
            }
            _ => {}
        }
        self.go_on(now, out);
    }

    fn on_checked(&mut self, piece: PieceIndex, ok: bool, now: Instant, out: &mut Outbox) {
        for block in self.blocks_of(piece) {
            self.blocks.remove(&block);
        }
        if ok {
            self.have.insert(piece);
            let told: Vec<ConnId> =
                self.peers.iter().filter(|(_, peer)| peer.id.is_some()).map(|(conn, _)| *conn).collect();
            told.iter().for_each(|&conn| self.say(conn, Message::Have(piece), now, out));
            if self.have.is_full() {
                self.announce_now(AnnounceEvent::Completed, out);
            }
        }
        self.go_on(now, out);
    }

    /// Interest, requests, and blocks for others, wherever something has changed.
    fn go_on(&mut self, now: Instant, out: &mut Outbox) {
        let open: Vec<ConnId> =
            self.peers.iter().filter(|(_, peer)| peer.id.is_some()).map(|(conn, _)| *conn).collect();
        for conn in open {
            let Some(peer) = self.peers.get_mut(&conn) else { continue };
            if self.have.is_full() && peer.has.is_full() {
                self.close(conn, Disconnect::BothSeeds, out);
                continue;
            }
            let wanted = peer.has.exceeds(&self.have);
            if wanted != peer.am_interested {
                peer.am_interested = wanted;
                let message = if wanted { Message::Interested } else { Message::NotInterested };
                self.say(conn, message, now, out);
            }
            self.ask(conn, now, out);
            self.serve(conn, now, out);
        }
    }

    fn ask(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        while let Some(block) = self.next_block(conn) {
            self.asked.insert(block);
            if let Some(peer) = self.peers.get_mut(&conn) {
                if peer.asked.is_empty() {
                    peer.served_at = now;
                }
                peer.asked.push_back(block);
            }
            self.say(conn, Message::Request(block), now, out);
        }
    }

    /// The first block that the peer has and nobody was asked for, if it may be asked for one.
    fn next_block(&self, conn: ConnId) -> Option<Block> {
        let peer = self.peers.get(&conn)?;
        if peer.choking || !peer.am_interested || peer.asked.len() >= REQUESTS {
            return None;
        }
        let mut missing = peer.has.minus(&self.have).flat_map(|piece| self.blocks_of(piece));
        missing.find(|block| !self.blocks.contains(block) && !self.asked.contains(block))
    }

    /// A block is handed to the driver when the socket buffer has room for it: what lies there no choke takes back.
    fn serve(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        while let Some(&block) = peer.wants.front() {
            let Some(room) = peer.room.checked_sub(13 + block.len) else { return };
            peer.room = room;
            peer.wants.pop_front();
            peer.said_at = now;
            out.push(Output::SendBlock { conn, block });
        }
    }

    fn announce_now(&mut self, event: AnnounceEvent, out: &mut Outbox) {
        self.announce.left = u64::from(!self.have.is_full());
        let request = Box::new(AnnounceRequest { event, ..self.announce.clone() });
        self.waits_for_tracker = true;
        self.announce_at = Instant::NEVER;
        out.push(Output::Announce(Announce { tracker: 0, request }));
    }

    /// Once a second: who is silent, who is served, what was not answered.
    fn tick(&mut self, now: Instant, out: &mut Outbox) {
        self.tick_at = now + SECOND;
        self.ticks += 1;
        for conn in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(peer) = self.peers.get_mut(&conn) else { continue };
            let patience = if peer.id.is_some() { 180 } else { 20 };
            if now.since(peer.heard_at) > SECOND * patience {
                self.close(conn, Disconnect::TimedOut, out);
                continue;
            }
            if !peer.asked.is_empty() && now.since(peer.served_at) > SECOND * 60 {
                for block in std::mem::take(&mut peer.asked) {
                    self.asked.remove(&block);
                    self.say(conn, Message::Cancel(block), now, out);
                }
            } else if now.since(peer.said_at) > SECOND * 110 {
                self.say(conn, Message::KeepAlive, now, out);
            }
        }
        if self.ticks.is_multiple_of(10) {
            self.rechoke(now, out);
        }
        self.go_on(now, out);
    }

    /// The slots go round among those who are interested.
    fn rechoke(&mut self, now: Instant, out: &mut Outbox) {
        let open = self.peers.iter().filter(|(_, peer)| peer.id.is_some());
        let mut interested: Vec<ConnId> =
            open.filter(|(_, peer)| peer.interested).map(|(conn, _)| *conn).collect();
        let turn = self.ticks as usize / 30 * SLOTS;
        if !interested.is_empty() {
            let len = interested.len();
            interested.rotate_left(turn % len);
        }
        interested.truncate(SLOTS);
        let all: Vec<(ConnId, bool)> =
            self.peers.iter().map(|(conn, peer)| (*conn, peer.am_choking)).collect();
        for (conn, am_choking) in all {
            let choke = !interested.contains(&conn);
            if choke == am_choking {
                continue;
            }
            if let Some(peer) = self.peers.get_mut(&conn) {
                peer.am_choking = choke;
                if choke {
                    peer.wants.clear();
                }
            }
            self.say(conn, if choke { Message::Choke } else { Message::Unchoke }, now, out);
        }
    }
}

impl Node for Tiny {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        match input {
            Input::Connected { conn, addr, room, .. } => {
                if self.peers.len() >= CONNECTIONS {
                    out.push(Output::Close { conn, why: Disconnect::Full });
                    return Ok(());
                }
                let peer = Peer {
                    addr,
                    id: None,
                    has: Bitfield::none(self.geometry.pieces()),
                    choking: true,
                    am_choking: true,
                    interested: false,
                    am_interested: false,
                    asked: VecDeque::new(),
                    served_at: now,
                    wants: VecDeque::new(),
                    room,
                    heard_at: now,
                    said_at: now,
                };
                self.peers.insert(conn, peer);
                let hello =
                    Message::Hello { reserved: Reserved::default(), info_hash: self.announce.info_hash };
                self.say(conn, hello, now, out);
                self.say(conn, Message::PeerId(self.id), now, out);
            }
            Input::Message { conn, message } => self.on_message(conn, message, now, out),
            Input::Writable { conn, bytes } => {
                if let Some(peer) = self.peers.get_mut(&conn) {
                    peer.room += bytes;
                }
                self.serve(conn, now, out);
            }
            Input::Closed { conn, .. } => {
                self.forget(conn);
                self.go_on(now, out);
            }
            Input::PieceChecked { piece, ok, .. } => self.on_checked(piece, ok, now, out),
            Input::TrackerReply { result, .. } => {
                self.waits_for_tracker = false;
                match *result {
                    Ok(reply) => {
                        self.announce_at = now + reply.interval;
                        let connected: BTreeSet<_> = self.peers.values().map(|peer| peer.addr.ip()).collect();
                        for addr in reply.peers {
                            if !connected.contains(&addr.ip())
                                && self.addrs.insert(addr)
                                && !self.have.is_full()
                            {
                                out.push(Output::Dial(addr));
                            }
                        }
                    }
                    Err(_) => self.announce_at = now + SECOND * 60,
                }
            }
            Input::Timeout => {
                if self.announce_at <= now && !self.waits_for_tracker {
                    let event = if self.ticks == 0 { AnnounceEvent::Started } else { AnnounceEvent::Regular };
                    self.announce_now(event, out);
                }
                if self.tick_at <= now {
                    self.tick(now, out);
                }
            }
            Input::Shutdown => {
                self.announce_now(AnnounceEvent::Stopped, out);
                for conn in self.peers.keys().copied().collect::<Vec<_>>() {
                    self.close(conn, Disconnect::Shutdown, out);
                }
                self.tick_at = Instant::NEVER;
            }
            _ => {}
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let first = self.announce_at.min(self.tick_at);
        (first < Instant::NEVER).then_some(first)
    }
}

/// Six of these clients and six of torrentlab's, one seed, all checkers.
pub fn mixed_swarm(mistake: Mistake, seed: u64) -> Result<Report, Error> {
    Swarm::builder()
        .seed(seed)
        .peers(6)
        .class("tiny", 6)
        .node("tiny", move |setup, now| Box::new(Tiny::new(&setup, mistake, now)))
        // So that the checkers know what it promises.
        .set("hosts.tiny.endgame=false")
        .set("hosts.tiny.fast_extension=false")
        .set("hosts.tiny.picker=sequential")
        .set("hosts.tiny.choker=round-robin")
        .check_all()
        .run()
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() {
    match mixed_swarm(Mistake::No, 1) {
        Ok(report) => {
            let times = |class| report.completion_s(class).last().copied().unwrap_or_default();
            println!("twelve peers of two engines: {} finished, and no rule was broken", report.completed());
            println!("  the last of torrentlab's after {:.1} s", times("leecher"));
            println!("  the last of the foreign ones after {:.1} s", times("tiny"));
        }
        Err(error) => println!("{error}"),
    }
    println!("\nthe same client, deaf to chokes:");
    match mixed_swarm(Mistake::DeafToChokes, 1) {
        Ok(_) => println!("nobody found out"),
        Err(error) => println!("{error}"),
    }
}
