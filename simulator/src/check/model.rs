//! The swarm as it must be, by what its hosts were told and what they did: nothing in here is taken from an engine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Output, StorageOp};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{BLOCK_LEN, Block, ConnId, Geometry, PieceIndex};
use torrentlab_engine::wire::{ExtensionHandshake, Message, Reserved};
use torrentlab_scenarios::schema::FaultKind;

use super::facts::Facts;
use crate::fault::{Action, What};
use crate::watch::Scene;

/// All hosts, and what is the matter.
#[derive(Debug)]
pub(super) struct Model {
    pub scene: Scene,
    pub hosts: Vec<Host>,
    facts: Vec<Facts>,
    /// Faults that are under way, by their position in the plan.
    pub under_way: BTreeSet<u32>,
    /// When a fault last began or ended, and one that is about the tracker.
    pub disturbed_at: Instant,
    pub tracker_disturbed_at: Option<Instant>,
    /// When somebody last came.
    pub came_at: Instant,
    /// Somebody came with some of the pieces.
    pub came_with_some: bool,
    /// When anybody last stored a block that it lacked.
    pub progress_at: Instant,
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub class: u16,
    pub exempt: bool,
    pub present: bool,
    /// Whether it came with everything.
    pub original_seed: bool,
    /// The pieces that it came with or has checked.
    pub have: Bitfield,
    /// Since when it has everything.
    pub complete_at: Option<Instant>,
    /// By slot.
    conns: Vec<Option<Conn>>,
    pub open: usize,
    partials: BTreeMap<PieceIndex, Partial>,
    /// Blocks of missing pieces that are not there and that nobody is asked for.
    pub free: u64,
    /// Pieces of which nothing was ever asked for.
    pub untouched: BTreeSet<PieceIndex>,
    /// When it last stored a block that it lacked; when it came, until then.
    pub progress_at: Instant,
    /// Until when somebody unchoked it, as far as it knows.
    pub unchoked_at: Instant,
    /// Nothing can be stored.
    pub storage_failed: bool,
}

/// A piece under way.
#[derive(Debug)]
pub(super) struct Partial {
    pub blocks: Vec<BlockState>,
}

/// A block of a piece under way.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct BlockState {
    /// It was stored.
    pub done: bool,
    /// On so many connections it is asked for.
    pub asked: u8,
    /// So often it was asked for in all.
    pub times: u8,
}

/// A connection, as the host at this end of it has seen it.
#[derive(Debug)]
pub(super) struct Conn {
    pub id: ConnId,
    pub addr: SocketAddr,
    /// The host at the other end.
    pub peer: Option<u32>,
    pub outgoing: bool,
    pub since: Instant,
    /// When this host last heard anything on it.
    pub heard_at: Instant,
    /// What this host has said so far, and what it has heard.
    pub said: Progress,
    pub heard: Progress,
    /// The pieces that the other end has announced.
    pub peer_has: Bitfield,
    pub am_choking: bool,
    pub am_interested: bool,
    /// When either of these last changed.
    pub am_interested_at: Instant,
    pub choking: bool,
    /// When the other end last unchoked.
    pub unchoked_at: Instant,
    pub interested: bool,
    /// Requests of this host that are out.
    pub asked: VecDeque<Block>,
    /// Requests of the other end that are not answered.
    pub waiting: VecDeque<Waiting>,
    /// Pieces that the other end serves while it chokes, and that this host does.
    pub allowed: Vec<PieceIndex>,
    pub granted: Vec<PieceIndex>,
    /// Requests that the other end says that it holds.
    pub reqq: usize,
    /// Ids under which the other end has wanted messages of extensions.
    pub extensions: BTreeSet<u8>,
    /// Blocks that came and that were sent.
    pub blocks_in: u64,
    pub blocks_out: u64,
}

/// How far one end of a connection has come with what it says.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Progress {
    pub hello: Option<Reserved>,
    pub peer_id: bool,
    /// It has said something after the handshake.
    pub more: bool,
}

/// A request that is not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub block: Block,
    pub since: Instant,
    /// It was taken back, and may be answered all the same.
    pub cancelled: bool,
}

impl Model {
    pub fn new(scene: Scene) -> Self {
        let sizes = scene.scenario.class_sizes();
        let classes = (0u16..).zip(scene.scenario.hosts.keys());
        let of_hosts = classes.flat_map(|(class, name)| {
            let size = sizes.get(name.as_str()).copied().unwrap_or(0);
            (0..size).map(move |_| class)
        });
        let pieces = scene.geometry.pieces();
        let hosts =
            of_hosts.zip(scene.exempt.iter()).map(|(class, &exempt)| Host::new(class, exempt, pieces));
        Self {
            hosts: hosts.collect(),
            facts: Facts::of(&scene.scenario),
            under_way: BTreeSet::new(),
            disturbed_at: Instant::ZERO,
            tracker_disturbed_at: None,
            came_with_some: false,
            came_at: Instant::ZERO,
            progress_at: Instant::ZERO,
            scene,
        }
    }

    pub fn geometry(&self) -> Geometry {
        self.scene.geometry
    }

    pub fn host(&self, host: u32) -> &Host {
        &self.hosts[host as usize]
    }

    pub fn facts(&self, host: u32) -> &Facts {
        &self.facts[usize::from(self.host(host).class)]
    }

    /// The hosts with their numbers.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Host)> {
        (0..).zip(&self.hosts)
    }

    /// Whether `host` is held to the rules now.
    pub fn is_judged(&self, host: u32) -> bool {
        let host = self.host(host);
        host.present && !host.exempt
    }

    /// Whether whoever is at the other end keeps the rules, as far as is known.
    pub fn is_honest(&self, peer: Option<u32>) -> bool {
        peer.is_some_and(|peer| !self.host(peer).exempt)
    }

    /// The connection of `host`, if it is open.
    pub fn conn(&self, host: u32, conn: ConnId) -> Option<&Conn> {
        self.host(host).conn(conn)
    }

    /// Since when no fault is under way; `None` while one is.
    pub fn quiet_since(&self) -> Option<Instant> {
        self.under_way.is_empty().then_some(self.disturbed_at)
    }

    pub fn came(&mut self, now: Instant, host: u32, have: &Bitfield) {
        let geometry = self.scene.geometry;
        self.came_at = now;
        self.came_with_some |= !have.is_empty() && !have.is_full();
        let Host { class, exempt, .. } = *self.host(host);
        let missing: Vec<PieceIndex> = Bitfield::all(have.len()).minus(have).collect();
        self.hosts[host as usize] = Host {
            present: true,
            original_seed: have.is_full(),
            complete_at: have.is_full().then_some(now),
            have: have.clone(),
            free: missing.iter().map(|&piece| u64::from(geometry.blocks_in(piece))).sum(),
            untouched: missing.into_iter().collect(),
            progress_at: now,
            unchoked_at: now,
            ..Host::new(class, exempt, have.len())
        };
    }

    pub fn went(&mut self, host: u32) {
        self.hosts[host as usize].present = false;
    }

    pub fn fault(&mut self, now: Instant, action: &Action) {
        self.disturbed_at = now;
        let fault = &self.scene.faults.faults[action.fault as usize];
        // Who is taken away for good is one fewer, and that is all.
        let is_over = matches!(fault.kind, FaultKind::Stop | FaultKind::Kill | FaultKind::Vanish)
            && fault.end == Instant::NEVER
            || fault.kind.is_instant();
        if fault.is_about_tracker() {
            self.tracker_disturbed_at = Some(now);
        }
        match action.what {
            What::Begin if !is_over => _ = self.under_way.insert(action.fault),
            What::End => _ = self.under_way.remove(&action.fault),
            _ => {}
        }
    }

    /// In a model of contacts, a host has received a piece.
    pub fn received(&mut self, host: u32, piece: PieceIndex) {
        let host = &mut self.hosts[host as usize];
        _ = host.present && host.have.insert(piece);
    }

    pub fn input(&mut self, now: Instant, host: u32, input: &Input) {
        let geometry = self.scene.geometry;
        match input {
            Input::Connected { conn, addr, outgoing, .. } => {
                let peer = self.scene.names.host_at(*addr);
                let new = Conn::new(*conn, *addr, peer, *outgoing, geometry.pieces(), now);
                self.hosts[host as usize].open_conn(new);
            }
            Input::Closed { conn, .. } => self.hosts[host as usize].close(geometry, *conn, now),
            Input::Message { conn, message } => {
                self.hosts[host as usize].hear(geometry, *conn, message, now);
            }
            Input::PieceChecked { piece, ok, .. } => {
                self.hosts[host as usize].checked(geometry, *piece, *ok, now);
            }
            Input::StorageFailed { op, .. } => match *op {
                StorageOp::Read { conn, block } => {
                    if let Some(conn) = self.hosts[host as usize].conn_mut(conn) {
                        conn.waiting.push_back(Waiting { block, since: now, cancelled: false });
                    }
                }
                StorageOp::Write(Block { piece, .. }) | StorageOp::Check(piece) => {
                    let host = &mut self.hosts[host as usize];
                    host.storage_failed = true;
                    host.lose(piece);
                }
            },
            Input::StorageRestored => {
                let host = &mut self.hosts[host as usize];
                host.storage_failed = false;
                (host.progress_at, host.unchoked_at) = (now, now);
            }
            _ => {}
        }
    }

    pub fn output(&mut self, now: Instant, host: u32, output: &Output) {
        let geometry = self.scene.geometry;
        let state = &mut self.hosts[host as usize];
        match output {
            Output::Send { conn, message } => state.say(geometry, *conn, message, now),
            Output::SendBlock { conn, block } => {
                if let Some(conn) = state.conn_mut(*conn) {
                    conn.answer(*block);
                    conn.blocks_out += 1;
                }
            }
            Output::Close { conn, .. } => state.close(geometry, *conn, now),
            Output::WriteBlock { block, .. } if state.store(geometry, *block) => {
                (state.progress_at, self.progress_at) = (now, now);
            }
            _ => {}
        }
    }
}

impl Host {
    fn new(class: u16, exempt: bool, pieces: u32) -> Self {
        Self {
            class,
            exempt,
            present: false,
            original_seed: false,
            have: Bitfield::none(pieces),
            complete_at: None,
            conns: Vec::new(),
            open: 0,
            partials: BTreeMap::new(),
            free: 0,
            untouched: BTreeSet::new(),
            progress_at: Instant::ZERO,
            unchoked_at: Instant::ZERO,
            storage_failed: false,
        }
    }

    /// Its open connections.
    pub fn conns(&self) -> impl Iterator<Item = &Conn> {
        self.conns.iter().flatten()
    }

    pub fn conn(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(conn.slot())?.as_ref().filter(|open| open.id == conn)
    }

    fn conn_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(conn.slot())?.as_mut().filter(|open| open.id == conn)
    }

    /// The block of a piece under way.
    pub fn block(&self, block: Block) -> BlockState {
        let partial = self.partials.get(&block.piece);
        partial.and_then(|partial| partial.blocks.get(nth(block))).copied().unwrap_or_default()
    }

    /// Whether `block` is stored, checked or not.
    pub fn holds(&self, block: Block) -> bool {
        self.have.has(block.piece) || self.block(block).done
    }

    /// Whether each block of a piece under way is there or asked for.
    pub fn has_all_asked(&self, piece: PieceIndex) -> bool {
        let partial = self.partials.get(&piece);
        partial.is_some_and(|partial| partial.blocks.iter().all(|block| block.done || block.asked > 0))
    }

    /// Whether anybody has unchoked it.
    pub fn is_unchoked(&self) -> bool {
        self.conns().any(|conn| !conn.choking)
    }

    /// Some of the pieces that it lacks.
    pub fn missing(&self) -> Vec<PieceIndex> {
        Bitfield::all(self.have.len()).minus(&self.have).take(8).collect()
    }

    fn open_conn(&mut self, conn: Conn) {
        let slot = conn.id.slot();
        if self.conns.len() <= slot {
            self.conns.resize_with(slot + 1, || None);
        }
        self.open += usize::from(self.conns[slot].is_none());
        self.conns[slot] = Some(conn);
    }

    fn close(&mut self, geometry: Geometry, id: ConnId, now: Instant) {
        if self.conn(id).is_none() {
            return;
        }
        let Some(conn) = self.conns[id.slot()].take() else { return };
        self.open -= 1;
        if !conn.choking {
            self.unchoked_at = now;
        }
        conn.asked.iter().for_each(|&block| self.release(geometry, block));
    }

    fn hear(&mut self, geometry: Geometry, id: ConnId, message: &Message, now: Instant) {
        let Some(conn) = self.conn_mut(id) else { return };
        conn.heard.note(message);
        conn.heard_at = now;
        match message {
            Message::Choke => {
                conn.choking = true;
                self.unchoked_at = now;
                let Some(conn) = self.conn_mut(id).filter(|conn| !conn.fast()) else { return };
                // Without the Fast extension a choke rejects all requests (BEP 6).
                let lost = std::mem::take(&mut conn.asked);
                lost.into_iter().for_each(|block| self.release(geometry, block));
            }
            Message::Unchoke => {
                conn.choking = false;
                conn.unchoked_at = now;
            }
            Message::Interested => conn.interested = true,
            Message::NotInterested => conn.interested = false,
            Message::Have(piece) => _ = geometry.contains(*piece) && conn.peer_has.insert(*piece),
            Message::HaveAll => conn.peer_has = Bitfield::all(geometry.pieces()),
            Message::Bitfield(bits) => {
                if let Some(pieces) = Bitfield::from_wire(bits, geometry.pieces()) {
                    pieces.iter().for_each(|piece| _ = conn.peer_has.insert(piece));
                }
            }
            Message::Request(block) => {
                conn.waiting.retain(|waiting| !(waiting.cancelled && waiting.block == *block));
                conn.waiting.push_back(Waiting { block: *block, since: now, cancelled: false });
            }
            Message::Cancel(block) => {
                let fast = conn.fast();
                let waits = |waiting: &&mut Waiting| waiting.block == *block && !waiting.cancelled;
                if let Some(waiting) = conn.waiting.iter_mut().find(waits) {
                    // With the Fast extension it is to be answered all the same.
                    waiting.cancelled = !fast;
                }
            }
            Message::Piece { block, .. } => {
                conn.blocks_in += 1;
                self.answered(geometry, id, *block);
            }
            Message::Reject(block) => self.answered(geometry, id, *block),
            Message::AllowedFast(piece) if !conn.allowed.contains(piece) => conn.allowed.push(*piece),
            Message::Extended { id: 0, payload } => {
                if let Ok(handshake) = ExtensionHandshake::decode(payload) {
                    conn.reqq = handshake.reqq.map_or(conn.reqq, |reqq| reqq as usize);
                    conn.extensions.extend(handshake.messages.values());
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, geometry: Geometry, id: ConnId, message: &Message, now: Instant) {
        let Some(conn) = self.conn_mut(id) else { return };
        conn.said.note(message);
        match message {
            Message::Choke => {
                conn.am_choking = true;
                if !conn.fast() {
                    conn.waiting.clear();
                }
            }
            Message::Unchoke => conn.am_choking = false,
            Message::Interested | Message::NotInterested => {
                conn.am_interested = *message == Message::Interested;
                conn.am_interested_at = now;
            }
            Message::AllowedFast(piece) => conn.granted.push(*piece),
            Message::Reject(block) => _ = conn.answer(*block),
            Message::Piece { block, .. } => {
                conn.answer(*block);
                conn.blocks_out += 1;
            }
            Message::Request(block) => {
                conn.asked.push_back(*block);
                self.ask(geometry, *block);
            }
            Message::Cancel(block) => self.answered(geometry, id, *block),
            _ => {}
        }
    }

    /// A request is not out any more.
    fn answered(&mut self, geometry: Geometry, id: ConnId, block: Block) {
        let Some(conn) = self.conn_mut(id) else { return };
        if let Some(at) = conn.asked.iter().position(|asked| *asked == block) {
            conn.asked.remove(at);
            self.release(geometry, block);
        }
    }

    fn partial(&mut self, geometry: Geometry, block: Block) -> Option<&mut BlockState> {
        if !geometry.holds(block) || self.have.has(block.piece) {
            return None;
        }
        let partial = self.partials.entry(block.piece).or_insert_with(|| Partial {
            blocks: vec![BlockState::default(); geometry.blocks_in(block.piece) as usize],
        });
        partial.blocks.get_mut(nth(block))
    }

    fn ask(&mut self, geometry: Geometry, block: Block) {
        let Some(state) = self.partial(geometry, block) else { return };
        let was_free = !state.done && state.asked == 0;
        state.asked = state.asked.saturating_add(1);
        state.times = state.times.saturating_add(1);
        self.free = self.free.saturating_sub(u64::from(was_free));
        self.untouched.remove(&block.piece);
    }

    fn release(&mut self, geometry: Geometry, block: Block) {
        let Some(state) = self.partial(geometry, block).filter(|state| state.asked > 0) else { return };
        state.asked -= 1;
        let is_free = !state.done && state.asked == 0;
        self.free += u64::from(is_free);
    }

    /// A block is stored; whether it was missing.
    fn store(&mut self, geometry: Geometry, block: Block) -> bool {
        let Some(state) = self.partial(geometry, block).filter(|state| !state.done) else { return false };
        state.done = true;
        let was_free = state.asked == 0;
        self.free = self.free.saturating_sub(u64::from(was_free));
        self.untouched.remove(&block.piece);
        true
    }

    fn checked(&mut self, geometry: Geometry, piece: PieceIndex, ok: bool, now: Instant) {
        if !geometry.contains(piece) || self.have.has(piece) {
            return;
        }
        if !ok {
            return self.lose(piece);
        }
        let blocks = u64::from(geometry.blocks_in(piece));
        let taken = self.partials.remove(&piece).map_or(0, |partial| {
            partial.blocks.iter().filter(|block| block.done || block.asked > 0).count() as u64
        });
        self.free = self.free.saturating_sub(blocks - taken);
        self.untouched.remove(&piece);
        self.have.insert(piece);
        if self.have.is_full() {
            self.complete_at = Some(now);
        }
    }

    /// What was stored of a piece is gone.
    fn lose(&mut self, piece: PieceIndex) {
        let Some(partial) = self.partials.get_mut(&piece) else { return };
        for block in partial.blocks.iter_mut().filter(|block| block.done) {
            block.done = false;
            self.free += u64::from(block.asked == 0);
        }
    }
}

impl Conn {
    fn new(
        id: ConnId,
        addr: SocketAddr,
        peer: Option<u32>,
        outgoing: bool,
        pieces: u32,
        now: Instant,
    ) -> Self {
        Self {
            id,
            addr,
            peer,
            outgoing,
            since: now,
            heard_at: now,
            said: Progress::default(),
            heard: Progress::default(),
            peer_has: Bitfield::none(pieces),
            am_choking: true,
            am_interested: false,
            am_interested_at: now,
            choking: true,
            unchoked_at: now,
            interested: false,
            asked: VecDeque::new(),
            waiting: VecDeque::new(),
            allowed: Vec::new(),
            granted: Vec::new(),
            reqq: usize::MAX,
            extensions: BTreeSet::new(),
            blocks_in: 0,
            blocks_out: 0,
        }
    }

    /// Whether both ends have agreed on the Fast extension (BEP 6).
    pub fn fast(&self) -> bool {
        self.both(Reserved::fast)
    }

    /// Whether both ends have agreed on the extension protocol (BEP 10).
    pub fn extended(&self) -> bool {
        self.both(Reserved::extended)
    }

    fn both(&self, speaks: impl Fn(Reserved) -> bool) -> bool {
        self.said.hello.is_some_and(&speaks) && self.heard.hello.is_some_and(speaks)
    }

    /// Whether both handshakes are done.
    pub fn is_open(&self) -> bool {
        self.said.peer_id && self.heard.peer_id
    }

    /// Whether the other end has said that it serves `piece`, and would now.
    pub fn serves(&self, piece: PieceIndex) -> bool {
        self.peer_has.has(piece) && (!self.choking || self.allowed.contains(&piece))
    }

    /// Whether the request for `block` waits, taken back or not.
    pub fn waits_for(&self, block: Block) -> bool {
        self.waiting.iter().any(|waiting| waiting.block == block)
    }

    fn answer(&mut self, block: Block) -> bool {
        let at = self.waiting.iter().position(|waiting| waiting.block == block);
        at.is_some_and(|at| self.waiting.remove(at).is_some())
    }
}

impl Progress {
    fn note(&mut self, message: &Message) {
        match message {
            Message::Hello { reserved, .. } => self.hello = Some(*reserved),
            Message::PeerId(_) => self.peer_id = true,
            _ => self.more = true,
        }
    }
}

fn nth(block: Block) -> usize {
    (block.begin / BLOCK_LEN) as usize
}
