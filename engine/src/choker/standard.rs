//! The choker that clients ship: mainline's.

use super::deal::Deal;
use super::quota::Order;
use super::rotation::Rotation;
use super::rounds::Rounds;
use super::{ChokeEvent, ChokePeer, ChokeView, Choker, SeedChoking, Slot, StandardConfig, leeching, seeding};
use crate::dice::Dice;
use crate::time::Instant;

/// What a [`Standard`] choker does while seeding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Seeding {
    /// Mainline's since 4.0: service by upload rate, with slots that go round.
    #[default]
    UploadRate,
    /// libtorrent's order for the regular slots; the optimistic ones go round as they do while leeching.
    Libtorrent {
        /// Which order.
        by: SeedChoking,
        /// Bytes that a peer is sent before another has its turn, with [`SeedChoking::RoundRobin`].
        quota: u64,
    },
}

/// Tit for tat while leeching: regular slots go to those who send us most, optimistic ones go round. While seeding,
/// as its [`Seeding`] says.
///
/// Slots are dealt anew every ten seconds, in a phase of this host's own. In between a slot that became free is given to
/// someone who waits and had none in this round, and nobody loses one but for this: "Peers which have a better upload
/// rate but aren't interested get unchoked and if they become interested the worst uploader gets choked" (BEP 3).
#[derive(Debug)]
pub struct Standard {
    rounds: Rounds,
    rotation: Rotation,
    /// The order while seeding, unless it is mainline's.
    order: Option<Order>,
}

impl Standard {
    /// A choker that first deals all slots within the first ten seconds, and free ones at once.
    pub fn new(config: StandardConfig, now: Instant, dice: &mut Dice) -> Self {
        Self { rounds: Rounds::new(config, now, dice), rotation: Rotation::default(), order: None }
    }

    /// The same choker with another policy while seeding.
    pub fn seeding(self, seeding: Seeding) -> Self {
        let order = match seeding {
            Seeding::UploadRate => None,
            Seeding::Libtorrent { by, quota } => Some(Order::new(by, quota)),
        };
        Self { order, ..self }
    }
}

impl Choker for Standard {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        let round = self.rounds.begin(view, now);
        let deal = Deal::new(view, now, round, &self.rounds);
        let start = out.len();
        match &self.order {
            _ if !view.seeding => leeching::deal(&deal, &mut self.rotation, dice, out),
            None => seeding::deal(&deal, &mut self.rotation, out),
            Some(order) => {
                let rank = |peer: &ChokePeer| order.rank(peer, view, now);
                let reason = |peer: &ChokePeer| order.reason(peer, view, now);
                deal.by_merit(&mut self.rotation, dice, rank, reason, out);
            }
        }
        if let Some(order) = &mut self.order {
            order.note(view, now, &out[start..]);
            if round.is_some() {
                order.end_round(view);
            }
        }
        self.rounds.note(view, &out[start..]);
    }

    fn next_decision(&self) -> Instant {
        self.rounds.next()
    }

    fn on_event(&mut self, event: ChokeEvent, now: Instant, dice: &mut Dice) -> bool {
        if let Some(order) = &mut self.order {
            order.on_event(event, now);
        }
        self.rotation.on_event(event, dice);
        self.rounds.on_event(event)
    }
}
