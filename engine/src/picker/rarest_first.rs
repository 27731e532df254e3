//! The pieces that the fewest peers have.

use super::{PeerView, Picker, Random, SwarmView, random::draw};
use crate::dice::Dice;
use crate::units::PieceIndex;

/// "Peers download the pieces which the fewest of their own peers have first" (Cohen 2003); ties are broken at random.
///
/// "An exception to rarest first is when downloading starts": until [`RarestFirst::random_first`] pieces are had, any
/// piece will do, since a rare one may come slowly and there is nothing to upload before.
#[derive(Clone, Copy, Debug)]
pub struct RarestFirst {
    /// Pieces that are picked at random at first; 4 in mainline and libtorrent (`initial_picker_threshold`).
    pub random_first: u32,
}

impl Default for RarestFirst {
    fn default() -> Self {
        Self { random_first: 4 }
    }
}

impl Picker for RarestFirst {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let start = out.len();
        if view.have.count() < self.random_first {
            view.why.remark("at random, since fewer than `random_first` pieces are had");
            return Random.pick(&view.unasked(), peer, want, dice, out);
        }
        view.why.smallest_first(|| view.offered_by(peer).map(|piece| view.copies(piece, "copies")));
        if peer.offers_few() {
            out.extend(view.offered_by(peer));
            dice.shuffle(&mut out[start..]);
            // The sort sees nothing but the copies, so that what was shuffled stays so among equals.
            out[start..].sort_unstable_by_key(|&piece| view.availability.copies_of(piece));
            out.truncate(start + want);
        } else {
            for (_, bucket) in view.availability.rarest_first() {
                if out.len() == start + want {
                    break;
                }
                draw(bucket, peer.has, start + want, dice, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picker::tests::{assert_uniform, check};

    const RAREST: RarestFirst = RarestFirst { random_first: 0 };

    #[test]
    fn fewest_copies_first_and_ties_in_any_order() {
        check(
            &mut { RAREST },
            "
            copies 3121 3222
            have   .... ....
            begun  .... ....
            peer   xxxx xxxx
            pick   3121 3222
            ",
        );
    }

    #[test]
    fn what_we_have_or_began_or_the_peer_lacks_is_passed_over() {
        check(
            &mut { RAREST },
            "
            copies 1111 2345
            have   x... ....
            begun  .x.. ....
            peer   xx.x .xxx
            pick   ...1 .234
            ",
        );
    }

    #[test]
    fn nothing_where_the_peer_has_nothing_open() {
        check(
            &mut { RAREST },
            "
            copies 1111
            have   x...
            begun  .xx.
            peer   xxx.
            pick   ....
            ",
        );
    }

    #[test]
    fn the_first_pieces_are_random() {
        check(
            &mut RarestFirst::default(),
            "
            copies 9991 9999
            have   x.x. .x..
            begun  .... ....
            peer   xxxx xxxx
            pick   .1.1 1.11
            ",
        );
    }

    #[test]
    fn once_four_pieces_are_had_the_rarest_comes_first() {
        check(
            &mut RarestFirst::default(),
            "
            copies 9991 9999
            have   xxx. .x..
            begun  .... ....
            peer   xxxx xxxx
            pick   ...1 2.22
            ",
        );
    }

    #[test]
    fn ties_are_equally_likely() {
        assert_uniform(&mut { RAREST }, 200, |_| true);
        assert_uniform(&mut { RAREST }, 200, |piece| piece % 10 == 3);
        assert_uniform(&mut { RAREST }, 200, |piece| piece % 2 == 0);
    }
}
