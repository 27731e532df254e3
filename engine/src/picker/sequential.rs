//! Pieces in order.

use super::{PeerView, Picker, SwarmView};
use crate::dice::Dice;
use crate::units::PieceIndex;
use crate::why::Reason;

/// The open pieces that the peer has, in the order of the content: for streaming, and as the control of what rarest
/// first is good for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl Picker for Sequential {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        _dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let place = |piece: PieceIndex| Reason::new(piece, piece.get() as f64, "pieces from the beginning");
        view.why.say(|| view.offered_by(peer).map(place));
        out.extend(view.offered_by(peer).take(want));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picker::tests::check;

    #[test]
    fn the_first_open_piece_that_the_peer_has() {
        check(
            &mut Sequential,
            "
            copies 9999 1111
            have   x... ....
            begun  .x.. ....
            peer   xx.x xx.x
            pick   ...1 23.4
            ",
        );
    }
}
