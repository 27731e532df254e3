//! What each host did, gathered from what crosses its driver: any node and any backend can be measured so.
//!
//! | file | its part |
//! |---|---|
//! | `crowd` | how large a part of the leechers each class is |
//! | `first_copy` | what the seeds send first |
//! | `ties` | for how long hosts are connected, and interested in each other |

mod crowd;
mod first_copy;
mod ties;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{Block, ConnId, Geometry, PieceIndex};
use torrentlab_reports::stats::Health;
use torrentlab_scenarios::schema::Departure;

use crate::census::Census;
use crowd::Crowd;
pub use first_copy::FirstCopy;
use ties::Times;
pub use ties::{Spell, Tie};

/// Something that happened to a host.
#[derive(Clone, Debug)]
pub enum Fact {
    /// It came (back).
    Joined,
    /// It went; for good if the flag is set.
    Left {
        /// Whether it never comes back.
        for_good: bool,
        /// How.
        how: Departure,
    },
    /// What it had is lost, all or part of it, while it is away.
    Lost,
    /// A connection opened.
    Connected {
        /// Its name.
        conn: ConnId,
        /// To whom.
        peer: u32,
    },
    /// A connection ended.
    Closed {
        /// Its name.
        conn: ConnId,
    },
    /// The peer unchoked the host.
    Unchoked {
        /// On which connection.
        conn: ConnId,
    },
    /// The peer choked the host.
    Choked {
        /// On which connection.
        conn: ConnId,
    },
    /// The host wants something of the peer, and said so.
    Interested {
        /// On which connection.
        conn: ConnId,
    },
    /// It wants nothing of the peer any more.
    NotInterested {
        /// On which connection.
        conn: ConnId,
    },
    /// It asked for a block.
    Requested,
    /// A block came.
    BlockReceived {
        /// On which connection.
        conn: ConnId,
        /// Which, if there is such a block: a piece is one where whole pieces are sent.
        block: Option<Block>,
        /// Its payload.
        bytes: u32,
        /// Whether the host had it.
        duplicate: bool,
    },
    /// A piece passed its check.
    Verified {
        /// Which.
        piece: PieceIndex,
    },
    /// A piece failed its check.
    Failed {
        /// Which.
        piece: PieceIndex,
        /// Its payload.
        bytes: u32,
    },
}

/// One host's account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Its class.
    pub class: u16,
    /// Whether it had everything from the start.
    pub seed: bool,
    /// Whether it is there.
    pub present: bool,
    /// What it has; kept when it leaves.
    pub pieces: u32,
    /// Pieces with which it first came.
    pub initial_pieces: u32,
    /// When it first joined.
    pub joined_at: Option<Instant>,
    /// When it last joined.
    pub session_at: Instant,
    /// When it left for good.
    pub left_at: Option<Instant>,
    /// How it last left.
    pub left_how: Departure,
    /// Since when it is away, if it is.
    away_since: Option<Instant>,
    /// How often it joined.
    pub sessions: u32,
    /// Time for which it was there, up to the end of the last session that ended.
    pub online: Duration,
    /// When it had its first complete piece.
    pub first_piece_at: Option<Instant>,
    /// When it had the last piece but one, and the last so far.
    pub last_pieces_at: [Option<Instant>; 2],
    /// When it had everything.
    pub completed_at: Option<Instant>,
    /// When it last received a block that it lacked.
    pub progress_at: Instant,
    /// Payload that came to others.
    pub payload_up: u64,
    /// Payload received.
    pub payload_down: u64,
    /// Requests sent.
    pub requests: u64,
    /// Blocks received.
    pub blocks: u64,
    /// Blocks received that it had.
    pub duplicates: u64,
    /// Payload received for nothing.
    pub wasted: u64,
    /// Pieces that failed their check.
    pub hash_failures: u64,
    /// When each piece was there, in that order, for a host on which somebody watches.
    pub watched: Option<Vec<(PieceIndex, Instant)>>,
    /// Time for which others unchoked it.
    pub unchoked: Duration,
    /// Time for which it unchoked others.
    pub unchoking: Duration,
    /// The part of that which went to its own class.
    pub unchoking_own: Duration,
    /// What it had of others, over connections that have ended.
    pub ties: Vec<Tie>,
    conns: Vec<Conn>,
    /// The times of these connections: apart from what every block changes.
    times: Vec<Times>,
}

/// One connection, from its receiving end.
#[derive(Clone, Debug)]
struct Conn {
    peer: u32,
    received: u64,
    unchoked_since: Option<Instant>,
}

/// One piece's account.
#[derive(Clone, Debug, Default)]
pub struct PieceAccount {
    /// When a host first completed it.
    pub first_copy_at: Option<Instant>,
    /// When a host last completed it.
    pub last_copy_at: Option<Instant>,
    /// Payload of it that came from seeds.
    pub seed_payload: u64,
    /// Failed checks.
    pub hash_failures: u64,
    /// Whether somebody had it, at any time, who was no seed from the start.
    elsewhere: bool,
}

/// Time for which leechers of a class unchoked leechers: hosts that came for the content, while they lacked some of it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Clustering {
    /// What went to their own class.
    pub own: Duration,
    /// What would have gone there, in seconds, if at each moment each other leecher present had got an equal part.
    pub proportional_s: f64,
}

/// The accounts of all hosts and pieces.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By host.
    pub hosts: Vec<Account>,
    /// By piece.
    pub pieces: Vec<PieceAccount>,
    /// Copies of each piece among the hosts present.
    pub census: Census,
    /// Hosts present that had everything from the start.
    pub seeds_from_start: u32,
    /// Hosts present that have everything.
    pub seeds: u32,
    /// Hosts present.
    pub present: u32,
    /// Hosts present that came with nothing and have a piece.
    pub bootstrapped: u32,
    /// Hosts that completed, present or not.
    pub completed: u32,
    /// Time for which hosts of the first class unchoked hosts of the second.
    pub unchoking: BTreeMap<(u16, u16), Duration>,
    /// What of that leechers gave to their own class, by class.
    pub clustering: Vec<Clustering>,
    /// What the seeds sent first.
    pub first_copy: FirstCopy,
    /// Pieces that nobody ever had but the seeds.
    rare_pieces: u32,
    /// When the last of them came to somebody else.
    pub steady_since: Option<Instant>,
    crowd: Crowd,
    /// Payload that came to all hosts.
    pub payload: u64,
    /// When anyone last received a block that it lacked.
    pub progress_at: Instant,
}

impl Ledger {
    /// Distributed copies among the hosts present.
    pub fn distributed_copies(&self) -> f64 {
        Health::of(&self.census.copies()).distributed_copies
    }

    /// Accounts for content of this shape, whose copies are counted in `census`.
    pub fn new(geometry: Geometry, census: Census) -> Self {
        let rare_pieces = geometry.pieces();
        let pieces = vec![PieceAccount::default(); rare_pieces as usize];
        Self { pieces, census, rare_pieces, first_copy: FirstCopy::new(geometry), ..Self::default() }
    }

    /// Opens an account for a host of `class` that will come with `have`, and on which somebody `watches` or not.
    pub fn open(&mut self, class: u16, have: &Bitfield, watches: bool) {
        let (pieces, seed) = (have.count(), have.is_full());
        let watched = watches.then(|| have.iter().map(|piece| (piece, Instant::ZERO)).collect());
        self.crowd.know(class);
        self.clustering.resize(self.clustering.len().max(usize::from(class) + 1), Clustering::default());
        self.hosts.push(Account {
            class,
            seed,
            pieces,
            initial_pieces: pieces,
            watched,
            ..Account::default()
        });
    }

    /// Hosts present that lack a piece.
    pub fn leechers(&self) -> u32 {
        self.present - self.seeds
    }

    /// Enters what happened to `host`, which has the pieces `have` by now.
    pub fn note(&mut self, now: Instant, host: u32, have: &Bitfield, fact: &Fact) {
        let account = &mut self.hosts[host as usize];
        match *fact {
            Fact::Joined => {
                account.joined_at.get_or_insert(now);
                account.session_at = now;
                account.progress_at = now;
                account.sessions += 1;
                account.present = true;
                account.away_since = None;
                self.count(now, host, have, 1);
            }
            Fact::Left { for_good, how } => {
                for slot in 0..account.conns.len() {
                    self.end_conn(now, host, slot);
                }
                let account = &mut self.hosts[host as usize];
                account.present = false;
                account.online += now.since(account.session_at);
                account.left_at = for_good.then_some(now);
                account.left_how = how;
                account.away_since = Some(now);
                self.count(now, host, have, -1);
            }
            Fact::Lost => account.pieces = have.count(),
            Fact::Connected { conn, peer } => account.connect(now, conn, peer),
            Fact::Closed { conn } => self.closed(now, host, conn),
            Fact::Unchoked { conn } => {
                account.conns[conn.slot()].unchoked_since.get_or_insert(now);
            }
            Fact::Choked { conn } => self.choked(now, host, conn),
            Fact::Interested { conn } => account.times[conn.slot()].interested(now),
            Fact::NotInterested { conn } => self.not_interested(now, host, conn.slot()),
            Fact::Requested => account.requests += 1,
            Fact::BlockReceived { conn, block, bytes, duplicate } => {
                self.received(now, host, conn, block, bytes, duplicate);
            }
            Fact::Verified { piece } => self.verified(now, host, piece, have),
            Fact::Failed { piece, bytes } => {
                account.hash_failures += 1;
                account.wasted += u64::from(bytes);
                self.pieces[piece.get()].hash_failures += 1;
            }
        }
    }

    /// Ends what is still under way at the end of a run.
    pub fn finish(&mut self, now: Instant) {
        for host in 0..self.hosts.len() as u32 {
            for slot in 0..self.hosts[host as usize].conns.len() {
                self.end_conn(now, host, slot);
            }
            let account = &mut self.hosts[host as usize];
            if account.present {
                account.online += now.since(account.session_at);
                account.session_at = now;
            }
        }
    }

    /// Adds or takes away a host's pieces.
    fn count(&mut self, now: Instant, host: u32, have: &Bitfield, by: i32) {
        let change =
            |number: &mut u32, if_so: bool| *number = number.wrapping_add_signed(if if_so { by } else { 0 });
        let account = &self.hosts[host as usize];
        change(&mut self.present, true);
        change(&mut self.seeds, have.is_full());
        change(&mut self.seeds_from_start, account.seed && have.is_full());
        change(&mut self.bootstrapped, account.initial_pieces == 0 && account.pieces > 0);
        let counted = if by > 0 { Census::add } else { Census::take_away };
        have.iter().for_each(|piece| counted(&self.census, piece));
        if account.seed {
            return;
        }
        if !have.is_full() {
            let counted = if by > 0 { Crowd::add } else { Crowd::take_away };
            counted(&mut self.crowd, now, account.class);
        }
        if self.rare_pieces > 0 {
            have.iter().for_each(|piece| self.is_elsewhere(now, piece));
        }
    }

    /// Somebody who was no seed from the start has `piece`.
    fn is_elsewhere(&mut self, now: Instant, piece: PieceIndex) {
        let account = &mut self.pieces[piece.get()];
        if !std::mem::replace(&mut account.elsewhere, true) {
            self.rare_pieces -= 1;
            self.steady_since = (self.rare_pieces == 0).then_some(now);
        }
    }

    fn verified(&mut self, now: Instant, host: u32, piece: PieceIndex, have: &Bitfield) {
        let account = &mut self.hosts[host as usize];
        let seed = account.seed;
        account.pieces = have.count();
        account.first_piece_at.get_or_insert(now);
        account.last_pieces_at = [account.last_pieces_at[1], Some(now)];
        if let Some(watched) = &mut account.watched {
            watched.push((piece, now));
        }
        self.bootstrapped += u32::from(account.initial_pieces == 0 && account.pieces == 1);
        if have.is_full() {
            // Who lost everything completes again, and counts once.
            if !account.seed && account.completed_at.is_none() {
                account.completed_at = Some(now);
                self.completed += 1;
            }
            self.seeds += 1;
            self.seeds_from_start += u32::from(seed);
            if !seed {
                self.crowd.take_away(now, account.class);
            }
        }
        if !seed {
            self.is_elsewhere(now, piece);
        }
        self.census.add(piece);
        let piece = &mut self.pieces[piece.get()];
        piece.first_copy_at.get_or_insert(now);
        piece.last_copy_at = Some(now);
    }

    fn received(
        &mut self,
        now: Instant,
        host: u32,
        conn: ConnId,
        block: Option<Block>,
        bytes: u32,
        duplicate: bool,
    ) {
        let account = &mut self.hosts[host as usize];
        let bytes = u64::from(bytes);
        account.blocks += 1;
        account.payload_down += bytes;
        self.payload += bytes;
        if duplicate {
            account.duplicates += 1;
            account.wasted += bytes;
        } else {
            account.progress_at = now;
            self.progress_at = now;
        }
        let conn = &mut account.conns[conn.slot()];
        conn.received += bytes;
        let peer = conn.peer;
        let sender = &mut self.hosts[peer as usize];
        sender.payload_up += bytes;
        if let (true, Some(block)) = (sender.seed, block) {
            self.pieces[block.piece.get()].seed_payload += bytes;
            self.first_copy.note(block);
        }
    }

    fn not_interested(&mut self, now: Instant, host: u32, slot: usize) {
        let until = self.both_lack_until(now, host, self.hosts[host as usize].conns[slot].peer);
        self.hosts[host as usize].times[slot].not_interested(until, self.steady_since);
    }

    /// Until when, at most `now`, both hosts had come for the content and lacked some of it.
    fn both_lack_until(&self, now: Instant, one: u32, other: u32) -> Instant {
        let [one, other] = [one, other].map(|host| &self.hosts[host as usize]);
        now.min(one.lacks_until()).min(other.lacks_until())
    }

    fn choked(&mut self, now: Instant, host: u32, conn: ConnId) {
        self.end_unchoke(now, host, conn.slot());
    }

    fn closed(&mut self, now: Instant, host: u32, conn: ConnId) {
        // A connection may end before its host was told that it is open.
        if conn.slot() < self.hosts[host as usize].conns.len() {
            self.end_conn(now, host, conn.slot());
        }
    }

    fn end_conn(&mut self, now: Instant, host: u32, slot: usize) {
        self.end_unchoke(now, host, slot);
        let peer = self.hosts[host as usize].conns[slot].peer;
        let until = self.both_lack_until(now, host, peer);
        let account = &mut self.hosts[host as usize];
        let payload = std::mem::take(&mut account.conns[slot].received);
        let [connected, interested] = account.times[slot].end(until, self.steady_since);
        if payload == 0 && connected == Spell::default() {
            return;
        }
        let at = account.ties.iter().position(|tie| tie.peer == peer).unwrap_or_else(|| {
            account.ties.push(Tie { peer, ..Tie::default() });
            account.ties.len() - 1
        });
        let tie = &mut account.ties[at];
        tie.payload += payload;
        tie.connected.join(connected);
        tie.interested.join(interested);
    }

    fn end_unchoke(&mut self, now: Instant, host: u32, slot: usize) {
        let account = &mut self.hosts[host as usize];
        let class = account.class;
        let conn = &mut account.conns[slot];
        let Some(since) = conn.unchoked_since.take() else { return };
        let (giver, time) = (conn.peer, now.since(since));
        account.unchoked += time;
        let peer = &mut self.hosts[giver as usize];
        peer.unchoking += time;
        if peer.class == class {
            peer.unchoking_own += time;
        }
        let giving = peer.class;
        *self.unchoking.entry((giving, class)).or_default() += time;
        self.cluster(since, now, (giver, giving), (host, class));
    }

    /// A giver unchoked a taker for a while: what of that counts for the clustering of the giver's class.
    fn cluster(&mut self, since: Instant, now: Instant, giver: (u32, u16), taker: (u32, u16)) {
        let gone = self.hosts[giver.0 as usize].away_since.unwrap_or(Instant::NEVER);
        let until = self.both_lack_until(now, giver.0, taker.0).min(gone);
        if until > since {
            let clustering = &mut self.clustering[usize::from(giver.1)];
            clustering.proportional_s += self.crowd.share_s(giver.1, since, until);
            if giver.1 == taker.1 {
                clustering.own += until.since(since);
            }
        }
    }
}

impl Account {
    fn connect(&mut self, now: Instant, conn: ConnId, peer: u32) {
        let fresh = Conn { peer, received: 0, unchoked_since: None };
        if self.conns.len() <= conn.slot() {
            // Slots are handed out in order, but an end may be told of its connection after a later one.
            self.conns.resize(conn.slot() + 1, fresh.clone());
            self.times.resize(conn.slot() + 1, Times::default());
        }
        self.conns[conn.slot()] = fresh;
        self.times[conn.slot()] = Times::begin(now);
    }

    /// Until when it came for the content and lacked some of it: never, for a seed.
    fn lacks_until(&self) -> Instant {
        if self.seed { Instant::ZERO } else { self.completed_at.unwrap_or(Instant::NEVER) }
    }
}
