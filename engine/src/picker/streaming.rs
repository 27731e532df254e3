//! Pieces for somebody who watches while they come.

use super::{PeerView, Picker, RarestFirst, SwarmView};
use crate::dice::Dice;
use crate::units::PieceIndex;
use crate::why::Reason;

/// A window over the next missing pieces, and all others behind it. A piece is taken from the window with probability
/// [`p`](Streaming::p), else from behind it; from the other where one of them offers nothing.
///
/// With [`Inside::RarestFirst`] this is BiToS (Vlavianos, Iliofotou and Faloutsos, "BiToS: Enhancing BitTorrent for
/// supporting streaming applications", Global Internet 2006): its "high priority set" is the window, the "remaining
/// pieces set" what is behind it, both are taken rarest first, and the paper recommends p = 0.8 and a set of 8% of the
/// pieces. With [`Inside::InOrder`] it is the mixture of greedy and rarest first of Zhou, Chiu and Lui ("A simple model
/// for analyzing P2P streaming protocols", ICNP 2007): greedy near the point of playback, rarest first behind.
///
/// The window begins at the first piece that is missing: playback waits there at the latest.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Streaming {
    /// How likely a piece is taken from the window, 0 to 1.
    pub p: f64,
    /// Missing pieces in the window.
    pub window: u32,
    /// In which order those of the window are taken.
    pub inside: Inside,
}

/// The order within the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inside {
    /// As they are played.
    InOrder,
    /// Fewest copies first.
    RarestFirst,
}

impl Picker for Streaming {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let missing = |&piece: &PieceIndex| !view.have.has(piece);
        let pieces = (0..view.have.len()).map(PieceIndex);
        // Behind the last piece of the window; begun pieces are in it too, since they are still missing.
        let last = pieces.filter(missing).take(self.window as usize).last();
        let is_inside = |piece: PieceIndex| last.is_some_and(|last| piece <= last);
        let (mut inside, behind) = rarest_first_apart(view, peer, dice, is_inside);
        if self.inside == Inside::InOrder {
            inside.sort_unstable();
        }
        view.why.remark("of the window with probability `p`, else from behind it");
        view.why.say(|| {
            let in_window = |&piece: &PieceIndex| match self.inside {
                Inside::InOrder => {
                    Reason::new(piece, piece.get() as f64, "pieces from the beginning, in the window")
                }
                Inside::RarestFirst => view.copies(piece, "copies, in the window"),
            };
            let is_behind = |&piece: &PieceIndex| view.copies(piece, "copies, behind the window");
            inside.iter().map(in_window).chain(behind.iter().map(is_behind))
        });
        let (mut inside, mut behind) = (inside.into_iter(), behind.into_iter());
        for _ in 0..want {
            let first = dice.unit() < self.p;
            let piece = if first {
                inside.next().or_else(|| behind.next())
            } else {
                behind.next().or_else(|| inside.next())
            };
            let Some(piece) = piece else { return };
            out.push(piece);
        }
    }
}

/// The open pieces that the peer has, rarest first: those that are urgent, and the others.
pub(super) fn rarest_first_apart(
    view: &SwarmView<'_>,
    peer: &PeerView<'_>,
    dice: &mut Dice,
    is_urgent: impl Fn(PieceIndex) -> bool,
) -> (Vec<PieceIndex>, Vec<PieceIndex>) {
    let mut ranked = Vec::new();
    RarestFirst { random_first: 0 }.pick(&view.unasked(), peer, usize::MAX, dice, &mut ranked);
    ranked.into_iter().partition(|&piece| is_urgent(piece))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picker::tests::check;

    #[test]
    fn with_p_1_the_window_comes_first_in_order_and_the_rarest_behind_it() {
        check(
            &mut Streaming { p: 1.0, window: 3, inside: Inside::InOrder },
            "
            copies 3121 3221
            have   x... ....
            begun  .... ....
            peer   xxxx xxxx
            pick   .123 6554
            ",
        );
    }

    #[test]
    fn a_piece_that_is_begun_is_in_the_window() {
        check(
            &mut Streaming { p: 1.0, window: 3, inside: Inside::InOrder },
            "
            copies 3111 3221
            have   x... ....
            begun  .x.. ....
            peer   xxxx xxxx
            pick   ..12 5443
            ",
        );
    }

    #[test]
    fn bitos_takes_the_rarest_of_the_window() {
        check(
            &mut Streaming { p: 1.0, window: 4, inside: Inside::RarestFirst },
            "
            copies 3212 1321
            have   .... ....
            begun  .... ....
            peer   xxxx xx.x
            pick   3212 45.4
            ",
        );
    }

    #[test]
    fn with_p_0_the_window_comes_last() {
        check(
            &mut Streaming { p: 0.0, window: 2, inside: Inside::InOrder },
            "
            copies 3212 1321
            have   .... ....
            begun  .... ....
            peer   xxxx xxxx
            pick   4512 1321
            ",
        );
    }
}
