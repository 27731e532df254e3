//! Super-seeding (BEP 16): a seed that shows its pieces one by one, so that each is served once before any is served
//! again.

use std::collections::BTreeMap;

use super::peers::Peers;
use crate::bitfield::Bitfield;
use crate::dice::Dice;
use crate::time::{Duration, Instant};
use crate::units::{ConnId, PieceIndex};

/// Pieces that a peer is shown ahead, so that it is not left without a request while the next one is on its way; and
/// that it may owe, once each piece was served.
const AHEAD: usize = 2;
/// When no piece was served whole for so long, whoever asks is served: those for whom pieces are kept may never ask for
/// them, and a piece that was never served may be one that nobody lacks.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was shown to whom.
#[derive(Debug)]
pub(super) struct SuperSeed {
    /// How often each piece was served whole.
    served: Vec<u32>,
    /// How many pieces were never served whole.
    unserved: u32,
    /// How many connected peers were shown each piece and did not get it.
    promised: Vec<u32>,
    /// Who is being served each piece that was begun and was never served whole.
    serving: BTreeMap<PieceIndex, ConnId>,
    /// When a piece was last served whole; at first, when one was first asked for.
    progress_at: Option<Instant>,
    shown: BTreeMap<ConnId, Shown>,
}

/// What one peer was shown.
#[derive(Debug)]
struct Shown {
    all: Bitfield,
    /// Of these, what it was not served yet.
    waiting: Vec<PieceIndex>,
    /// What it was served and nobody else has yet: proof that it shares is outstanding.
    unshared: Vec<PieceIndex>,
}

impl Shown {
    fn nothing(pieces: u32) -> Self {
        Self { all: Bitfield::none(pieces), waiting: Vec::new(), unshared: Vec::new() }
    }
}

impl SuperSeed {
    pub fn new(pieces: u32) -> Self {
        let zeros = vec![0; pieces as usize];
        Self {
            served: zeros.clone(),
            unserved: pieces,
            promised: zeros,
            serving: BTreeMap::new(),
            progress_at: None,
            shown: BTreeMap::new(),
        }
    }

    /// Whether the peer may have a block of `piece`: it was shown to it, and nobody else was served it or is, as long
    /// as there are pieces that nobody was served. A peer that cannot be told no (it is not `rejectable`) gets
    /// whatever it was shown, and so does everybody when nothing else goes on.
    pub fn grants(&mut self, conn: ConnId, piece: PieceIndex, rejectable: bool, now: Instant) -> bool {
        let Some(shown) = self.shown.get_mut(&conn) else { return false };
        if !shown.all.has(piece) {
            return false;
        }
        let unserved = self.served[piece.get()] == 0;
        let owner = if unserved { Some(*self.serving.entry(piece).or_insert(conn)) } else { None };
        let stands_still = now.since(*self.progress_at.get_or_insert(now)) > PATIENCE;
        let again = owner != Some(conn) && self.unserved > 0;
        if !again || !rejectable || stands_still {
            return true;
        }
        if let Some(at) = shown.waiting.iter().position(|waiting| *waiting == piece) {
            shown.waiting.remove(at);
            self.promised[piece.get()] -= 1;
        }
        false
    }

    /// The peer was choked: what it was being served may be served to others.
    pub fn on_choked(&mut self, conn: ConnId) {
        self.serving.retain(|_, owner| *owner != conn);
    }

    /// The last block of `piece` was handed out to the peer.
    pub fn on_served(&mut self, conn: ConnId, piece: PieceIndex, now: Instant) {
        self.progress_at = Some(now);
        let Some(shown) = self.shown.get_mut(&conn) else { return };
        if let Some(at) = shown.waiting.iter().position(|waiting| *waiting == piece) {
            shown.waiting.remove(at);
            shown.unshared.push(piece);
            self.unserved -= u32::from(self.served[piece.get()] == 0);
            self.served[piece.get()] += 1;
            self.serving.remove(&piece);
            self.promised[piece.get()] -= 1;
        }
    }

    /// A peer has `piece`: it need not be served to it any more, and whoever was served it has shared it. Returns
    /// who may be shown more.
    pub fn on_have(&mut self, from: ConnId, piece: PieceIndex) -> Vec<ConnId> {
        let mut moved = Vec::new();
        for (&conn, shown) in &mut self.shown {
            let pieces = if conn == from { &mut shown.waiting } else { &mut shown.unshared };
            if let Some(at) = pieces.iter().position(|other| *other == piece) {
                pieces.remove(at);
                if conn == from {
                    self.promised[piece.get()] -= 1;
                }
                moved.push(conn);
            }
        }
        moved
    }

    /// Pieces that nobody else lacks cannot be shared any more: a seed must not wait for the impossible. Returns who
    /// may be shown more.
    pub fn settle(&mut self, peers: &Peers) -> Vec<ConnId> {
        let lacking = |conn, piece| peers.iter().any(|peer| peer.conn != conn && !peer.has.has(piece));
        for (&conn, shown) in &mut self.shown {
            shown.unshared.retain(|piece| lacking(conn, *piece));
        }
        self.shown.iter().filter(|(_, shown)| shown.waiting.is_empty()).map(|(conn, _)| *conn).collect()
    }

    /// Shows the peer one piece more, unless it has yet to share what it was served.
    pub fn show(&mut self, conn: ConnId, peers: &Peers, dice: &mut Dice) -> Option<PieceIndex> {
        let pieces = self.served.len() as u32;
        let shown = self.shown.entry(conn).or_insert_with(|| Shown::nothing(pieces));
        let owes = shown.unshared.len() > AHEAD && self.unserved == 0;
        if owes || shown.waiting.len() >= AHEAD {
            return None;
        }
        let has = &peers.get(conn)?.has;
        let new = || (0..pieces).map(PieceIndex).filter(|&piece| !has.has(piece) && !shown.all.has(piece));
        let key = |piece: &PieceIndex| (self.served[piece.get()], self.promised[piece.get()]);
        let least = new().map(|piece| key(&piece)).min()?;
        let ties = || new().filter(|piece| key(piece) == least);
        let piece = ties().nth(dice.index(ties().count())?)?;
        shown.all.insert(piece);
        shown.waiting.push(piece);
        self.promised[piece.get()] += 1;
        Some(piece)
    }

    /// A peer left: what it was promised may be promised to others.
    pub fn on_left(&mut self, conn: ConnId) {
        self.on_choked(conn);
        if let Some(shown) = self.shown.remove(&conn) {
            for piece in shown.waiting {
                self.promised[piece.get()] -= 1;
            }
        }
    }
}
