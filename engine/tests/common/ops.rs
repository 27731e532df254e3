//! A torrent driven by a list of operations that is read off arbitrary bytes: a driver that keeps the contract, and
//! peers that keep to nothing. What the torrent answers is checked against what it may answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::choker::{Standard, StandardConfig};
use torrentlab_engine::node::{
    DialFailure, Disconnect, Event, Input, Limits, Node, Outbox, Output, StorageOp,
};
use torrentlab_engine::picker::RarestFirst;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::{Config, Setup, Streams, Torrent};
use torrentlab_engine::tracker::{AnnounceReply, TrackerFailure};
use torrentlab_engine::units::{BLOCK_LEN, Block, ConnId, ConnSlots, Geometry, InfoHash, PeerId, PieceIndex};
use torrentlab_engine::wire::{
    Contact, ContactFlags, ExtensionHandshake, Message, Payload, PeerExchange, Reserved,
};

const PIECES: u32 = 9;
const ROOM: u32 = 40_000;

/// What the driver knows of one connection.
#[derive(Default)]
struct Link {
    has: BTreeSet<PieceIndex>,
    opened: bool,
    choking: bool,
    allowed: BTreeSet<PieceIndex>,
    asked: BTreeMap<Block, u32>,
    in_socket: u32,
    /// Under which id it wants to hear of peers, of whom it heard, and when it last did.
    exchange: u8,
    contacts: BTreeSet<SocketAddr>,
    told_at: Option<Instant>,
}

struct Driver<'a> {
    bytes: std::slice::Iter<'a, u8>,
    now: Instant,
    torrent: Torrent,
    geometry: Geometry,
    conns: ConnSlots,
    links: BTreeMap<ConnId, Link>,
    dials: Vec<SocketAddr>,
    announces: usize,
    checks: Vec<PieceIndex>,
    fast: bool,
    stopped: bool,
    seen: BTreeSet<&'static str>,
}

/// Runs the operations that `bytes` stand for, and gives what the torrent was seen to do.
pub fn drive(bytes: &[u8]) -> BTreeSet<&'static str> {
    let mut driver = Driver::new(bytes);
    while let Some(&op) = driver.bytes.next() {
        driver.step(op);
        driver.torrent.check_invariants();
        assert!(driver.links.len() <= 6, "more connections than allowed");
    }
    driver.seen
}

impl Link {
    /// A message of peer exchange tells what is news, and not too often.
    fn is_told(&mut self, id: u8, payload: &[u8], now: Instant) {
        assert_eq!(id, self.exchange, "the id that the peer wants it under");
        let last = self.told_at.replace(now);
        assert!(last.is_none_or(|last| now.since(last) >= Duration::from_secs(60)), "twice in a minute");
        let news = PeerExchange::decode(payload).expect("a message of peer exchange");
        assert!(!news.is_empty());
        for addr in &news.dropped {
            assert!(self.contacts.remove(addr), "{addr} is dropped and was not added");
        }
        for contact in &news.added {
            assert!(!news.dropped.contains(&contact.addr), "{} comes and goes", contact.addr);
            assert!(self.contacts.insert(contact.addr), "{} is added twice", contact.addr);
        }
    }
}

/// What a peer tells of others, told by one byte.
fn contacts(byte: u8) -> PeerExchange {
    let addr = |n| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 6881);
    let added = (0..byte % 8).map(|n| Contact { addr: addr(n), flags: ContactFlags(byte) });
    PeerExchange { added: added.collect(), dropped: vec![addr(byte)] }
}

impl<'a> Driver<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut bytes = bytes.iter();
        let flags = bytes.next().copied().unwrap_or(0);
        // The last piece has one whole block and a short one.
        let geometry =
            Geometry::new(u64::from(PIECES) * 3 * u64::from(BLOCK_LEN) - 20_000, 3 * BLOCK_LEN).unwrap();
        let mut config = Config::new(PeerId(*b"-TL0100-ourselves000"), 6881);
        config.max_connections = 6;
        config.dial_target = 4;
        config.fast = flags & 1 == 0;
        config.allowed_fast = usize::from(flags >> 1 & 3);
        config.endgame = flags & 8 == 0;
        config.super_seeding = flags & 16 != 0;
        config.max_queued = 20;
        if flags & 32 != 0 {
            config.limits = Limits { up: Some(20_000), down: Some(30_000), ..Limits::default() };
        }
        let have = if flags & 64 != 0 { Bitfield::all(PIECES) } else { Bitfield::none(PIECES) };
        let mut dice = Streams::new(7, "fuzzed", 0);
        let choker = Box::new(Standard::new(StandardConfig::default(), Instant::ZERO, &mut dice.choker));
        let setup = Setup {
            info_hash: InfoHash([1; 20]),
            geometry,
            tiers: vec![1, 1],
            have,
            config,
            picker: Box::new(RarestFirst::default()),
            choker,
            dice,
        };
        Self {
            bytes,
            now: Instant::ZERO,
            torrent: Torrent::new(setup, Instant::ZERO),
            geometry,
            conns: ConnSlots::default(),
            links: BTreeMap::new(),
            dials: Vec::new(),
            announces: 0,
            checks: Vec::new(),
            fast: flags & 1 == 0,
            stopped: false,
            seen: BTreeSet::new(),
        }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    fn conn(&mut self) -> Option<ConnId> {
        let nth = usize::from(self.byte());
        let count = self.links.len();
        self.links.keys().nth(nth.checked_rem(count)?).copied()
    }

    fn step(&mut self, op: u8) {
        match op % 16 {
            0 => {
                let addr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.byte() % 8)), 50_000);
                self.connected(addr, false);
            }
            1 => {
                if let Some(addr) = self.dials.pop() {
                    if self.byte().is_multiple_of(2) {
                        self.connected(addr, true);
                    } else {
                        self.input(Input::DialFailed { addr, why: DialFailure::Refused });
                    }
                }
            }
            2..=8 => {
                if let Some(conn) = self.conn() {
                    let message = self.message(conn);
                    self.note(conn, &message);
                    self.input(Input::Message { conn, message });
                }
            }
            9 => {
                if let Some(conn) = self.conn() {
                    let link = self.links.get_mut(&conn).unwrap();
                    let bytes = std::mem::take(&mut link.in_socket);
                    self.input(Input::Writable { conn, bytes });
                }
            }
            10 => {
                if let Some(conn) = self.conn() {
                    self.links.remove(&conn);
                    self.conns.close(conn);
                    self.input(Input::Closed { conn, why: Disconnect::Reset });
                }
            }
            11 => self.tracker_reply(),
            12 => {
                let skip = [1, 100, 1_000, 10_000, 61_000, 200_000][usize::from(self.byte()) % 6];
                let end = self.now + Duration::from_millis(skip);
                for _ in 0..200 {
                    let Some(due) = self.torrent.poll_timeout().filter(|due| *due <= end) else { break };
                    self.now = self.now.max(due);
                    self.input(Input::Timeout);
                }
                self.now = self.now.max(end);
            }
            _ => self.storage(),
        }
    }

    fn connected(&mut self, addr: SocketAddr, outgoing: bool) {
        let conn = self.conns.open();
        self.links.insert(conn, Link { choking: true, ..Link::default() });
        self.input(Input::Connected { conn, addr, outgoing, room: ROOM });
        if !self.byte().is_multiple_of(4) && self.links.contains_key(&conn) {
            // Most get through the handshake, else little else is reached.
            let id = PeerId([self.byte() % 6; 20]);
            let hello = Message::Hello { reserved: Reserved::OURS, info_hash: InfoHash([1; 20]) };
            self.input(Input::Message { conn, message: hello });
            self.input(Input::Message { conn, message: Message::PeerId(id) });
        }
    }

    fn piece(&mut self) -> PieceIndex {
        // Now and then out of range.
        PieceIndex(u32::from(self.byte()) % (PIECES + 1))
    }

    fn block(&mut self) -> Block {
        let piece = self.piece();
        let shape = self.byte();
        let begin = u32::from(shape % 4) * BLOCK_LEN + u32::from(shape / 128);
        let len = match shape / 4 % 8 {
            0 => u32::from(self.byte()) * 1_000,
            1 => u32::MAX,
            _ if self.geometry.contains(piece) => self.geometry.block(piece, u32::from(shape % 4).min(2)).len,
            _ => BLOCK_LEN,
        };
        Block { piece, begin, len }
    }

    fn message(&mut self, conn: ConnId) -> Message {
        match self.byte() % 40 {
            0 => Message::Hello { reserved: Reserved::default(), info_hash: InfoHash([self.byte() % 2; 20]) },
            1 => Message::PeerId(PeerId([self.byte(); 20])),
            2 => Message::KeepAlive,
            3 => Message::Choke,
            4 | 5 => Message::Unchoke,
            6 | 7 => Message::Interested,
            8 => Message::NotInterested,
            9 | 10 => Message::Have(self.piece()),
            11 => Message::Bitfield(vec![self.byte(); if self.byte() == 0 { 3 } else { 2 }].into()),
            12 | 13 => Message::Request(self.block()),
            14..=16 => self.answer(conn),
            17 => Message::Cancel(self.block()),
            18 => Message::Suggest(self.piece()),
            19 => Message::HaveAll,
            20 => Message::HaveNone,
            21 => Message::Reject(self.asked(conn)),
            22 => Message::AllowedFast(self.piece()),
            23 if self.byte().is_multiple_of(4) => Message::Unknown(99),
            25..40 => self.answer(conn),
            _ => {
                let number = self.byte();
                let reqq = Some(u32::from(number));
                let upload_only = self.byte().is_multiple_of(8);
                let hello = ExtensionHandshake {
                    reqq,
                    upload_only,
                    port: Some(7_000),
                    messages: [(PeerExchange::NAME.to_owned(), number % 4)].into(),
                    ..ExtensionHandshake::default()
                };
                let garbage = self.byte() == 0;
                let id = self.byte() % 2;
                let payload = match id {
                    _ if garbage => vec![b'd'].into(),
                    0 => hello.encode(),
                    _ => contacts(number).encode(),
                };
                Message::Extended { id, payload }
            }
        }
    }

    /// A block that the torrent asked this peer for, or any block.
    fn asked(&mut self, conn: ConnId) -> Block {
        let link = &self.links[&conn];
        match link.asked.keys().next().copied() {
            Some(block) => block,
            None => self.block(),
        }
    }

    fn answer(&mut self, conn: ConnId) -> Message {
        let block = if self.byte().is_multiple_of(16) { self.block() } else { self.asked(conn) };
        let tag = u64::from(self.byte().is_multiple_of(8));
        let block = Block { len: block.len.min(1 << 17), ..block };
        Message::Piece { block, payload: Payload::Synthetic { len: block.len, tag } }
    }

    fn note(&mut self, conn: ConnId, message: &Message) {
        let all = || (0..PIECES).map(PieceIndex);
        let Some(link) = self.links.get_mut(&conn) else { return };
        match message {
            Message::Choke => {
                link.choking = true;
                if !self.fast {
                    // Without the Fast extension a choke drops all requests.
                    link.asked.clear();
                }
            }
            Message::Unchoke => link.choking = false,
            Message::Have(piece) => drop(link.has.insert(*piece)),
            Message::HaveAll => link.has.extend(all()),
            Message::Bitfield(bits) => {
                link.has.extend(
                    Bitfield::from_wire(bits, PIECES).iter().flat_map(Bitfield::iter).collect::<Vec<_>>(),
                );
            }
            Message::AllowedFast(piece) => drop(link.allowed.insert(*piece)),
            Message::Extended { id: 0, payload } => {
                let id = ExtensionHandshake::decode(payload).map(|hello| hello.messages[PeerExchange::NAME]);
                link.exchange = id.unwrap_or_default();
            }
            Message::Piece { block, .. } | Message::Reject(block) => drop(link.asked.remove(block)),
            _ => {}
        }
    }

    fn tracker_reply(&mut self) {
        if self.announces == 0 {
            return;
        }
        self.announces -= 1;
        let result = if self.byte().is_multiple_of(4) {
            Err(TrackerFailure::TimedOut)
        } else {
            let ip = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
            Ok(AnnounceReply {
                interval: Duration::from_secs(u64::from(self.byte())),
                min_interval: None,
                complete: None,
                incomplete: None,
                peers: (0..self.byte() % 10).map(|last| SocketAddr::new(ip(last), 6881)).collect(),
                warning: None,
            })
        };
        let tracker = usize::from(self.byte() % 2);
        self.input(Input::TrackerReply { tracker, result: Box::new(result) });
    }

    fn storage(&mut self) {
        match self.byte() % 64 {
            0 if !self.checks.is_empty() => {
                let piece = self.checks.pop().unwrap();
                self.input(Input::StorageFailed { op: StorageOp::Check(piece), why: "disk full".to_owned() });
            }
            3 => {
                while let Some(piece) = self.checks.pop() {
                    let op = StorageOp::Write(self.geometry.block(piece, 0));
                    self.input(Input::StorageFailed { op, why: "disk full".to_owned() });
                }
                self.input(Input::StorageRestored);
            }
            1 => self.input(Input::SetLimits(Limits { up: Some(1_000), ..Limits::default() })),
            2 if self.byte() == 7 => self.input(Input::Shutdown),
            _ => {
                if let Some(piece) = self.checks.pop() {
                    let blocks = self.geometry.blocks_in(piece);
                    let digests: Vec<u64> =
                        (0..blocks).map(|_| u64::from(self.byte().is_multiple_of(16))).collect();
                    let ok = digests.iter().all(|digest| *digest == 0);
                    self.input(Input::PieceChecked { piece, ok, digests });
                }
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.stopped |= matches!(input, Input::Shutdown);
        let mut out = Outbox::default();
        self.torrent.handle(self.now, input, &mut out).expect("the driver keeps the contract");
        let mut outputs = Vec::new();
        out.take(&mut outputs);
        for output in outputs {
            self.output(output, &out);
        }
    }

    fn output(&mut self, output: Output, out: &Outbox) {
        self.seen.insert(name_of(&output));
        match output {
            Output::Dial(addr) => self.dials.push(addr),
            Output::Send { conn, message } => self.sent(conn, &message),
            Output::Broadcast { piece, targets } => {
                assert!(self.torrent.have().has(piece), "announced {piece} without having it");
                out.targets(targets)
                    .iter()
                    .for_each(|conn| assert!(self.links.contains_key(conn), "{conn:?} is dead"));
            }
            Output::SendBlock { conn, block } => {
                assert!(
                    self.geometry.holds(block) && self.torrent.have().has(block.piece),
                    "serves {block:?}"
                );
                let link = self.links.get_mut(&conn).expect("a block for a dead connection");
                link.in_socket += block.len + 13;
                assert!(link.in_socket <= ROOM.max(block.len + 13), "more than the socket buffer takes");
            }
            Output::CancelBlock { conn, .. } => assert!(self.links.contains_key(&conn)),
            Output::Close { conn, .. } => {
                assert!(self.links.remove(&conn).is_some(), "{conn:?} is closed twice");
                self.conns.close(conn);
            }
            Output::Announce(announce) => {
                assert!(announce.tracker < 2);
                self.announces += 1;
            }
            Output::WriteBlock { block, payload } => assert_eq!(block.len, payload.len()),
            Output::CheckPiece { piece, .. } => self.checks.push(piece),
            Output::Event(Event::StorageFailed(why)) => assert_eq!(why, "disk full"),
            Output::Event(_) => {}
        }
    }

    fn sent(&mut self, conn: ConnId, message: &Message) {
        assert!(!self.stopped, "a message after the end");
        let link = self.links.get_mut(&conn).expect("a message to a dead connection");
        match message {
            Message::Hello { .. } => assert!(!std::mem::replace(&mut link.opened, true), "two handshakes"),
            _ => assert!(link.opened, "{message:?} before the handshake"),
        }
        match message {
            Message::Request(block) => {
                assert!(
                    !link.choking || link.allowed.contains(&block.piece),
                    "{block:?} of a peer that chokes us"
                );
                assert!(link.has.contains(&block.piece), "{block:?} of a peer that lacks it");
                assert_eq!(
                    *block,
                    self.geometry.block(block.piece, block.begin / BLOCK_LEN),
                    "not a block of ours"
                );
                assert_eq!(link.asked.insert(*block, 1), None, "{block:?} twice of one peer");
            }
            Message::Cancel(block) => drop(link.asked.remove(block)),
            Message::Have(piece) => assert!(self.torrent.have().has(*piece)),
            Message::Extended { id, payload } if *id != 0 => link.is_told(*id, payload, self.now),
            Message::Piece { .. } => panic!("blocks are sent by name"),
            _ => {}
        }
    }
}

/// What is to be seen of a torrent.
fn name_of(output: &Output) -> &'static str {
    match output {
        Output::Dial(_) => "dial",
        Output::Send { message: Message::Request(_), .. } => "request",
        Output::Send { message: Message::Cancel(_), .. } => "cancel",
        Output::Send { message: Message::Reject(_), .. } => "reject",
        Output::Send { message: Message::Unchoke, .. } => "unchoke",
        Output::Send { message: Message::Extended { id: 1.., .. }, .. } => "exchange",
        Output::Send { .. } => "send",
        Output::Broadcast { .. } => "have",
        Output::SendBlock { .. } => "block",
        Output::CancelBlock { .. } => "cancel-block",
        Output::Close { .. } => "close",
        Output::Announce(_) => "announce",
        Output::WriteBlock { .. } => "write",
        Output::CheckPiece { digests, .. } => {
            if *digests {
                "check-again"
            } else {
                "check"
            }
        }
        Output::Event(event) => match event {
            Event::HashFailed(_) => "hash-failed",
            Event::Banned(_) => "banned",
            Event::Snubbed(_) => "snubbed",
            Event::EndgameEntered => "endgame",
            Event::Completed => "completed",
            Event::PeersHeardOf { .. } => "heard",
            Event::DuplicateBlock(_) => "duplicate",
            Event::UnexpectedBlock(_) => "unexpected",
            _ => "event",
        },
    }
}
