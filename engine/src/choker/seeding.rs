//! Service by upload rate with rotation: mainline's choker for seeds since 4.0.
//!
//! As described by Legout et al. (IMC 2006): peers that were unchoked within the last 20 s keep their slot, the newest
//! first; the others are ordered by the rate at which we send to them. In two of three rounds one slot in four is taken
//! from the last in that order and given to the next in turn, so that fast peers are served well and nobody can hold the
//! seed for ever. (The turn is mainline's, in order; the paper says at random.)

use std::cmp::Reverse;

use super::deal::Deal;
use super::rotation::Rotation;
use super::{ChokePeer, Slot};
use crate::time::Duration;

/// For how long a slot is not taken away.
const RECENT: Duration = Duration::from_secs(20);

/// Adds everyone who is to have a slot to `out`.
pub(super) fn deal(deal: &Deal<'_>, rotation: &mut Rotation, out: &mut Vec<Slot>) {
    let start = out.len();
    let mut kept: Vec<_> = deal.view.peers.iter().filter(|peer| peer.interested && peer.unchoked).collect();
    kept.sort_unstable_by_key(|peer| {
        (Reverse(protected_since(deal, peer)), Reverse(peer.rate_up), peer.conn)
    });
    kept.truncate(deal.slots.saturating_sub(new_slots(deal)));
    out.extend(kept.into_iter().map(|peer| Slot::regular(peer.conn)));
    let is_kept = out.len();
    for next in rotation.iter().filter_map(|conn| deal.view.peer(conn)).filter(|peer| deal.may_serve(peer)) {
        if out.len() - start >= deal.slots {
            break;
        }
        if out[start..is_kept].iter().all(|slot| slot.conn != next.conn) {
            out.push(Slot::regular(next.conn));
        }
    }
    rotation.send_back(|conn| out[is_kept..].iter().any(|slot| slot.conn == conn));
}

/// Slots to be given to others in this round: of four slots none, one, one in three rounds.
fn new_slots(deal: &Deal<'_>) -> usize {
    let thirds = deal.slots.div_ceil(3);
    deal.round.map_or(0, |round| (thirds + round as usize % 3) / 3)
}

/// When the peer got its slot, if that was a short time ago.
fn protected_since(deal: &Deal<'_>, peer: &ChokePeer) -> Option<u64> {
    (deal.now.since(peer.changed_at) < RECENT).then(|| peer.changed_at.as_nanos())
}
