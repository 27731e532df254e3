//! Tit for tat (Cohen 2003, BEP 3).
//!
//! "Reciprocation and number of uploads capping is managed by unchoking the four peers which have the best upload rate
//! and are interested": the regular slots. They have to be earned; a peer that sends us nothing, or snubs us, gets
//! none. The optimistic slot and those that nobody earned are dealt in turn.

use std::cmp::Reverse;

use super::deal::{Deal, OUTDONE};
use super::rotation::Rotation;
use super::{ChokePeer, Slot};
use crate::dice::Dice;
use crate::units::ConnId;
use crate::why::Reason;

/// Adds everyone who is to have a slot to `out`.
pub(super) fn deal(deal: &Deal<'_>, rotation: &mut Rotation, dice: &mut Dice, out: &mut Vec<Slot>) {
    let start = out.len();
    let earns = |peer: &ChokePeer| !peer.snubbed && peer.rate_down > 0;
    let regular = deal.regular(dice, earns, |peer| Reverse(peer.rate_down));
    out.extend(regular.iter().map(|peer| Slot::regular(peer.conn)));
    deal.fill_in_turn(rotation, start, out);
    deal.say_regular(&regular, |peer| Reason::new(peer.conn, peer.rate_down as f64, "bytes/s from it"));
    deal.say_turns(
        rotation,
        |conn| regular.iter().any(|peer| peer.conn == conn),
        |peer| match peer {
            ChokePeer { snubbed: true, .. } => "snubs us",
            ChokePeer { rate_down: 0, .. } => "sends nothing",
            _ => OUTDONE,
        },
    );
    unchoke_idle(deal, &regular, start, out);
}

/// "Peers which have a better upload rate but aren't interested get unchoked and if they become interested the worst
/// uploader gets choked" (BEP 3). They are chosen at a rechoke; later each slot that is given away takes one of them, so
/// that a peer whose interest comes and goes cannot make others' slots flap.
fn unchoke_idle(deal: &Deal<'_>, regular: &[&ChokePeer], start: usize, out: &mut Vec<Slot>) {
    let idle = deal.view.peers.iter().filter(|peer| !peer.interested && !peer.snubbed && !peer.seed);
    if deal.round.is_some() {
        if let Some(worst) = regular.last().filter(|_| regular.len() + deal.optimistic >= deal.slots) {
            let better = idle.filter(|peer| peer.rate_down > worst.rate_down);
            deal.view.why.say(|| {
                better.clone().map(|peer| {
                    idle_reason(peer, "wants nothing yet, and sends more than the last of the others")
                })
            });
            out.extend(better.map(|peer| Slot::regular(peer.conn)));
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
    deal.view.why.say(|| {
        idle.iter().map(|peer| idle_reason(peer, "wants nothing, and keeps it until somebody else needs it"))
    });
    out.extend(idle.into_iter().map(|peer| Slot::regular(peer.conn)));
}

/// Why a peer that wants nothing has a slot.
fn idle_reason(peer: &ChokePeer, note: &'static str) -> Reason<ConnId> {
    Reason::new(peer.conn, peer.rate_down as f64, "bytes/s from it").with_note(note)
}
