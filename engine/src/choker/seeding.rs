//! Service by upload rate with rotation: mainline's choker for seeds since 4.0.
//!
//! As described by Legout et al. (IMC 2006): peers that were unchoked within the last 20 s keep their slot, the newest
//! first; the others are ordered by the rate at which we send to them. In two of three rounds one slot in four is taken
//! from the last in that order and given to the next in turn, so that fast peers are served well and nobody can hold the
//! seed for ever. (The turn is mainline's, in order; the paper says at random.)

use std::cmp::Reverse;

use super::deal::{BARRED, Deal};
use super::rotation::Rotation;
use super::{ChokePeer, Slot};
use crate::time::Duration;
use crate::why::Reason;

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
    out.extend(kept.iter().map(|peer| Slot::regular(peer.conn)));
    let is_kept = out.len();
    say_why(deal, rotation, &kept);
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

/// Says of those who keep their slot what they keep it for, and of all others when their turn is.
fn say_why(deal: &Deal<'_>, rotation: &Rotation, kept: &[&ChokePeer]) {
    deal.view.why.say(|| {
        kept.iter().map(|peer| {
            let is_new = protected_since(deal, peer).is_some();
            let note = if is_new { "has it for less than 20 s" } else { "" };
            Reason::new(peer.conn, peer.rate_up as f64, "bytes/s to it").with_note(note)
        })
    });
    let is_kept = |conn| kept.iter().any(|peer| peer.conn == conn);
    let reason = |(place, peer): (usize, &ChokePeer)| {
        let note = match peer.unchoked {
            _ if !deal.may_serve(peer) => BARRED,
            true => "gives its slot to the next",
            false => "",
        };
        Reason::new(peer.conn, place as f64, "before it in turn").with_note(note)
    };
    deal.view.why.say(|| {
        let in_turn = rotation.iter().filter_map(|conn| deal.view.peer(conn)).enumerate();
        let mut others: Vec<_> = in_turn.filter(|(_, peer)| peer.interested && !is_kept(peer.conn)).collect();
        others.sort_by_key(|(_, peer)| !deal.may_serve(peer));
        others.into_iter().map(reason)
    });
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
