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
    let regular = regular(deal, dice);
    out.extend(regular.iter().map(|peer| slot(peer, false)));
    fill_in_turn(deal, rotation, start, out);
    unchoke_idle(deal, &regular, start, out);
}

/// Those who earned a regular slot. Between rechokes, holders of any slot come before all others.
fn regular<'a>(deal: &Deal<'a>, dice: &mut Dice) -> Vec<&'a ChokePeer> {
    let between = deal.round.is_none();
    let holds = |peer: &ChokePeer| between && peer.interested && peer.unchoked;
    let earns = |peer: &ChokePeer| deal.may_serve(peer) && !peer.snubbed && peer.rate_down > 0;
    let in_turn = |peer: &ChokePeer| holds(peer) && peer.optimistic;
    let peers = deal.view.peers.iter();
    let mut regular: Vec<_> =
        peers.clone().filter(|peer| (earns(peer) || holds(peer)) && !in_turn(peer)).collect();
    dice.shuffle(&mut regular);
    regular.sort_unstable_by_key(|peer| (!holds(peer), Reverse(peer.rate_down), !peer.unchoked));
    let taken = peers.filter(|peer| in_turn(peer)).count();
    regular.truncate(deal.slots.saturating_sub(deal.optimistic.max(taken)));
    regular
}

/// Fills the slots that are left: those who hold one keep it until the turn changes, "every 30 seconds" (BEP 3).
fn fill_in_turn(deal: &Deal<'_>, rotation: &mut Rotation, start: usize, out: &mut Vec<Slot>) {
    let peer = |conn| deal.view.peer(conn);
    let turn_changes = deal.round.is_some_and(|round| round.is_multiple_of(deal.rotate_every.max(1)));
    if turn_changes {
        rotation.send_back(|conn| peer(conn).is_some_and(|peer| peer.optimistic));
    }
    let keeps = |peer: &ChokePeer| peer.unchoked && peer.optimistic && !turn_changes;
    for kept in [true, false] {
        for next in
            rotation.iter().filter_map(peer).filter(|peer| deal.may_serve(peer) && keeps(peer) == kept)
        {
            if out.len() - start >= deal.slots {
                return;
            }
            if out[start..].iter().all(|slot| slot.conn != next.conn) {
                out.push(slot(next, true));
            }
        }
    }
}

/// "Peers which have a better upload rate but aren't interested get unchoked and if they become interested the worst
/// uploader gets choked" (BEP 3). They are chosen at a rechoke; later each slot that is given away takes one of them, so
/// that a peer whose interest comes and goes cannot make others' slots flap.
fn unchoke_idle(deal: &Deal<'_>, regular: &[&ChokePeer], start: usize, out: &mut Vec<Slot>) {
    let idle = deal.view.peers.iter().filter(|peer| !peer.interested && !peer.snubbed && !peer.seed);
    if deal.round.is_some() {
        if let Some(worst) = regular.last().filter(|_| regular.len() + deal.optimistic >= deal.slots) {
            out.extend(idle.filter(|peer| peer.rate_down > worst.rate_down).map(|peer| slot(peer, false)));
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
    out.extend(idle.into_iter().map(|peer| slot(peer, false)));
}

fn slot(peer: &ChokePeer, optimistic: bool) -> Slot {
    Slot { conn: peer.conn, optimistic, cap: None }
}
