//! How many copies of each piece there are in all: what no client can know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::{PeerView, Picker, SwarmView};
use torrentlab_engine::units::PieceIndex;
use torrentlab_engine::why::Reason;

/// Copies of each piece among the hosts present. Clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<[AtomicU32]>);

impl Census {
    /// No copies of `pieces` pieces.
    pub fn new(pieces: u32) -> Self {
        Self((0..pieces).map(|_| AtomicU32::new(0)).collect())
    }

    /// How many hosts that are present have `piece`.
    pub fn copies_of(&self, piece: PieceIndex) -> u32 {
        self.0[piece.get()].load(Ordering::Relaxed)
    }

    /// The copies of all pieces.
    pub fn copies(&self) -> Vec<u32> {
        self.0.iter().map(|copies| copies.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn add(&self, piece: PieceIndex) {
        self.0[piece.get()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn take_away(&self, piece: PieceIndex) {
        self.0[piece.get()].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Rarest first by the copies in the whole swarm, and not among one's neighbours alone: an oracle, to see what the
/// ignorance of clients costs. It is the "global rarest first" that theory assumes.
#[derive(Clone, Debug)]
pub struct GlobalRarestFirst {
    census: Census,
}

impl GlobalRarestFirst {
    /// A picker that knows `census`.
    pub const fn new(census: Census) -> Self {
        Self { census }
    }
}

impl Picker for GlobalRarestFirst {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let copies =
            |piece| Reason::new(piece, f64::from(self.census.copies_of(piece)), "copies in the whole swarm");
        view.why.smallest_first(|| view.offered_by(peer).map(copies));
        let start = out.len();
        out.extend(view.offered_by(peer));
        dice.shuffle(&mut out[start..]);
        out[start..].sort_unstable_by_key(|&piece| self.census.copies_of(piece));
        out.truncate(start + want);
    }
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::bitfield::Bitfield;
    use torrentlab_engine::picker::Availability;
    use torrentlab_engine::time::Instant;
    use torrentlab_engine::why::Why;

    use super::*;

    #[test]
    fn the_whole_swarm_counts_and_not_the_neighbours() {
        let census = Census::new(3);
        let mut dice = Dice::stream(1, ("test", 0, "census"));
        for (piece, copies) in [(0, 5), (1, 1), (2, 3)] {
            (0..copies).for_each(|_| census.add(PieceIndex(piece)));
        }
        census.take_away(PieceIndex(0));
        assert_eq!(census.copies(), [4, 1, 3]);
        // Among the neighbours piece 1 is the most common one.
        let mut availability = Availability::new(3, &mut dice);
        let mut neighbour = Bitfield::none(3);
        neighbour.insert(PieceIndex(1));
        availability.add_peer(&neighbour);
        let (have, all) = (Bitfield::none(3), Bitfield::all(3));
        let why = Why::default();
        let view = SwarmView { have: &have, availability: &availability, now: Instant::ZERO, why };
        let peer = PeerView { addr: ([10, 0, 0, 1], 1).into(), has: &all, rate_down: 0 };
        let mut out = Vec::new();
        GlobalRarestFirst::new(census).pick(&view, &peer, 2, &mut dice, &mut out);
        assert_eq!(out, [PieceIndex(1), PieceIndex(2)]);
    }
}
