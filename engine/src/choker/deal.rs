//! What one decision is about.

use super::rotation::Rotation;
use super::rounds::Rounds;
use super::{ChokePeer, ChokeView, Slot};
use crate::dice::Dice;
use crate::time::Instant;
use crate::units::ConnId;
use crate::why::Reason;

/// Why a peer that asks has to wait.
pub(super) const BARRED: &str = "lost its slot since the last rechoke, and waits for the next";
/// Why a peer got no regular slot.
pub(super) const OUTDONE: &str = "others come first";

/// The peers, and how many slots there are to be dealt among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deal<'a> {
    pub(super) view: &'a ChokeView<'a>,
    pub(super) now: Instant,
    /// All slots.
    pub(super) slots: usize,
    /// Those of them that are optimistic.
    pub(super) optimistic: usize,
    /// The number of this rechoke, or `None` between rechokes.
    pub(super) round: Option<u32>,
    /// When the last rechoke was.
    pub(super) round_began: Instant,
    /// After how many rechokes the turn changes.
    pub(super) rotate_every: u32,
}

impl<'a> Deal<'a> {
    pub(super) fn new(view: &'a ChokeView<'a>, now: Instant, round: Option<u32>, rounds: &Rounds) -> Self {
        Self {
            view,
            now,
            slots: rounds.slots,
            optimistic: rounds.config.optimistic,
            round,
            round_began: rounds.began,
            rotate_every: rounds.config.rotate_every,
        }
    }

    /// Whether `peer` may have a slot: one that lost its slot since the last rechoke has to wait for the next, so that
    /// nobody is choked and unchoked over and over.
    pub(super) fn may_serve(&self, peer: &ChokePeer) -> bool {
        let settled = self.round.is_some() || peer.unchoked || peer.changed_at <= self.round_began;
        peer.interested && settled
    }

    /// Whether `peer` keeps its slot because no rechoke is due.
    pub(super) fn holds(&self, peer: &ChokePeer) -> bool {
        self.round.is_none() && peer.interested && peer.unchoked
    }

    /// Those who get a regular slot: of those who `earn` one the first by `merit`, ties at random. Between rechokes,
    /// holders of any slot come before all others.
    pub(super) fn regular<K: Ord>(
        &self,
        dice: &mut Dice,
        earns: impl Fn(&ChokePeer) -> bool,
        merit: impl Fn(&ChokePeer) -> K,
    ) -> Vec<&'a ChokePeer> {
        let in_turn = |peer: &ChokePeer| self.holds(peer) && peer.optimistic;
        let peers = self.view.peers.iter();
        let mut regular: Vec<_> = peers
            .clone()
            .filter(|peer| (self.may_serve(peer) && earns(peer) || self.holds(peer)) && !in_turn(peer))
            .collect();
        dice.shuffle(&mut regular);
        regular.sort_unstable_by_key(|peer| (!self.holds(peer), merit(peer), !peer.unchoked));
        let taken = peers.filter(|peer| in_turn(peer)).count();
        regular.truncate(self.slots.saturating_sub(self.optimistic.max(taken)));
        regular
    }

    /// Fills the slots that are left: those who hold one keep it until the turn changes, "every 30 seconds" (BEP 3).
    /// What is dealt already begins at `start`.
    pub(super) fn fill_in_turn(&self, rotation: &mut Rotation, start: usize, out: &mut Vec<Slot>) {
        let peer = |conn| self.view.peer(conn);
        if self.turn_changes() {
            rotation.send_back(|conn| peer(conn).is_some_and(|peer| peer.optimistic));
        }
        for kept in [true, false] {
            for next in rotation
                .iter()
                .filter_map(peer)
                .filter(|peer| self.may_serve(peer) && self.keeps_turn(peer) == kept)
            {
                if out.len() - start >= self.slots {
                    return;
                }
                if out[start..].iter().all(|slot| slot.conn != next.conn) {
                    out.push(Slot::optimistic(next.conn));
                }
            }
        }
    }

    fn turn_changes(&self) -> bool {
        self.round.is_some_and(|round| round.is_multiple_of(self.rotate_every.max(1)))
    }

    /// Whether `peer` keeps its optimistic slot because it is still its turn.
    fn keeps_turn(&self, peer: &ChokePeer) -> bool {
        peer.unchoked && peer.optimistic && !self.turn_changes()
    }

    /// Says of those who got a regular slot what they got it for.
    pub(super) fn say_regular(&self, regular: &[&ChokePeer], merit: impl Fn(&ChokePeer) -> Reason<ConnId>) {
        self.view.why.say(|| regular.iter().map(|peer| self.note_held(peer, merit(peer))));
    }

    /// Says of all others when their turn is, in the order of [`Deal::fill_in_turn`], which has been; and why they got
    /// no regular slot.
    pub(super) fn say_turns(
        &self,
        rotation: &Rotation,
        is_regular: impl Fn(ConnId) -> bool,
        why_not: impl Fn(&ChokePeer) -> &'static str,
    ) {
        let reason = |(place, peer): (usize, &ChokePeer)| {
            let note = if self.keeps_turn(peer) { "keeps it until the turn changes" } else { why_not(peer) };
            let note = if self.may_serve(peer) { note } else { BARRED };
            Reason::new(peer.conn, place as f64, "before it in turn").with_note(note)
        };
        self.view.why.say(|| {
            let in_turn = rotation.iter().filter_map(|conn| self.view.peer(conn)).enumerate();
            let mut others: Vec<_> =
                in_turn.filter(|(_, peer)| peer.interested && !is_regular(peer.conn)).collect();
            others.sort_by_key(|(_, peer)| (!self.may_serve(peer), !self.keeps_turn(peer)));
            others.into_iter().map(reason)
        });
    }

    /// Says of those who may have no slot before the next rechoke that this is so.
    pub(super) fn say_barred(&self) {
        let barred = self.view.peers.iter().filter(|peer| peer.interested && !self.may_serve(peer));
        let waits_s = |peer: &ChokePeer| self.now.since(peer.changed_at).as_secs_f64();
        let reason = |peer: &ChokePeer| {
            Reason::new(peer.conn, waits_s(peer), "s since it lost its slot").with_note(BARRED)
        };
        self.view.why.say(|| barred.map(reason));
    }

    /// Adds to the reason for a slot that it is kept because no rechoke is due, where that is so.
    pub(super) fn note_held(&self, peer: &ChokePeer, reason: Reason<ConnId>) -> Reason<ConnId> {
        if self.holds(peer) { reason.with_note("keeps it until the next rechoke") } else { reason }
    }

    /// Deals regular slots by `merit` to all who are interested, and the optimistic ones in turn.
    pub(super) fn by_merit<K: Ord>(
        &self,
        rotation: &mut Rotation,
        dice: &mut Dice,
        merit: impl Fn(&ChokePeer) -> K,
        reason: impl Fn(&ChokePeer) -> Reason<ConnId>,
        out: &mut Vec<Slot>,
    ) {
        let start = out.len();
        let regular = self.regular(dice, |_| true, merit);
        out.extend(regular.iter().map(|peer| Slot::regular(peer.conn)));
        self.fill_in_turn(rotation, start, out);
        self.say_regular(&regular, reason);
        self.say_turns(rotation, |conn| regular.iter().any(|peer| peer.conn == conn), |_| OUTDONE);
    }
}
