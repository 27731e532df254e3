//! What each host did, gathered from what crosses its driver: any node and any backend can be measured so.

use std::collections::BTreeMap;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{ConnId, PieceIndex};
use torrentlab_scenarios::schema::Departure;

use crate::census::Census;

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
    /// It asked for a block.
    Requested,
    /// A block came.
    BlockReceived {
        /// On which connection.
        conn: ConnId,
        /// Of which piece, if there is such a piece.
        piece: Option<PieceIndex>,
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
    /// Payload received, by source, of connections that have ended.
    pub sources: Vec<(u32, u64)>,
    conns: Vec<Conn>,
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
    /// Payload that came to all hosts.
    pub payload: u64,
    /// When anyone last received a block that it lacked.
    pub progress_at: Instant,
}

impl Ledger {
    /// Accounts for content of so many pieces, whose copies are counted in `census`.
    pub fn new(pieces: u32, census: Census) -> Self {
        Self { pieces: vec![PieceAccount::default(); pieces as usize], census, ..Self::default() }
    }

    /// Opens an account for a host of `class` that will come with `have`, and on which somebody `watches` or not.
    pub fn open(&mut self, class: u16, have: &Bitfield, watches: bool) {
        let (pieces, seed) = (have.count(), have.is_full());
        let watched = watches.then(|| have.iter().map(|piece| (piece, Instant::ZERO)).collect());
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
                self.count(host, have, 1);
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
                self.count(host, have, -1);
            }
            Fact::Lost => account.pieces = have.count(),
            Fact::Connected { conn, peer } => account.connect(conn, peer),
            Fact::Closed { conn } => self.closed(now, host, conn),
            Fact::Unchoked { conn } => {
                account.conns[conn.slot()].unchoked_since.get_or_insert(now);
            }
            Fact::Choked { conn } => self.choked(now, host, conn),
            Fact::Requested => account.requests += 1,
            Fact::BlockReceived { conn, piece, bytes, duplicate } => {
                self.received(now, host, conn, piece, bytes, duplicate);
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
    fn count(&mut self, host: u32, have: &Bitfield, by: i32) {
        let change =
            |number: &mut u32, if_so: bool| *number = number.wrapping_add_signed(if if_so { by } else { 0 });
        let account = &self.hosts[host as usize];
        change(&mut self.present, true);
        change(&mut self.seeds, have.is_full());
        change(&mut self.seeds_from_start, account.seed && have.is_full());
        change(&mut self.bootstrapped, account.initial_pieces == 0 && account.pieces > 0);
        let counted = if by > 0 { Census::add } else { Census::take_away };
        have.iter().for_each(|piece| counted(&self.census, piece));
    }

    fn verified(&mut self, now: Instant, host: u32, piece: PieceIndex, have: &Bitfield) {
        let account = &mut self.hosts[host as usize];
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
            self.seeds_from_start += u32::from(account.seed);
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
        piece: Option<PieceIndex>,
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
        if let (true, Some(piece)) = (sender.seed, piece) {
            self.pieces[piece.get()].seed_payload += bytes;
        }
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
        let account = &mut self.hosts[host as usize];
        let conn = &mut account.conns[slot];
        let (peer, received) = (conn.peer, std::mem::take(&mut conn.received));
        if received > 0 {
            match account.sources.iter_mut().find(|(source, _)| *source == peer) {
                Some((_, bytes)) => *bytes += received,
                None => account.sources.push((peer, received)),
            }
        }
    }

    fn end_unchoke(&mut self, now: Instant, host: u32, slot: usize) {
        let account = &mut self.hosts[host as usize];
        let class = account.class;
        let conn = &mut account.conns[slot];
        let Some(since) = conn.unchoked_since.take() else { return };
        let (peer, time) = (conn.peer, now.since(since));
        account.unchoked += time;
        let peer = &mut self.hosts[peer as usize];
        peer.unchoking += time;
        if peer.class == class {
            peer.unchoking_own += time;
        }
        *self.unchoking.entry((peer.class, class)).or_default() += time;
    }
}

impl Account {
    fn connect(&mut self, conn: ConnId, peer: u32) {
        let fresh = Conn { peer, received: 0, unchoked_since: None };
        match self.conns.get_mut(conn.slot()) {
            Some(old) => *old = fresh,
            // Slots are handed out in order, but an end may be told of its connection after a later one.
            None => self.conns.resize(conn.slot() + 1, fresh),
        }
    }
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::units::ConnSlots;

    use super::*;

    #[test]
    fn unchoke_time_is_entered_by_the_class_that_gives_and_the_class_that_takes() {
        let mut ledger = Ledger::new(1, Census::new(1));
        let none = Bitfield::none(1);
        [0, 1, 1].iter().for_each(|&class| ledger.open(class, &none, false));
        let mut note = |secs: u64, host, fact| {
            ledger.note(Instant::ZERO + Duration::from_secs(secs), host, &none, &fact);
        };
        let mut slots = ConnSlots::default();
        let (first, second) = (slots.open(), slots.open());
        (0..3).for_each(|host| note(0, host, Fact::Joined));
        note(0, 0, Fact::Connected { conn: first, peer: 1 });
        note(0, 1, Fact::Connected { conn: first, peer: 0 });
        note(0, 1, Fact::Connected { conn: second, peer: 2 });
        note(1, 0, Fact::Unchoked { conn: first });
        note(2, 1, Fact::Unchoked { conn: second });
        note(4, 0, Fact::Choked { conn: first });
        note(5, 0, Fact::Unchoked { conn: first });
        note(7, 1, Fact::Closed { conn: second });
        ledger.finish(Instant::ZERO + Duration::from_secs(10));
        let secs = Duration::from_secs;
        let expected = [((1, 0), secs(3 + 5)), ((1, 1), secs(5))];
        assert_eq!(ledger.unchoking, BTreeMap::from(expected), "nobody was unchoked by class 0");
        assert_eq!(ledger.hosts[2].unchoking_own, secs(5));
    }
}
