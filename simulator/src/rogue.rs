//! Peers that speak raw wire at random: within what the protocol allows, however odd, or beyond it.
//!
//! They join like others (announce, dial whom the tracker names, take who dials them), tell and serve what they have, and
//! then say something at random now and then. `odd-peer` keeps to the rules of BEP 3, 6, 10 and 11; `hostile-peer` also
//! says what they forbid. Scenarios name them as `hosts.<class>.node`; checkers hold them to nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{Disconnect, Input, Misuse, Node, Outbox, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::Setup;
use torrentlab_engine::tracker::{Announce, AnnounceEvent, AnnounceRequest};
use torrentlab_engine::units::{BLOCK_LEN, Block, ConnId, Geometry, InfoHash, PeerId, PieceIndex};
use torrentlab_engine::wire::{Contact, ExtensionHandshake, Message, Payload, PeerExchange, Reserved};

use crate::registry::Registry;

/// The mean time from one thing that it says on a connection to the next.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest run of equal messages.
const LONGEST_BURST: u64 = 40;
/// Whom it dials at most.
const DIALS: usize = 8;
/// Requests of a peer that it keeps to answer later.
const KEPT_REQUESTS: usize = 64;

/// How far it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Keeps to the protocol.
    Odd,
    /// Breaks it.
    Hostile,
}

/// Adds both sorts to a registry.
pub(crate) fn register(registry: &mut Registry) {
    for (name, manner) in [("odd-peer", Manner::Odd), ("hostile-peer", Manner::Hostile)] {
        registry.register_rogue(name, move |setup, now| Box::new(Rogue::new(setup, manner, now)));
    }
}

/// A peer that speaks at random.
#[derive(Debug)]
pub struct Rogue {
    manner: Manner,
    info_hash: InfoHash,
    geometry: Geometry,
    peer_id: PeerId,
    port: u16,
    have: Bitfield,
    dice: Dice,
    announce_at: Instant,
    announced: bool,
    dials: Vec<SocketAddr>,
    conns: BTreeMap<ConnId, Conn>,
}

/// What it knows of a connection.
#[derive(Debug, Default)]
struct Conn {
    /// The handshake is done.
    open: bool,
    fast: bool,
    extended: bool,
    choked_by: bool,
    choking: bool,
    interested: bool,
    theirs: Vec<PieceIndex>,
    /// What the other side asked for and was not answered.
    asked: Vec<Block>,
    /// What the other side was asked for.
    asking: Vec<Block>,
    /// The number that the other side gave to peer exchange.
    exchange: Option<u8>,
    speaks_at: Option<Instant>,
}

impl Rogue {
    /// A peer in the place of what `setup` describes, that joins at `now`.
    pub fn new(setup: Setup, manner: Manner, now: Instant) -> Self {
        Self {
            manner,
            info_hash: setup.info_hash,
            geometry: setup.geometry,
            peer_id: setup.config.peer_id,
            port: setup.config.listen_port,
            have: setup.have,
            dice: setup.dice.dial,
            announce_at: now,
            announced: false,
            dials: Vec::new(),
            conns: BTreeMap::new(),
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.dice.below(one_in) == 0
    }

    fn announce(&mut self, now: Instant, out: &mut Outbox) {
        let event = if self.announced { AnnounceEvent::Regular } else { AnnounceEvent::Started };
        self.announced = true;
        self.announce_at = now + Duration::from_secs(1800);
        let request = AnnounceRequest {
            info_hash: self.info_hash,
            peer_id: self.peer_id,
            port: self.port,
            uploaded: 0,
            downloaded: 0,
            left: 1,
            event,
            numwant: Some(DIALS as u32),
            key: 0,
        };
        out.push(Output::Announce(Announce { tracker: 0, request: Box::new(request) }));
    }

    fn connected(&mut self, conn: ConnId, out: &mut Outbox) {
        let hostile = self.manner == Manner::Hostile;
        let mut reserved = Reserved::OURS;
        if self.chance(3) {
            reserved.0[7] = 0;
        }
        if self.chance(4) {
            reserved.0[5] = 0;
        }
        let mut info_hash = self.info_hash;
        if hostile && self.chance(12) {
            info_hash.0[0] ^= 1;
        }
        let state = Conn {
            fast: reserved.fast(),
            extended: reserved.extended(),
            choking: true,
            choked_by: true,
            ..Conn::default()
        };
        self.conns.insert(conn, state);
        if hostile && self.chance(10) {
            // It says nothing at all, and holds the connection.
            return;
        }
        out.send(conn, Message::Hello { reserved, info_hash });
        let mut id = self.peer_id;
        if self.chance(4) {
            self.dice.fill(&mut id.0[12..]);
        }
        out.send(conn, Message::PeerId(id));
    }

    fn opened(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let exchange = self.chance(2);
        let next = now + self.pause();
        let Some(state) = self.conns.get_mut(&conn) else { return };
        (state.open, state.speaks_at) = (true, Some(next));
        let (fast, extended) = (state.fast, state.extended);
        match self.dice.below(4) {
            // BEP 3 lets the bitfield out, and BEP 6 has HaveNone for who has nothing.
            0 if !fast => {}
            0 if self.have.count() == 0 => out.send(conn, Message::HaveNone),
            // All of it piece by piece.
            1 if fast => {
                out.send(conn, Message::HaveNone);
                self.have.iter().for_each(|piece| out.send(conn, Message::Have(piece)));
            }
            _ if self.have.is_full() && fast => out.send(conn, Message::HaveAll),
            _ => out.send(conn, Message::Bitfield(self.have.to_wire().into())),
        }
        if extended {
            let mut handshake = ExtensionHandshake::default();
            if exchange {
                handshake.messages.insert("ut_pex".to_owned(), 200);
            }
            handshake.reqq = Some(1 + self.dice.below(60) as u32);
            out.send(conn, Message::Extended { id: 0, payload: handshake.encode() });
        }
    }

    fn on_message(&mut self, conn: ConnId, message: Message, now: Instant, out: &mut Outbox) {
        let pieces = self.geometry.pieces();
        let Some(state) = self.conns.get_mut(&conn) else { return };
        match message {
            Message::Hello { reserved, .. } => {
                state.fast &= reserved.fast();
                state.extended &= reserved.extended();
            }
            Message::PeerId(_) => self.opened(conn, now, out),
            Message::Choke => {
                state.choked_by = true;
                if !state.fast {
                    state.asking.clear();
                }
            }
            Message::Unchoke => state.choked_by = false,
            Message::Have(piece) => state.theirs.push(piece),
            Message::HaveAll => state.theirs = (0..pieces).map(PieceIndex).collect(),
            Message::Bitfield(bits) => {
                let bits = Bitfield::from_wire(&bits, pieces);
                state.theirs = bits.iter().flat_map(Bitfield::iter).collect();
            }
            Message::Request(block) if state.asked.len() < KEPT_REQUESTS => state.asked.push(block),
            Message::Cancel(block) => state.asked.retain(|asked| *asked != block),
            Message::Piece { block, .. } | Message::Reject(block) => {
                state.asking.retain(|asked| *asked != block)
            }
            Message::Extended { id: 0, payload } => {
                state.exchange =
                    ExtensionHandshake::decode(&payload).ok().and_then(|h| h.messages.get("ut_pex").copied());
            }
            _ => {}
        }
        if let Some(state) = self.conns.get_mut(&conn).filter(|state| !state.asked.is_empty()) {
            // Whoever asks is answered soon, as a rule.
            let soon = now + Duration::from_millis(20);
            state.speaks_at = state.speaks_at.map(|at| at.min(soon));
        }
    }

    fn pause(&mut self) -> Duration {
        Duration::from_nanos(1 + self.dice.below(2 * PAUSE.as_nanos()))
    }

    /// Says something on every connection that is due.
    fn speak(&mut self, now: Instant, out: &mut Outbox) {
        let is_due =
            |(conn, state): (&ConnId, &Conn)| state.speaks_at.is_some_and(|at| at <= now).then_some(*conn);
        let due: Vec<ConnId> = self.conns.iter().filter_map(is_due).collect();
        for conn in due {
            self.answer(conn, out);
            let hostile = self.manner == Manner::Hostile;
            if hostile && self.chance(4) {
                self.break_rules(conn, out);
            } else {
                self.say_something(conn, out);
            }
            let next = now + self.pause();
            if let Some(state) = self.conns.get_mut(&conn) {
                state.speaks_at = Some(next);
            }
        }
    }

    /// Answers what it was asked for: with the block, a reject, or not at all.
    fn answer(&mut self, conn: ConnId, out: &mut Outbox) {
        let refuses = self.chance(8);
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let (fast, choking) = (state.fast, state.choking);
        for block in std::mem::take(&mut state.asked) {
            let serves = self.have.has(block.piece) && self.geometry.holds(block) && !choking && !refuses;
            if serves {
                out.push(Output::SendBlock { conn, block });
            } else if fast {
                out.send(conn, Message::Reject(block));
            }
        }
    }

    /// Something that the protocol allows.
    fn say_something(&mut self, conn: ConnId, out: &mut Outbox) {
        let times = if self.chance(6) { 1 + self.dice.below(LONGEST_BURST) } else { 1 };
        let piece = self.piece();
        let what = self.dice.below(16);
        let own = self.dice.index(self.have.count() as usize).and_then(|nth| self.have.iter().nth(nth));
        let Some(state) = self.conns.get_mut(&conn).filter(|state| state.open) else { return };
        match what {
            0 => (0..times).for_each(|_| out.send(conn, Message::KeepAlive)),
            // Said again, both mean the same.
            1 | 2 => {
                state.choking = false;
                (0..times).for_each(|_| out.send(conn, Message::Unchoke));
            }
            3 => {
                state.choking = true;
                if !state.fast {
                    state.asked.clear();
                }
                out.send(conn, Message::Choke);
            }
            4 | 5 => {
                state.interested = true;
                (0..times).for_each(|_| out.send(conn, Message::Interested));
            }
            6 => {
                state.interested = false;
                out.send(conn, Message::NotInterested);
            }
            7 => out.send(conn, Message::Port(6881)),
            8 if state.fast => out.send(conn, Message::Suggest(piece)),
            9 if state.fast => out.send(conn, Message::AllowedFast(piece)),
            // Told again, it is no news.
            10 => own.iter().for_each(|piece| out.send(conn, Message::Have(*piece))),
            11 => {
                if let (Some(id), Ok(addr)) = (state.exchange, "203.0.113.9:6881".parse()) {
                    let added = vec![Contact { addr, flags: Default::default() }];
                    let told = PeerExchange { added, dropped: Vec::new() };
                    out.send(conn, Message::Extended { id, payload: told.encode() });
                }
            }
            12 if state.extended => {
                let payload = ExtensionHandshake::default().encode();
                out.send(conn, Message::Extended { id: 0, payload });
            }
            _ => self.ask(conn, times, out),
        }
    }

    /// Asks for blocks, of any length that is served, and takes some of that back.
    fn ask(&mut self, conn: ConnId, times: u64, out: &mut Outbox) {
        for _ in 0..times {
            let Some(state) = self.conns.get(&conn).filter(|state| !state.choked_by) else { return };
            let Some(&piece) = self.dice.index(state.theirs.len()).map(|nth| &state.theirs[nth]) else {
                return;
            };
            if !self.geometry.contains(piece) {
                continue;
            }
            let len = self.geometry.len_of(piece);
            let begin = self.dice.below(u64::from(len)) as u32;
            let most = (len - begin).min(2 * BLOCK_LEN);
            let block = Block { piece, begin, len: 1 + self.dice.below(u64::from(most)) as u32 };
            let block = Block { len: block.len.min(len - begin), ..block };
            let takes_back = self.chance(4);
            let Some(state) = self.conns.get_mut(&conn).filter(|state| !state.asking.contains(&block)) else {
                return;
            };
            if !state.interested {
                state.interested = true;
                out.send(conn, Message::Interested);
            }
            state.asking.push(block);
            out.send(conn, Message::Request(block));
            if takes_back {
                out.send(conn, Message::Cancel(block));
            }
        }
    }

    /// Something that it forbids.
    fn break_rules(&mut self, conn: ConnId, out: &mut Outbox) {
        let piece = self.piece();
        let beyond = PieceIndex(self.geometry.pieces().saturating_add(self.dice.below(1 << 20) as u32));
        let block = Block { piece, begin: 0, len: BLOCK_LEN.min(self.geometry.len_of(piece)) };
        let huge = Block { piece, begin: u32::MAX - 5, len: u32::MAX };
        let times = 1 + self.dice.below(LONGEST_BURST);
        let garbage = self.garbage();
        let mut say = |message: Message| out.send(conn, message);
        match self.dice.below(16) {
            0 => say(Message::Have(beyond)),
            1 => say(Message::Have(piece)),
            2 => say(Message::Bitfield(garbage)),
            3 => say(Message::HaveAll),
            4 => say(Message::HaveNone),
            5 => say(Message::Request(huge)),
            6 => (0..times).for_each(|_| say(Message::Request(block))),
            7 => say(Message::Request(Block { len: 0, ..block })),
            8 => say(Message::Request(Block { piece: beyond, ..block })),
            // A block that nobody asked for, or not for these bytes.
            9 | 10 => {
                let payload = Payload::Bytes(vec![7; block.len as usize].into());
                say(Message::Piece { block, payload });
            }
            11 => say(Message::Piece {
                block: Block { len: 3, ..block },
                payload: Payload::Bytes(Bytes::from_static(b"abc")),
            }),
            12 => (0..times).for_each(|_| say(Message::Reject(block))),
            13 => say(Message::Cancel(huge)),
            14 => {
                let id = self.dice.below(4) as u8;
                out.send(conn, Message::Extended { id, payload: garbage });
            }
            _ => match self.dice.below(4) {
                0 => say(Message::Unknown(99)),
                1 => say(Message::Hello { reserved: Reserved::OURS, info_hash: self.info_hash }),
                2 => say(Message::AllowedFast(beyond)),
                _ => {
                    self.conns.remove(&conn);
                    out.push(Output::Close { conn, why: Disconnect::Shutdown });
                }
            },
        }
    }

    fn piece(&mut self) -> PieceIndex {
        PieceIndex(self.dice.below(u64::from(self.geometry.pieces())) as u32)
    }

    fn garbage(&mut self) -> Bytes {
        let mut bytes = vec![0; self.dice.below(64) as usize];
        self.dice.fill(&mut bytes);
        bytes.into()
    }
}

impl Node for Rogue {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        match input {
            Input::Connected { conn, .. } => self.connected(conn, out),
            Input::Message { conn, message } => self.on_message(conn, message, now, out),
            Input::Closed { conn, .. } => _ = self.conns.remove(&conn),
            Input::TrackerReply { result, .. } => match *result {
                Ok(reply) => {
                    self.announce_at = now + reply.interval;
                    for addr in reply.peers.into_iter().take(DIALS) {
                        if !self.dials.contains(&addr) && self.dials.len() < DIALS {
                            self.dials.push(addr);
                            out.push(Output::Dial(addr));
                        }
                    }
                }
                Err(_) => self.announce_at = now + Duration::from_secs(60),
            },
            Input::Shutdown => {
                self.announce_at = Instant::NEVER;
                for conn in std::mem::take(&mut self.conns).into_keys() {
                    out.push(Output::Close { conn, why: Disconnect::Shutdown });
                }
            }
            Input::Timeout => {
                if self.announce_at <= now {
                    self.announce(now, out);
                }
                self.speak(now, out);
            }
            _ => {}
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let speaks = self.conns.values().filter_map(|state| state.speaks_at).min();
        let announces = (self.announce_at < Instant::NEVER).then_some(self.announce_at);
        speaks.into_iter().chain(announces).min()
    }
}
