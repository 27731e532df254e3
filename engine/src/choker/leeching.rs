//! Tit for tat (Cohen 2003, BEP 3).
//!
//! "Reciprocation and number of uploads capping is managed by unchoking the four peers which have the best upload rate
//! and are interested": the regular slots. They have to be earned; a peer that sends us nothing, or snubs us, gets
//! none. The optimistic slot and those that nobody earned are dealt in turn.

use std::cmp::Reverse;

use super::deal::Deal;
use super::rotation::Rotation;
use super::{ChokePeer, Slot};
use crate::dice::Dice;

/// Adds everyone who is to have a slot to `out`.
pub(super) fn deal(deal: &Deal<'_>, rotation: &mut Rotation, dice: &mut Dice, out: &mut Vec<Slot>) {
    let start = out.len();
    let earns = |peer: &ChokePeer| !peer.snubbed && peer.rate_down > 0;
    let regular = deal.regular(dice, earns, |peer| Reverse(peer.rate_down));
    out.extend(regular.iter().map(|peer| Slot::regular(peer.conn)));
    deal.fill_in_turn(rotation, start, out);
    unchoke_idle(deal, &regular, start, out);
}

/// "Peers which have a better upload rate but aren't interested get unchoked and if they become interested the worst
/// uploader gets choked" (BEP 3). They are chosen at a rechoke; later each slot that is given away takes one of them, so
/// that a peer whose interest comes and goes cannot make others' slots flap.
fn unchoke_idle(deal: &Deal<'_>, regular: &[&ChokePeer], start: usize, out: &mut Vec<Slot>) {
    let idle = deal.view.peers.iter().filter(|peer| !peer.interested && !peer.snubbed && !peer.seed);
    if deal.round.is_some() {
        if let Some(worst) = regular.last().filter(|_| regular.len() + deal.optimistic >= deal.slots) {
            out.extend(
                idle.filter(|peer| peer.rate_down > worst.rate_down).map(|peer| Slot::regular(peer.conn)),
            );
        }
        return;
    }
    let newly = out[start..]
        .iter()
        .filter_map(|slot| deal.view.peer(slot.conn))
        .filter(|peer| !peer.unchoked)
        .count();
    let mut idle: Vec<_> = idle.filter(|peer| peer.unchoked).collect();
    idle.sort_unstable_by_key(|peer| (Reverse(peer.rate_down), peer.conn));
    idle.truncate(idle.len().saturating_sub(newly));
    out.extend(idle.into_iter().map(|peer| Slot::regular(peer.conn)));
}
