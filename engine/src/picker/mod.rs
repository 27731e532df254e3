//! Which piece to download next.

mod availability;

use std::fmt;
use std::net::SocketAddr;

use crate::bitfield::Bitfield;
use crate::dice::Dice;
use crate::units::PieceIndex;

pub use availability::Availability;

/// A policy over pieces. The engine finishes pieces that are under way first ("strict priority", Cohen 2003), tracks
/// blocks, and runs the endgame; the picker says which pieces to *begin*.
pub trait Picker: fmt::Debug + Send {
    /// Adds up to `want` pieces to begin with this peer to `out`, best first: each must be open (missing and not
    /// begun) and the peer must have it; others are passed over. Called once a refill, not once a block.
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    );

    /// Something changed; for pickers that keep state of their own.
    fn on_change(&mut self, _change: &Change) {}
}

/// A change that a picker may follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Change {
    /// We have a piece, checked.
    Got(PieceIndex),
    /// A piece was begun.
    Begun(PieceIndex),
    /// A piece that was begun is open again: it failed its check, or nobody who has it is left.
    Reopened(PieceIndex),
}

/// One peer, as a picker sees it.
#[derive(Clone, Copy, Debug)]
pub struct PeerView<'a> {
    /// Its address.
    pub addr: SocketAddr,
    /// What it has.
    pub has: &'a Bitfield,
    /// Payload bytes a second that it sends us.
    pub rate_down: u64,
}

/// The torrent, as a picker sees it.
#[derive(Clone, Copy, Debug)]
pub struct SwarmView<'a> {
    /// What we have.
    pub have: &'a Bitfield,
    /// How many peers have each piece, and which pieces are open.
    pub availability: &'a Availability,
}
