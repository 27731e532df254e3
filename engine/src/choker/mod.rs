//! Whom to upload to.

mod bittyrant;
mod block_tit_for_tat;
mod control;
mod deal;
mod everyone;
mod leeching;
mod libtorrent;
mod propshare;
mod quota;
mod rotation;
mod rounds;
mod seeding;
mod standard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

use crate::dice::Dice;
use crate::time::Instant;
use crate::units::ConnId;
use crate::why::Why;

pub use bittyrant::{BitTyrant, BitTyrantConfig};
pub use block_tit_for_tat::BlockTitForTat;
pub use control::{Random, RoundRobin};
pub use everyone::Everyone;
pub use libtorrent::{Libtorrent, LibtorrentConfig};
pub use propshare::{PropShare, PropShareConfig};
pub use quota::SeedChoking;
pub use rounds::{Slots, StandardConfig};
pub use standard::{Seeding, Standard};

/// A policy over upload slots.
pub trait Choker: fmt::Debug + Send {
    /// Adds to `out` everyone who is to be unchoked from now on; everyone else is choked. A choker that wants to be
    /// understood tells [`ChokeView::why`].
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>);

    /// When [`Choker::decide`] is due next. The engine also calls it when [`Choker::on_event`] says so.
    fn next_decision(&self) -> Instant;

    /// Something happened; whether a decision is due at once. Called for every block: keep it cheap.
    fn on_event(&mut self, _event: ChokeEvent, _now: Instant, _dice: &mut Dice) -> bool {
        false
    }
}

/// An unchoked peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Who.
    pub conn: ConnId,
    /// Whether the slot is an optimistic one.
    pub optimistic: bool,
    /// The most that the slot may be sent, in payload bytes a second.
    pub cap: Option<u64>,
}

impl Slot {
    /// A slot that was earned, without a cap.
    pub fn regular(conn: ConnId) -> Self {
        Self { conn, optimistic: false, cap: None }
    }

    /// A slot that was not earned, without a cap.
    pub fn optimistic(conn: ConnId) -> Self {
        Self { conn, optimistic: true, cap: None }
    }

    /// The same slot, to be sent at most `cap` payload bytes a second.
    pub fn capped(self, cap: Option<u64>) -> Self {
        Self { cap, ..self }
    }
}

/// What happened to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ChokeEvent {
    /// It can be unchoked from now on.
    Joined(ConnId),
    /// It is gone.
    Left {
        /// Who.
        conn: ConnId,
        /// Whether it had a slot.
        unchoked: bool,
    },
    /// It wants what we have.
    Interested {
        /// Who.
        conn: ConnId,
        /// Whether it has a slot.
        unchoked: bool,
    },
    /// It wants nothing more.
    NotInterested {
        /// Who.
        conn: ConnId,
        /// Whether it has a slot.
        unchoked: bool,
    },
    /// It sent us a block.
    BlockReceived(ConnId),
    /// We sent it a block.
    BlockSent(ConnId),
}

/// The peers, as a choker sees them.
#[derive(Clone, Copy, Debug)]
pub struct ChokeView<'a> {
    /// All that can be unchoked, sorted by [`ChokePeer::conn`].
    pub peers: &'a [ChokePeer],
    /// Whether we have everything.
    pub seeding: bool,
    /// How many pieces there are.
    pub pieces: u32,
    /// Bytes in a piece; the last may have fewer.
    pub piece_len: u32,
    /// Payload bytes a second that we send in all.
    pub rate_up: u64,
    /// The limit on what we send in all, in payload bytes a second.
    pub limit_up: Option<u64>,
    /// Where the choker says why it unchokes whom, if anybody asks.
    pub why: Why<'a, ConnId>,
}

impl<'a> ChokeView<'a> {
    /// The peer at the other end of `conn`, if it can be unchoked.
    pub fn peer(&self, conn: ConnId) -> Option<&'a ChokePeer> {
        self.peers.binary_search_by_key(&conn, |peer| peer.conn).ok().map(|at| &self.peers[at])
    }
}

/// One peer, as a choker sees it. Rates are payload bytes a second over the last 20 s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChokePeer {
    /// Who.
    pub conn: ConnId,
    /// The other end, as the socket has it.
    pub addr: SocketAddr,
    /// Whether it wants what we have.
    pub interested: bool,
    /// Whether we want what it has.
    pub interesting: bool,
    /// Whether it has a slot now.
    pub unchoked: bool,
    /// Whether that slot is an optimistic one.
    pub optimistic: bool,
    /// Whether it sent nothing of what we asked for in the last minute.
    pub snubbed: bool,
    /// Whether it chokes us.
    pub choking: bool,
    /// Whether it has everything.
    pub seed: bool,
    /// How many pieces it has, as it says.
    pub pieces: u32,
    /// From it to us.
    pub rate_down: u64,
    /// From us to it.
    pub rate_up: u64,
    /// Bytes it sent us since it joined.
    pub received: u64,
    /// Bytes we sent it since it joined.
    pub sent: u64,
    /// When it joined.
    pub joined_at: Instant,
    /// When it last got or lost a slot; [`Instant::ZERO`] if never.
    pub changed_at: Instant,
}
