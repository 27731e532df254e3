//! What one decision is about.

use super::{ChokePeer, ChokeView};
use crate::time::Instant;

/// The peers, and how many slots there are to be dealt among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deal<'a> {
    pub(super) view: &'a ChokeView<'a>,
    pub(super) now: Instant,
    /// All slots.
    pub(super) slots: usize,
    /// Those of them that are optimistic while leeching.
    pub(super) optimistic: usize,
    /// The number of this rechoke, or `None` between rechokes.
    pub(super) round: Option<u32>,
    /// When the last rechoke was.
    pub(super) round_began: Instant,
    /// After how many rechokes the turn changes.
    pub(super) rotate_every: u32,
}

impl Deal<'_> {
    /// Whether `peer` may have a slot: one that lost its slot since the last rechoke has to wait for the next, so that
    /// nobody is choked and unchoked over and over.
    pub(super) fn may_serve(&self, peer: &ChokePeer) -> bool {
        let settled = self.round.is_some() || peer.unchoked || peer.changed_at <= self.round_began;
        peer.interested && settled
    }
}
