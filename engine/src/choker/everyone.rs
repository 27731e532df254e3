//! No choking at all: rqbit's.

use super::{ChokeEvent, ChokeView, Choker, Slot};
use crate::dice::Dice;
use crate::time::Instant;

/// Everyone is unchoked at once and for good, before it is interested even. rqbit's `peer_connection` sends an unchoke
/// right after its bitfield, and never a choke.
#[derive(Clone, Copy, Debug)]
pub struct Everyone;

impl Choker for Everyone {
    fn decide(&mut self, view: &ChokeView<'_>, _: Instant, _: &mut Dice, out: &mut Vec<Slot>) {
        view.why.remark("everyone has a slot");
        out.extend(view.peers.iter().map(|peer| Slot::regular(peer.conn)));
    }

    fn next_decision(&self) -> Instant {
        Instant::NEVER
    }

    fn on_event(&mut self, event: ChokeEvent, _: Instant, _: &mut Dice) -> bool {
        matches!(event, ChokeEvent::Joined(_))
    }
}
