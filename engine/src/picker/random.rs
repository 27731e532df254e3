//! Pieces at random.

use super::{PeerView, Picker, SwarmView};
use crate::bitfield::Bitfield;
use crate::dice::Dice;
use crate::units::PieceIndex;

/// How often [`draw`] tries its luck in a row before it looks through all.
const PROBES: u32 = 8;

/// Any open piece that the peer has, each as likely as the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl Picker for Random {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        view.why.remark("at random");
        let start = out.len();
        if peer.offers_few() {
            out.extend(view.offered_by(peer));
            dice.shuffle(&mut out[start..]);
            out.truncate(start + want);
        } else {
            draw(view.availability.open_pieces(), peer.has, start + want, dice, out);
        }
    }
}

/// Draws pieces that the peer `has` from `pieces` until there are `len` in `out`, none twice. Where the peer has many of
/// them a few probes do, each piece as likely as the next; else all are looked through from a random start.
pub(super) fn draw(
    pieces: &[PieceIndex],
    has: &Bitfield,
    len: usize,
    dice: &mut Dice,
    out: &mut Vec<PieceIndex>,
) {
    let mut misses = 0;
    while misses < PROBES && out.len() < len {
        let Some(at) = dice.index(pieces.len()) else { return };
        if has.has(pieces[at]) && !out.contains(&pieces[at]) {
            out.push(pieces[at]);
            misses = 0;
        } else {
            misses += 1;
        }
    }
    if out.len() < len {
        let (before, after) = pieces.split_at(dice.below(pieces.len() as u64) as usize);
        for &piece in after.iter().chain(before) {
            if has.has(piece) && !out.contains(&piece) {
                out.push(piece);
                if out.len() == len {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picker::tests::{assert_uniform, check};

    #[test]
    fn any_open_piece_that_the_peer_has() {
        check(
            &mut Random,
            "
            copies 9111 2222
            have   ...x ....
            begun  .... x...
            peer   xx.x xx..
            pick   11.. .1..
            ",
        );
    }

    #[test]
    fn all_are_equally_likely() {
        assert_uniform(&mut Random, 200, |_| true);
        assert_uniform(&mut Random, 200, |piece| piece % 10 == 3);
    }
}
