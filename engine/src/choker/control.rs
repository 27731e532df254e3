//! Slots that have nothing to do with what a peer gives or takes, before and after the download is done.

use super::deal::Deal;
use super::rotation::Rotation;
use super::rounds::Rounds;
use super::{ChokeEvent, ChokePeer, ChokeView, Choker, Slot, StandardConfig};
use crate::dice::Dice;
use crate::time::Instant;
use crate::why::Reason;

/// At each rechoke the slots go to interested peers at random; in between, free ones do. None is optimistic.
#[derive(Debug)]
pub struct Random {
    rounds: Rounds,
}

impl Random {
    /// A choker that first deals all slots within the first round, and free ones at once.
    pub fn new(config: StandardConfig, now: Instant, dice: &mut Dice) -> Self {
        Self { rounds: Rounds::new(config, now, dice) }
    }
}

impl Choker for Random {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        let start = out.len();
        let round = self.rounds.begin(view, now);
        let deal = Deal::new(view, now, round, &self.rounds);
        let mut peers: Vec<_> = view.peers.iter().filter(|peer| deal.may_serve(peer)).collect();
        view.why.remark("at random at each rechoke; in between all keep theirs");
        dice.shuffle(&mut peers);
        peers.sort_by_key(|peer| !deal.holds(peer));
        out.extend(peers.into_iter().take(deal.slots).map(|peer| Slot::regular(peer.conn)));
        self.rounds.note(view, &out[start..]);
    }

    fn next_decision(&self) -> Instant {
        self.rounds.next()
    }

    fn on_event(&mut self, event: ChokeEvent, _now: Instant, _dice: &mut Dice) -> bool {
        self.rounds.on_event(event)
    }
}

/// Slots go round among interested peers: a turn is one round, and whoever had it waits until all others had theirs.
/// Free slots go to the next in line. None is optimistic.
#[derive(Debug)]
pub struct RoundRobin {
    rounds: Rounds,
    rotation: Rotation,
}

impl RoundRobin {
    /// A choker that first deals all slots within the first round, and free ones at once.
    pub fn new(config: StandardConfig, now: Instant, dice: &mut Dice) -> Self {
        Self { rounds: Rounds::new(config, now, dice), rotation: Rotation::default() }
    }
}

impl Choker for RoundRobin {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, _dice: &mut Dice, out: &mut Vec<Slot>) {
        let start = out.len();
        let round = self.rounds.begin(view, now);
        let deal = Deal::new(view, now, round, &self.rounds);
        if round.is_some() {
            self.rotation.send_back(|conn| view.peer(conn).is_some_and(|peer| peer.unchoked));
        }
        let in_line = || self.rotation.iter().filter_map(|conn| view.peer(conn));
        let held = in_line().filter(|peer| deal.holds(peer));
        let next = in_line().filter(|peer| deal.may_serve(peer) && !deal.holds(peer));
        let line = held.chain(next);
        view.why.say(|| {
            let place = |(place, peer): (usize, &ChokePeer)| {
                deal.note_held(peer, Reason::new(peer.conn, place as f64, "before it in line"))
            };
            line.clone().enumerate().map(place)
        });
        deal.say_barred();
        out.extend(line.take(deal.slots).map(|peer| Slot::regular(peer.conn)));
        self.rounds.note(view, &out[start..]);
    }

    fn next_decision(&self) -> Instant {
        self.rounds.next()
    }

    fn on_event(&mut self, event: ChokeEvent, _now: Instant, dice: &mut Dice) -> bool {
        self.rotation.on_event(event, dice);
        self.rounds.on_event(event)
    }
}
