//! One torrent of one client: the state machine behind [`Node`].
//!
//! | file | its part |
//! |---|---|
//! | `connect` | whom to dial, the handshake, who may stay |
//! | `download` | interest, requests, blocks that come |
//! | `checks` | checks of whole pieces, storage that fails |
//! | `upload` | requests of others, rate limits, choking |
//! | `exchange` | telling peers of each other (BEP 11) |
//! | `super_seed` | which piece to show to whom (BEP 16) |
//! | `pieces` | the bookkeeping of blocks |
//! | `peer`, `peers` | what is known of each peer |

mod checks;
mod config;
mod connect;
mod download;
mod exchange;
mod peer;
mod peers;
mod pieces;
mod super_seed;
mod upload;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

pub use config::{Config, EndgameFrom, Setup, Streams};

use crate::addresses::{AddressBook, AddressBookConfig};
use crate::bitfield::Bitfield;
use crate::bucket::TokenBucket;
use crate::choker::{ChokePeer, Choker};
use crate::node::{Disconnect, Event, Input, Limits, Misuse, Node, Outbox, Output};
use crate::picker::Picker;
use crate::priority::OwnAddress;
use crate::state::NodeState;
use crate::time::{Duration, Instant};
use crate::tracker::client::{Client, Identity, Progress};
use crate::tracker::{AnnounceReply, TrackerFailure};
use crate::units::{Block, ConnId, Geometry, InfoHash, PieceIndex};
use crate::wire::Message;
use config::BURST;
use exchange::Timeline;
use peers::Peers;
use pieces::Pieces;
use super_seed::SuperSeed;

/// How often time-outs of peers are looked for; they all are of tens of seconds.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// One torrent of one client.
#[derive(Debug)]
pub struct Torrent {
    info_hash: InfoHash,
    config: Config,
    limits: Limits,
    pieces: Pieces,
    peers: Peers,
    book: AddressBook,
    /// Where others see us.
    own: OwnAddress,
    /// Who came and went, for peer exchange.
    timeline: Timeline,
    /// The latest peer that told of others.
    tellers: NonZeroU32,
    /// Dials under way.
    dialing: usize,
    tracker: Client,
    picker: Box<dyn Picker>,
    choker: Box<dyn Choker>,
    up: TokenBucket,
    down: TokenBucket,
    super_seed: Option<SuperSeed>,
    dice: Streams,
    timers: Timers,
    /// The slot that a rate limit is spent on first the next time.
    turn_up: usize,
    turn_down: usize,
    /// Pieces of which a block became free again, so that a starved peer may be asked for it.
    freed: Vec<PieceIndex>,
    /// All starved peers may be asked for something.
    refill_all: bool,
    endgame: bool,
    /// Storage failed; nothing is asked for any more.
    storage_failed: bool,
    stopped: bool,
    uploaded: u64,
    downloaded: u64,
    last_input: Instant,
}

/// Why the torrent wakes up by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Timer {
    /// The choker wants to decide.
    Choke,
    /// An announce is due.
    Announce,
    /// An address may be dialled (again).
    Dial,
    /// Keep-alives, silence, snubbing, lost requests.
    Sweep,
    /// A rate limit has something to give.
    Rate,
}

/// When each [`Timer`] is due.
#[derive(Debug)]
struct Timers([Instant; 5]);

impl Timers {
    fn get(&self, timer: Timer) -> Instant {
        self.0[timer as usize]
    }

    fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    fn set_earlier(&mut self, timer: Timer, at: Instant) {
        self.set(timer, self.get(timer).min(at));
    }

    fn first(&self) -> Instant {
        self.0.iter().copied().min().unwrap_or(Instant::NEVER)
    }
}

impl Torrent {
    /// A torrent that starts at `now`, without connections; it announces as soon as it is driven.
    pub fn new(setup: Setup, now: Instant) -> Self {
        let Setup { info_hash, geometry, tiers, have, config, picker, choker, mut dice } = setup;
        assert_eq!(have.len(), geometry.pieces(), "the set of pieces is of another torrent");
        let availability = crate::picker::Availability::new(geometry.pieces(), &mut dice.picker);
        let (redial_after, redial_at_most) = config.redial;
        let mut book =
            AddressBook::new(AddressBookConfig { redial_after, redial_at_most, ..Default::default() });
        if have.is_full() {
            book.start_seeding();
        }
        let identity = Identity { info_hash, peer_id: config.peer_id, port: config.listen_port };
        let super_seed = (config.super_seeding && have.is_full()).then(|| SuperSeed::new(geometry.pieces()));
        let limits = config.limits;
        let mut timers = Timers([Instant::NEVER; 5]);
        timers.set(Timer::Choke, choker.next_decision());
        timers.set(Timer::Announce, now);
        // A phase of its own, so that the members of a flash crowd do not wake up in step.
        timers.set(Timer::Sweep, now + Duration::from_nanos(dice.dial.below(SWEEP_INTERVAL.as_nanos())));
        Self {
            info_hash,
            tracker: Client::new(tiers, identity, &mut dice.tracker),
            pieces: Pieces::new(geometry, have, availability),
            peers: Peers::default(),
            book,
            own: OwnAddress::new(config.address, config.listen_port),
            timeline: Timeline::default(),
            tellers: NonZeroU32::MIN,
            dialing: 0,
            picker,
            choker,
            up: TokenBucket::new(limits.up, BURST, now),
            down: TokenBucket::new(limits.down, BURST, now),
            super_seed,
            dice,
            timers,
            turn_up: 0,
            turn_down: 0,
            freed: Vec::new(),
            refill_all: false,
            endgame: false,
            storage_failed: false,
            stopped: false,
            uploaded: 0,
            downloaded: 0,
            last_input: now,
            limits,
            config,
        }
    }

    /// The shape of the content.
    pub fn geometry(&self) -> Geometry {
        self.pieces.geometry
    }

    /// The pieces that are there and checked.
    pub fn have(&self) -> &Bitfield {
        &self.pieces.have
    }

    /// Whether every piece is there.
    pub fn is_complete(&self) -> bool {
        self.pieces.have.is_full()
    }

    /// Bytes that are missing.
    pub fn left(&self) -> u64 {
        self.pieces.left()
    }

    /// Payload bytes sent and received.
    pub fn transferred(&self) -> (u64, u64) {
        (self.uploaded, self.downloaded)
    }

    /// Complete copies among the connected peers and here: libtorrent's *distributed copies*.
    pub fn distributed_copies(&self) -> f64 {
        self.pieces.availability.distributed_copies(&self.pieces.have)
    }

    /// How many peers are connected.
    pub fn connections(&self) -> usize {
        self.peers.len()
    }

    /// The connected peers as a choker sees them: who they are, who is choked, and their rates.
    pub fn peers(&self, now: Instant) -> Vec<ChokePeer> {
        self.peers.iter().filter(|peer| peer.is_open()).map(|peer| peer.choke_view(now)).collect()
    }

    /// Adds addresses that came from elsewhere than the tracker.
    pub fn add_addresses(&mut self, addrs: impl IntoIterator<Item = std::net::SocketAddr>, now: Instant) {
        addrs.into_iter().for_each(|addr| self.book.add(addr, now));
        self.timers.set_earlier(Timer::Dial, self.last_input);
    }

    fn on_input(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        match input {
            Input::Connected { conn, addr, outgoing, room } => {
                if self.peers.in_slot(conn).is_some() {
                    return Err(Misuse::ConnReused(conn));
                }
                self.on_connected(peer::NewLink { conn, addr, outgoing, room }, now, out);
            }
            Input::DialFailed { addr, .. } => self.on_dial_failed(addr, now),
            Input::Message { conn, message } => {
                if let Err(why) = self.on_message(conn, message, now, out) {
                    self.close(conn, why, now, out);
                }
            }
            Input::Writable { conn, bytes } => self.on_writable(conn, bytes, now, out),
            Input::Closed { conn, why } => self.forget(conn, &why, now),
            Input::TrackerReply { tracker, result } => self.on_tracker_reply(tracker, &result, now, out),
            Input::PieceChecked { piece, ok, digests } => self.on_checked(piece, ok, digests, now, out)?,
            Input::StorageFailed { op, why } => self.on_storage_failed(op, why, out),
            Input::StorageRestored => self.on_storage_restored(now, out),
            Input::SetLimits(limits) => self.set_limits(limits, now, out),
            Input::Shutdown => self.shut_down(now, out),
            Input::Timeout => self.on_timeout(now, out),
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        conn: ConnId,
        message: Message,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        let Some(peer) = self.peers.get_mut(conn) else { return Ok(()) };
        peer.heard_at = now;
        match message {
            Message::Hello { reserved, info_hash } => self.on_hello(conn, reserved, info_hash, now, out),
            Message::PeerId(id) => self.on_peer_id(conn, id, now, out),
            _ if !peer.is_open() => Err(Disconnect::Misbehaved("a message before the handshake")),
            Message::KeepAlive | Message::Port(_) => Ok(()),
            Message::Choke => {
                self.on_choke(conn, now, out);
                Ok(())
            }
            Message::Unchoke => {
                self.on_unchoke(conn, now, out);
                Ok(())
            }
            Message::Interested => {
                self.on_interested(conn, true);
                Ok(())
            }
            Message::NotInterested => {
                self.on_interested(conn, false);
                Ok(())
            }
            Message::Have(piece) => self.on_have(conn, piece, now, out),
            Message::Bitfield(bits) => {
                let pieces = Bitfield::from_wire(&bits, self.pieces.geometry.pieces());
                let pieces = pieces.ok_or(Disconnect::Misbehaved("a bitfield of the wrong length"))?;
                self.on_pieces(conn, pieces, now, out)
            }
            Message::Request(block) => self.on_request(conn, block, now, out),
            Message::Piece { block, payload } => self.on_block(conn, block, payload, now, out),
            Message::Cancel(block) => {
                self.on_cancel(conn, block, out);
                Ok(())
            }
            Message::Extended { id, payload } => self.on_extended(conn, id, &payload, now, out),
            Message::Unknown(_) => Err(Disconnect::Misbehaved("a message of unknown kind")),
            _ if !peer.fast => {
                Err(Disconnect::Misbehaved("a message of the Fast extension, which was not agreed on"))
            }
            Message::HaveAll => self.on_pieces(conn, Bitfield::all(self.pieces.geometry.pieces()), now, out),
            Message::HaveNone => Ok(()),
            Message::Reject(block) => {
                self.on_reject(conn, block, now, out);
                Ok(())
            }
            Message::AllowedFast(piece) => self.on_allowed_fast(conn, piece, now, out),
            Message::Suggest(piece) => self.on_suggest(conn, piece),
        }
    }

    fn on_tracker_reply(
        &mut self,
        tracker: usize,
        result: &Result<AnnounceReply, TrackerFailure>,
        now: Instant,
        out: &mut Outbox,
    ) {
        if self.stopped {
            return;
        }
        self.tracker.on_reply(now, tracker, result, &mut self.dice.tracker);
        match result {
            Ok(reply) => {
                reply.peers.iter().for_each(|addr| self.book.add(*addr, now));
                self.timers.set_earlier(Timer::Dial, now);
                out.event(Event::TrackerReplied {
                    tracker,
                    peers: reply.peers.len(),
                    warning: reply.warning.clone(),
                });
            }
            Err(why) => {
                let retry_in = self.tracker.poll_timeout().since(now);
                out.event(Event::TrackerFailed { tracker, why: why.clone(), retry_in });
            }
        }
        self.timers.set(Timer::Announce, self.tracker.poll_timeout());
    }

    fn announce_if_due(&mut self, now: Instant, out: &mut Outbox) {
        self.note_want_of_peers(now);
        let progress = self.progress();
        if let Some(announce) = self.tracker.poll(now, &progress) {
            out.push(Output::Announce(announce));
        }
        self.timers.set(Timer::Announce, self.tracker.poll_timeout());
    }

    /// When the next announce is due depends on whether there are enough peers.
    fn note_want_of_peers(&mut self, now: Instant) {
        let short = self.peers.len() + self.dialing < self.dial_target();
        let wants = self.config.announce_often || short && self.book.next_due() > now;
        self.tracker.set_wants_peers(wants);
        self.timers.set(Timer::Announce, self.tracker.poll_timeout());
    }

    fn progress(&self) -> Progress {
        Progress {
            uploaded: self.uploaded,
            downloaded: self.downloaded,
            left: self.pieces.left(),
            numwant: self.config.numwant,
        }
    }

    fn on_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let due = |timers: &Timers, timer| timers.get(timer) <= now;
        if due(&self.timers, Timer::Announce) {
            self.announce_if_due(now, out);
        }
        if due(&self.timers, Timer::Dial) {
            self.dial(now, out);
        }
        if due(&self.timers, Timer::Choke) {
            self.rechoke(now, out);
        }
        if due(&self.timers, Timer::Sweep) {
            self.sweep(now, out);
            self.note_want_of_peers(now);
            self.timers.set(Timer::Sweep, now + SWEEP_INTERVAL);
        }
        if due(&self.timers, Timer::Rate) {
            self.timers.set(Timer::Rate, Instant::NEVER);
            self.spend_rates(now, out);
        }
    }

    fn shut_down(&mut self, now: Instant, out: &mut Outbox) {
        let progress = self.progress();
        for announce in self.tracker.stop(&progress) {
            out.push(Output::Announce(announce));
        }
        for slot in self.peers.slots_from(0) {
            let Some(conn) = self.peers.conn_at(slot) else { continue };
            self.close(conn, Disconnect::Shutdown, now, out);
        }
        self.stopped = true;
        self.timers = Timers([Instant::NEVER; 5]);
    }

    /// Counts afresh what is kept up to date, and panics where the two differ.
    pub fn check_invariants(&self) {
        let mut asked: BTreeMap<Block, u32> = BTreeMap::new();
        for peer in self.peers.iter() {
            for out in &peer.asked {
                *asked.entry(out.block).or_default() += 1;
            }
            assert!(
                peer.queue.len() <= self.config.max_queued as usize,
                "requests of {:?} that wait",
                peer.conn
            );
            assert!(peer.room <= peer.buffer, "room in the buffer of {:?}", peer.conn);
            let wanted = peer.has.exceeds(&self.pieces.have) && !self.storage_failed;
            assert!(!peer.is_open() || peer.am_interested == wanted, "interest in {:?}", peer.conn);
            assert!(peer.is_open() || peer.asked.is_empty(), "requests before the handshake");
            // A pause ends with the sweep after it.
            let idle = self.last_input.since(peer.paused_until) > SWEEP_INTERVAL * 2
                && peer.spare_requests(self.last_input) > 0;
            let may_ask = !self.storage_failed && self.limits == Limits::default();
            let forgotten = idle && may_ask && self.pieces.offers(peer.conn, |piece| peer.serves(piece));
            assert!(!forgotten, "{:?} could be asked for a block and is not", peer.conn);
        }
        for (piece, conn) in self.pieces.soles() {
            let serves = self.peers.get(conn).is_some_and(|peer| peer.serves(piece));
            assert!(serves, "{conn:?} alone may be asked for {piece}, and cannot be");
        }
        self.pieces.check_invariants(&asked);
        assert!(self.peers.len() <= self.config.max_connections, "connections over the cap");
        for piece in (0..self.pieces.geometry.pieces()).map(PieceIndex) {
            let copies = self.peers.iter().filter(|peer| peer.has.has(piece)).count();
            assert_eq!(self.pieces.availability.copies_of(piece) as usize, copies, "availability of {piece}");
        }
    }
}

impl Node for Torrent {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        if now < self.last_input {
            return Err(Misuse::TimeWentBack { now, last: self.last_input });
        }
        self.last_input = now;
        if self.stopped {
            if let Input::Connected { conn, .. } = input {
                out.push(Output::Close { conn, why: Disconnect::Shutdown });
            }
            return Ok(());
        }
        self.on_input(now, input, out)?;
        if self.refill_all || !self.freed.is_empty() {
            self.refill_starved(now, out);
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let first = self.timers.first();
        (first != Instant::NEVER).then_some(first)
    }

    fn state(&self, now: Instant) -> Option<NodeState> {
        Some(NodeState {
            have: self.pieces.have.clone(),
            peers: self.peers.iter().map(|peer| peer.state(now)).collect(),
            partial: self.pieces.state(),
            endgame: self.endgame,
            dialing: self.dialing,
            transferred: self.transferred(),
            wakes_at: self.poll_timeout(),
        })
    }
}
