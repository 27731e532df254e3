//! Which piece to download next.

mod availability;
mod deadline;
mod most_common;
mod random;
mod rarest_first;
mod sequential;
mod streaming;

use std::fmt;
use std::net::SocketAddr;

use crate::bitfield::Bitfield;
use crate::dice::Dice;
use crate::time::Instant;
use crate::units::PieceIndex;
use crate::why::{Reason, Why};

pub use availability::Availability;
pub use deadline::Deadline;
pub use most_common::MostCommonFirst;
pub use random::Random;
pub use rarest_first::RarestFirst;
pub use sequential::Sequential;
pub use streaming::{Inside, Streaming};

/// A policy over pieces. The engine finishes pieces that are under way first ("strict priority", Cohen 2003), tracks
/// blocks, and runs the endgame; the picker says which pieces to *begin*.
pub trait Picker: fmt::Debug + Send {
    /// Adds up to `want` pieces to begin with this peer to `out`, best first: each must be open (missing and not
    /// begun) and the peer must have it; others are passed over. Called once a refill, not once a block. A picker that
    /// wants to be understood tells [`SwarmView::why`].
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
    /// The time.
    pub now: Instant,
    /// Where the picker says why it picks what it picks, if anybody asks.
    pub why: Why<'a, PieceIndex>,
}

/// A peer with no more pieces than this has its pieces gone through one by one, rather than the open ones.
const FEW: u32 = 64;

impl PeerView<'_> {
    /// Whether it is quicker to go through the pieces of this peer than to look for some of them among the open ones.
    fn offers_few(&self) -> bool {
        self.has.count() <= FEW
    }
}

impl<'a> SwarmView<'a> {
    /// The same view, whose picker is not asked why: for a picker that uses another.
    fn unasked(&self) -> Self {
        Self { why: Why::default(), ..*self }
    }

    /// How many copies a piece has, as a reason.
    fn copies(&self, piece: PieceIndex, meaning: &'static str) -> Reason<PieceIndex> {
        Reason::new(piece, f64::from(self.availability.copies_of(piece)), meaning)
    }

    /// The open pieces that the peer has, in order of index. Looks at every 64 pieces once.
    pub fn offered_by(self, peer: &PeerView<'a>) -> impl Iterator<Item = PieceIndex> + use<'a> {
        peer.has.minus(self.have).filter(move |&piece| self.availability.is_open(piece))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::why::Reasons;

    /// What a picture shows: see [`check`].
    struct Picture {
        availability: Availability,
        have: Bitfield,
        peer: Bitfield,
        ranks: Vec<Option<u32>>,
    }

    impl Picture {
        /// A row's characters, a piece each; blanks are for the eye.
        fn row<'a>(picture: &'a str, label: &str) -> impl Iterator<Item = char> + use<'a> {
            let row = picture.lines().find_map(|line| line.trim().strip_prefix(label));
            row.unwrap_or_else(|| panic!("no row {label}")).chars().filter(|c| !c.is_whitespace())
        }

        fn set(marks: impl IntoIterator<Item = bool>) -> Bitfield {
            let marks: Vec<_> = marks.into_iter().collect();
            let mut set = Bitfield::none(marks.len() as u32);
            let marked = (0..).zip(marks).filter(|&(_, marked)| marked);
            marked.for_each(|(piece, _)| _ = set.insert(PieceIndex(piece)));
            set
        }

        /// With `begun` more pieces behind those of the picture, which the peer and nine more have and which are begun.
        fn parse(picture: &str, begun: usize, dice: &mut Dice) -> Self {
            let row = |label| {
                let behind = match label {
                    "copies" => '9',
                    "begun" | "peer" => 'x',
                    _ => '.',
                };
                Self::row(picture, label).chain(std::iter::repeat_n(behind, begun))
            };
            let marked = |label| Self::set(row(label).map(|c| c == 'x'));
            let (have, begun) = (marked("have"), marked("begun"));
            let mut availability = Availability::new(have.len(), dice);
            for copy in 1..=9 {
                let has = row("copies").map(|c| c.to_digit(10).expect("a digit") >= copy);
                availability.add_peer(&Self::set(has));
            }
            have.iter().chain(begun.iter()).for_each(|piece| availability.close(piece));
            availability.check_invariants();
            let ranks = row("pick").map(|c| c.to_digit(10)).collect();
            Self { availability, have, peer: marked("peer"), ranks }
        }

        fn pick(&self, picker: &mut dyn Picker, want: usize, dice: &mut Dice) -> Vec<PieceIndex> {
            let reasons = RefCell::default();
            let why = Why::asked(&reasons);
            let view =
                SwarmView { have: &self.have, availability: &self.availability, now: Instant::ZERO, why };
            let addr = SocketAddr::from(([10, 0, 0, 1], 6881));
            let peer = PeerView { addr, has: &self.peer, rate_down: 0 };
            let mut out = Vec::new();
            picker.pick(&view, &peer, want, dice, &mut out);
            assert_explained(&view, &peer, &reasons.borrow(), &out);
            out
        }
    }

    /// Every picker says of all pieces that it chooses among what it went by, or else that this was chance; and it does
    /// choose in the order that it says.
    fn assert_explained(
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        reasons: &Reasons<PieceIndex>,
        picked: &[PieceIndex],
    ) {
        let Reasons { candidates, remark } = reasons;
        if candidates.is_empty() && !remark.is_empty() {
            return;
        }
        let mut said: Vec<_> = candidates.iter().map(|reason| reason.of).collect();
        said.sort_unstable();
        assert_eq!(said, view.offered_by(peer).collect::<Vec<_>>(), "each candidate is said once");
        if remark.is_empty() {
            for (piece, next) in picked.iter().zip(candidates) {
                let reason = candidates.iter().find(|reason| reason.of == *piece).expect("all are said");
                assert!(reason.equals(next), "{piece} is picked where {next:?} is said to be next");
            }
        }
    }

    /// Checks a pick against a picture of the swarm, in which each column is a piece: how many peers have it; whether we
    /// have it, have begun it, and the peer has it; and whether it is to be picked. Picked pieces come in the order of
    /// their digits, equal ones in any order. The peer is shown once with few pieces and once with many.
    pub(super) fn check(picker: &mut dyn Picker, picture: &str) {
        for seed in 0..100 {
            let mut dice = Dice::stream(seed, ("test", 0, "picker"));
            let begun = if seed % 2 == 0 { 0 } else { FEW as usize };
            let swarm = Picture::parse(picture, begun, &mut dice);
            let mut expected: Vec<_> = swarm.ranks.iter().copied().filter(Option::is_some).collect();
            expected.sort_unstable();
            for want in 0..=expected.len() + 1 {
                let picked = swarm.pick(picker, want, &mut dice);
                let ranks: Vec<_> = picked.iter().map(|piece| swarm.ranks[piece.get()]).collect();
                let wanted = &expected[..want.min(expected.len())];
                assert_eq!(ranks, wanted, "{want} wanted, {picked:?} picked with seed {seed} of {picture}");
                let distinct: std::collections::BTreeSet<_> = picked.iter().collect();
                assert_eq!(distinct.len(), picked.len(), "a piece is picked twice: {picked:?}");
            }
        }
    }

    /// Checks that the picker begins with each of the pieces that the peer has as often as with any other, where all have
    /// one copy: Pearson's chi-square stays within four standard deviations.
    pub(super) fn assert_uniform(picker: &mut dyn Picker, pieces: u32, peer_has: impl Fn(u32) -> bool) {
        let mut dice = Dice::stream(1, ("test", 0, "uniform"));
        let peer = Picture::set((0..pieces).map(peer_has));
        let availability = Availability::new(pieces, &mut dice);
        let swarm = Picture { availability, have: Bitfield::none(pieces), peer, ranks: Vec::new() };
        let expected = 200.0;
        let mut counts = vec![0.0; pieces as usize];
        for _ in 0..200 * swarm.peer.count() {
            counts[swarm.pick(picker, 1, &mut dice)[0].get()] += 1.0;
        }
        let chi_square: f64 =
            swarm.peer.iter().map(|piece| f64::powi(counts[piece.get()] - expected, 2) / expected).sum();
        let freedom = f64::from(swarm.peer.count() - 1);
        assert!((chi_square - freedom).abs() < 4.0 * (2.0 * freedom).sqrt(), "{chi_square} of {freedom}");
    }
}
