//! libtorrent's order of peers (`choker.cpp` of 2.1): who gets a slot before whom. Those who sent most since the last
//! round come first; `seed_choking_algorithm` settles the order of those who sent the same, as everyone does to a seed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{ChokeEvent, ChokePeer, ChokeView, Slot};
use crate::time::{Duration, Instant};
use crate::units::ConnId;
use crate::why::Reason;

/// For how long a slot is not taken away, whatever was sent.
const SHORTEST_TURN: Duration = Duration::from_secs(60);

/// libtorrent's `seed_choking_algorithm`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeedChoking {
    /// `round_robin`: whoever was sent its quota, and had its slot for a minute, comes last.
    RoundRobin,
    /// `fastest_upload`: those to whom we send fastest.
    FastestUpload,
    /// `anti_leech`: "prioritizes peers who have just started or are just about to finish the download"; after Chow,
    /// Golubchik, Misra, "Improving BitTorrent: A Simple Approach", IPTPS 2008.
    AntiLeech,
}

/// The order, and what has to be remembered for it.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) by: SeedChoking,
    /// Bytes that a peer is sent "before rotating in another peer to the unchoke set": `seeding_piece_quota`.
    pub(super) quota: u64,
    peers: BTreeMap<ConnId, Memory>,
}

/// What is remembered of a peer.
#[derive(Clone, Copy, Debug)]
struct Memory {
    /// When it last got a slot, or else joined.
    unchoked_at: Instant,
    /// When it last got an optimistic slot.
    optimistic_at: Option<Instant>,
    /// What it had been sent when it got its slot.
    sent_before: u64,
    /// What had been sent and received at the last round.
    round_sent: u64,
    round_received: u64,
}

impl Order {
    pub(super) fn new(by: SeedChoking, quota: u64) -> Self {
        Self { by, quota, peers: BTreeMap::new() }
    }

    pub(super) fn on_event(&mut self, event: ChokeEvent, now: Instant) {
        match event {
            ChokeEvent::Joined(conn) => {
                let memory = Memory {
                    unchoked_at: now,
                    optimistic_at: None,
                    sent_before: 0,
                    round_sent: 0,
                    round_received: 0,
                };
                self.peers.insert(conn, memory);
            }
            ChokeEvent::Left { conn, .. } => _ = self.peers.remove(&conn),
            _ => (),
        }
    }

    /// The smaller, the sooner a peer gets a slot.
    pub(super) fn rank(&self, peer: &ChokePeer, view: &ChokeView<'_>, now: Instant) -> impl Ord + use<> {
        let memory = self.memory(peer.conn);
        let received = peer.received - memory.round_received;
        let sent = if peer.unchoked { peer.sent - memory.round_sent } else { 0 };
        let (score, served, sent) = match self.by {
            SeedChoking::RoundRobin => (0, peer.unchoked && self.was_served(peer, now), sent),
            SeedChoking::FastestUpload => (0, false, sent),
            SeedChoking::AntiLeech => (from_the_middle(peer, view), false, 0),
        };
        (Reverse(received), Reverse(score), served, Reverse(sent), memory.unchoked_at)
    }

    /// What of its rank tells a peer from most others.
    pub(super) fn reason(&self, peer: &ChokePeer, view: &ChokeView<'_>, now: Instant) -> Reason<ConnId> {
        let memory = self.memory(peer.conn);
        let received = peer.received - memory.round_received;
        let sent = if peer.unchoked { peer.sent - memory.round_sent } else { 0 };
        let new = |score: u64, meaning| Reason::new(peer.conn, score as f64, meaning);
        if received > 0 {
            new(received, "bytes from it since the last round")
        } else if self.by == SeedChoking::AntiLeech {
            new(from_the_middle(peer, view), "thousandths from the middle of its download to an end")
        } else if self.by == SeedChoking::RoundRobin && peer.unchoked && self.was_served(peer, now) {
            new(sent, "bytes to it since the last round").with_note("was sent its quota")
        } else if sent > 0 {
            new(sent, "bytes to it since the last round")
        } else {
            let waited = now.since(memory.unchoked_at).as_secs_f64();
            Reason::new(peer.conn, waited, "s since it got its last slot")
        }
    }

    /// Whether the peer was sent its quota, and had its slot long enough.
    fn was_served(&self, peer: &ChokePeer, now: Instant) -> bool {
        let memory = self.memory(peer.conn);
        peer.sent.saturating_sub(memory.sent_before) > self.quota
            && now.since(memory.unchoked_at) > SHORTEST_TURN
    }

    /// When the peer last got an optimistic slot.
    pub(super) fn optimistic_at(&self, conn: ConnId) -> Option<Instant> {
        self.memory(conn).optimistic_at
    }

    /// A round is over.
    pub(super) fn end_round(&mut self, view: &ChokeView<'_>) {
        for peer in view.peers {
            if let Some(memory) = self.peers.get_mut(&peer.conn) {
                (memory.round_sent, memory.round_received) = (peer.sent, peer.received);
            }
        }
    }

    /// Remembers who got a slot.
    pub(super) fn note(&mut self, view: &ChokeView<'_>, now: Instant, dealt: &[Slot]) {
        for slot in dealt {
            let Some((peer, memory)) = view.peer(slot.conn).zip(self.peers.get_mut(&slot.conn)) else {
                continue;
            };
            if !peer.unchoked {
                (memory.unchoked_at, memory.sent_before) = (now, peer.sent);
            }
            if slot.optimistic && !peer.optimistic {
                memory.optimistic_at = Some(now);
            }
        }
    }

    fn memory(&self, conn: ConnId) -> Memory {
        *self.peers.get(&conn).expect("a peer joins before it is seen")
    }
}

/// libtorrent's `anti_leech_score`: 1,000 at either end of the download, 0 in the middle. A peer that says it has less
/// than it was sent has at least that, up to the middle.
fn from_the_middle(peer: &ChokePeer, view: &ChokeView<'_>) -> u64 {
    let whole = (u64::from(view.pieces) * u64::from(view.piece_len)).max(1);
    let has = (u64::from(peer.pieces) * u64::from(view.piece_len)).max(peer.sent.min(whole / 2));
    has.abs_diff(whole / 2) * 2000 / whole
}
