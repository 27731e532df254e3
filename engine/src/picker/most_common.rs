//! The pieces that most peers have: what not to do.

use std::cmp::Reverse;

use super::{PeerView, Picker, SwarmView};
use crate::dice::Dice;
use crate::units::PieceIndex;

/// The opposite of rarest first, for teaching: what all have spreads further, what one alone has is asked for last, and
/// is lost when that one leaves. Ties are broken at random.
#[derive(Clone, Copy, Debug, Default)]
pub struct MostCommonFirst;

impl Picker for MostCommonFirst {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        view.why.largest_first(|| view.offered_by(peer).map(|piece| view.copies(piece, "copies")));
        let start = out.len();
        out.extend(view.offered_by(peer));
        dice.shuffle(&mut out[start..]);
        out[start..].sort_unstable_by_key(|&piece| Reverse(view.availability.copies_of(piece)));
        out.truncate(start + want);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picker::tests::{assert_uniform, check};

    #[test]
    fn most_copies_first() {
        check(
            &mut MostCommonFirst,
            "
            copies 3121 3222
            have   x... ....
            begun  .... ...x
            peer   xxxx xx.x
            pick   .323 12..
            ",
        );
    }

    #[test]
    fn ties_are_equally_likely() {
        assert_uniform(&mut MostCommonFirst, 100, |piece| piece % 2 == 0);
    }
}
