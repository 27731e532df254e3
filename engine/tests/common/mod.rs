//! A tiny deterministic network for tests of the engine: typed messages, one latency, and a rate per uplink.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::choker::{Slots, Standard, StandardConfig};
use torrentlab_engine::node::{Disconnect, Event, Input, Node, Outbox, Output};
use torrentlab_engine::picker::RarestFirst;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::{Config, Setup, Streams, Torrent};
use torrentlab_engine::tracker::AnnounceReply;
use torrentlab_engine::units::{BLOCK_LEN, Block, ConnId, ConnSlots, Geometry, InfoHash, PeerId, PieceIndex};
use torrentlab_engine::wire::{Message, Payload};

pub const INFO_HASH: InfoHash = InfoHash([9; 20]);
pub const LATENCY: Duration = Duration::from_millis(20);
pub const BUFFER: u32 = 64 * 1024;

/// One host of the test network.
pub struct Host {
    pub torrent: Torrent,
    pub addr: SocketAddr,
    pub events: Vec<(Instant, Event)>,
    pub closed: Vec<Disconnect>,
    /// Blocks sent, in order.
    pub sent: Vec<Block>,
    /// Pieces that it spoils when it sends them.
    pub spoils: BTreeSet<PieceIndex>,
    /// Bytes a second of blocks.
    pub rate: u64,
    pub gone: bool,
    busy_until: Instant,
    conns: ConnSlots,
    links: BTreeMap<ConnId, (usize, ConnId)>,
    blocks: BTreeMap<PieceIndex, BTreeMap<u32, u64>>,
}

enum Happening {
    To(usize, Input),
    Dialled { from: usize, to: SocketAddr },
    Announced { from: usize },
    Wake(usize),
}

/// The network, its hosts, and what is about to happen.
pub struct Net {
    pub hosts: Vec<Host>,
    pub geometry: Geometry,
    pub now: Instant,
    seed: u64,
    queue: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
    /// Every message delivered, if wanted.
    pub log: Option<Vec<(Instant, usize, String)>>,
}

pub fn config(index: usize) -> Config {
    let mut id = *b"-TL0100-000000000000";
    id[8..16].copy_from_slice(&(index as u64).to_be_bytes());
    Config::new(PeerId(id), 6881)
}

impl Net {
    pub fn new(pieces: u32, blocks_per_piece: u32, seed: u64) -> Self {
        let piece_len = blocks_per_piece * BLOCK_LEN;
        // The last block is short.
        let geometry = Geometry::new(u64::from(pieces) * u64::from(piece_len) - 100, piece_len).unwrap();
        let (hosts, queue) = (Vec::new(), BTreeMap::new());
        Self { hosts, geometry, now: Instant::ZERO, seed, queue, sequence: 0, log: None }
    }

    pub fn none(&self) -> Bitfield {
        Bitfield::none(self.geometry.pieces())
    }

    pub fn all(&self) -> Bitfield {
        Bitfield::all(self.geometry.pieces())
    }

    pub fn add(&mut self, have: Bitfield, rate: u64, tune: impl FnOnce(&mut Config)) -> usize {
        self.add_with_slots(4, have, rate, tune)
    }

    pub fn add_with_slots(
        &mut self,
        slots: usize,
        have: Bitfield,
        rate: u64,
        tune: impl FnOnce(&mut Config),
    ) -> usize {
        let index = self.hosts.len();
        let mut config = config(index);
        tune(&mut config);
        let choker = StandardConfig { slots: Slots::Fixed(slots), ..StandardConfig::default() };
        let mut dice = Streams::new(self.seed, "host", index as u64);
        let setup = Setup {
            info_hash: INFO_HASH,
            geometry: self.geometry,
            tiers: vec![1],
            have,
            config,
            picker: Box::new(RarestFirst::default()),
            choker: Box::new(Standard::new(choker, self.now, &mut dice.choker)),
            dice,
        };
        let addr = SocketAddr::new(
            IpAddr::V4(Ipv4Addr::new(10, 0, (index / 250) as u8, (index % 250) as u8 + 1)),
            6881,
        );
        self.hosts.push(Host {
            torrent: Torrent::new(setup, self.now),
            addr,
            events: Vec::new(),
            closed: Vec::new(),
            sent: Vec::new(),
            spoils: BTreeSet::new(),
            rate,
            gone: false,
            busy_until: Instant::ZERO,
            conns: ConnSlots::default(),
            links: BTreeMap::new(),
            blocks: BTreeMap::new(),
        });
        self.plan(self.now, Happening::Wake(index));
        index
    }

    fn plan(&mut self, at: Instant, what: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), what);
    }

    /// Runs until `done` says so; false when `limit` comes first.
    pub fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            let Some(((at, _), what)) = self.queue.pop_first() else { return false };
            if at > end {
                self.plan(at, what);
                self.now = end;
                return false;
            }
            self.now = at;
            match what {
                Happening::To(host, input) => self.input(host, input),
                Happening::Wake(host) => {
                    if self.hosts[host].torrent.poll_timeout().is_some_and(|due| due <= at) {
                        self.input(host, Input::Timeout);
                    }
                }
                Happening::Dialled { from, to } => self.connect(from, to),
                Happening::Announced { from } => self.announce_reply(from),
            }
        }
        true
    }

    pub fn run_all_complete(&mut self, limit: Duration) -> bool {
        self.run(limit, |net| net.hosts.iter().all(|host| host.gone || host.torrent.is_complete()))
    }

    /// Gives one host an input now.
    pub fn input(&mut self, host: usize, input: Input) {
        if self.hosts[host].gone {
            return;
        }
        if let (Some(log), Input::Message { conn, message }) = (&mut self.log, &input) {
            log.push((self.now, host, format!("{conn:?} {message:?}")));
        }
        if let Input::Closed { conn, .. } = &input {
            self.hosts[host].links.remove(conn);
            self.hosts[host].conns.close(*conn);
        }
        let mut out = Outbox::default();
        self.hosts[host].torrent.handle(self.now, input, &mut out).unwrap();
        let mut outputs = Vec::new();
        out.take(&mut outputs);
        for output in outputs {
            self.output(host, output, &out);
        }
        self.hosts[host].torrent.check_invariants();
        if let Some(due) = self.hosts[host].torrent.poll_timeout() {
            self.plan(due.max(self.now), Happening::Wake(host));
        }
    }

    fn output(&mut self, host: usize, output: Output, out: &Outbox) {
        match output {
            Output::Dial(to) => self.plan(self.now + LATENCY * 2, Happening::Dialled { from: host, to }),
            Output::Send { conn, message } => self.send(host, conn, message),
            Output::Broadcast { piece, targets } => {
                for conn in out.targets(targets).to_vec() {
                    self.send(host, conn, Message::Have(piece));
                }
            }
            Output::SendBlock { conn, block } => self.send_block(host, conn, block),
            Output::CancelBlock { .. } => {}
            Output::Close { conn, why } => {
                self.hosts[host].closed.push(why);
                self.hosts[host].conns.close(conn);
                if let Some((other, theirs)) = self.hosts[host].links.remove(&conn) {
                    let closed = Input::Closed { conn: theirs, why: Disconnect::Remote };
                    self.plan(self.now + LATENCY, Happening::To(other, closed));
                }
            }
            Output::Announce(_) => self.plan(self.now + LATENCY * 2, Happening::Announced { from: host }),
            Output::WriteBlock { block, payload } => {
                let Payload::Synthetic { tag, .. } = payload else { panic!("real bytes in a test of tags") };
                self.hosts[host].blocks.entry(block.piece).or_default().insert(block.begin, tag);
            }
            Output::CheckPiece { piece, .. } => {
                let digests: Vec<u64> = self.hosts[host].blocks[&piece].values().copied().collect();
                let ok = digests.iter().all(|tag| *tag == 0);
                self.plan(self.now, Happening::To(host, Input::PieceChecked { piece, ok, digests }));
            }
            Output::Event(event) => self.hosts[host].events.push((self.now, event)),
        }
    }

    fn send(&mut self, host: usize, conn: ConnId, message: Message) {
        if let Some(&(other, theirs)) = self.hosts[host].links.get(&conn) {
            self.plan(self.now + LATENCY, Happening::To(other, Input::Message { conn: theirs, message }));
        }
    }

    fn send_block(&mut self, host: usize, conn: ConnId, block: Block) {
        let sender = &mut self.hosts[host];
        assert!(sender.torrent.have().has(block.piece), "host {host} serves what it lacks");
        sender.sent.push(block);
        sender.busy_until =
            sender.busy_until.max(self.now) + Duration::of_transfer(u64::from(block.len), sender.rate);
        let (sent_at, tag) =
            (sender.busy_until, u64::from(sender.spoils.contains(&block.piece)) * (host as u64 + 1));
        let Some(&(other, theirs)) = sender.links.get(&conn) else { return };
        self.plan(sent_at, Happening::To(host, Input::Writable { conn, bytes: block.len + 13 }));
        let message = Message::Piece { block, payload: Payload::Synthetic { len: block.len, tag } };
        self.plan(sent_at + LATENCY, Happening::To(other, Input::Message { conn: theirs, message }));
    }

    pub fn connect(&mut self, from: usize, to: SocketAddr) {
        let Some(other) = self.hosts.iter().position(|host| host.addr == to && !host.gone) else {
            let why = torrentlab_engine::node::DialFailure::Refused;
            return self.input(from, Input::DialFailed { addr: to, why });
        };
        let (ours, theirs) = (self.hosts[from].conns.open(), self.hosts[other].conns.open());
        self.hosts[from].links.insert(ours, (other, theirs));
        self.hosts[other].links.insert(theirs, (from, ours));
        let caller = self.hosts[from].addr;
        let addr = SocketAddr::new(caller.ip(), 50_000);
        self.input(other, Input::Connected { conn: theirs, addr, outgoing: false, room: BUFFER });
        self.input(from, Input::Connected { conn: ours, addr: to, outgoing: true, room: BUFFER });
    }

    fn announce_reply(&mut self, from: usize) {
        let peers = self.hosts.iter().enumerate().filter(|(index, host)| *index != from && !host.gone);
        let reply = AnnounceReply {
            interval: Duration::from_secs(120),
            min_interval: Some(Duration::from_secs(30)),
            complete: None,
            incomplete: None,
            peers: peers.map(|(_, host)| host.addr).collect(),
            warning: None,
        };
        self.input(from, Input::TrackerReply { tracker: 0, result: Box::new(Ok(reply)) });
    }

    /// The host is gone without a word; its peers learn of it after one latency.
    pub fn kill(&mut self, host: usize) {
        self.hosts[host].gone = true;
        for (other, theirs) in std::mem::take(&mut self.hosts[host].links).into_values() {
            let closed = Input::Closed { conn: theirs, why: Disconnect::Reset };
            self.plan(self.now + LATENCY, Happening::To(other, closed));
        }
    }

    pub fn count(&self, host: usize, wanted: impl Fn(&Event) -> bool) -> usize {
        self.hosts[host].events.iter().filter(|(_, event)| wanted(event)).count()
    }
}
