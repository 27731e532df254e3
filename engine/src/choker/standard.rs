//! The choker that clients ship: mainline's.

use super::deal::Deal;
use super::rotation::Rotation;
use super::{ChokeEvent, ChokeView, Choker, Slot, leeching, seeding};
use crate::dice::Dice;
use crate::time::{Duration, Instant};

/// A round that takes no time would never end.
const SHORTEST_ROUND: Duration = Duration::from_millis(1);

/// How many peers are served at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slots {
    /// So many, optimistic ones included.
    Fixed(usize),
    /// As many as there is bandwidth for (libtorrent's `rate_based_choker`): peers are counted from the one that we send
    /// most to, as long as the first gets 1 KiB/s, the second 3 KiB/s, the third 5 KiB/s and so on; and one more.
    ByRate,
}

/// The constants of a [`Standard`] choker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StandardConfig {
    /// How many peers are served at once.
    pub slots: Slots,
    /// How many of the slots are optimistic while leeching.
    pub optimistic: usize,
    /// "The currently deployed choking algorithm avoids fibrillation by only changing who's choked once every ten
    /// seconds" (BEP 3).
    pub rechoke_every: Duration,
    /// "Which peer is optimistically unchoked rotates every 30 seconds" (BEP 3): after so many rechokes.
    pub rotate_every: u32,
}

impl Default for StandardConfig {
    fn default() -> Self {
        Self {
            slots: Slots::Fixed(4),
            optimistic: 1,
            rechoke_every: Duration::from_secs(10),
            rotate_every: 3,
        }
    }
}

/// Tit for tat while leeching: regular slots go to those who send us most, optimistic ones go round. While seeding,
/// service by upload rate, with slots that go round.
///
/// Slots are dealt anew every ten seconds, in a phase of this host's own. In between a slot that became free is given to
/// someone who waits and had none in this round, and nobody loses one but for this: "Peers which have a better upload
/// rate but aren't interested get unchoked and if they become interested the worst uploader gets choked" (BEP 3).
#[derive(Debug)]
pub struct Standard {
    config: StandardConfig,
    rotation: Rotation,
    next: Instant,
    /// When the last rechoke was.
    round_began: Instant,
    /// Rechokes so far.
    round: u32,
    slots: usize,
    /// Whether a slot may be free.
    spare: bool,
    /// Whether someone may wait for a slot.
    waiting: bool,
}

impl Standard {
    /// A choker that first deals all slots within the first ten seconds, and free ones at once.
    pub fn new(config: StandardConfig, now: Instant, dice: &mut Dice) -> Self {
        let rechoke_every = config.rechoke_every.max(SHORTEST_ROUND);
        let phase = Duration::from_nanos(dice.below(rechoke_every.as_nanos()));
        let slots = match config.slots {
            Slots::Fixed(slots) => slots,
            Slots::ByRate => 1,
        };
        Self {
            config: StandardConfig { rechoke_every, ..config },
            rotation: Rotation::default(),
            next: now + phase,
            round_began: now,
            round: 0,
            slots,
            spare: slots > 0,
            waiting: false,
        }
    }

    /// Begins a round if it is time; a late call does not shift the phase.
    fn begin_round(&mut self, view: &ChokeView<'_>, now: Instant) -> Option<u32> {
        if now < self.next {
            return None;
        }
        let period = self.config.rechoke_every;
        self.next += period * (1 + now.since(self.next).as_nanos() / period.as_nanos());
        if self.config.slots == Slots::ByRate {
            self.slots = slots_by_rate(view);
        }
        self.round_began = now;
        self.round += 1;
        Some(self.round)
    }

    fn slot_freed(&mut self, unchoked: bool) -> bool {
        self.spare |= unchoked;
        unchoked && self.waiting
    }
}

impl Choker for Standard {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        let round = self.begin_round(view, now);
        let StandardConfig { optimistic, rotate_every, .. } = self.config;
        let deal = Deal {
            view,
            now,
            slots: self.slots,
            optimistic,
            round,
            round_began: self.round_began,
            rotate_every,
        };
        let start = out.len();
        if view.seeding {
            seeding::deal(&deal, &mut self.rotation, out);
        } else {
            leeching::deal(&deal, &mut self.rotation, dice, out);
        }
        let served = out[start..]
            .iter()
            .filter_map(|slot| view.peer(slot.conn))
            .filter(|peer| peer.interested)
            .count();
        let interested = view.peers.iter().filter(|peer| peer.interested).count();
        self.spare = served < self.slots;
        self.waiting = served < interested;
    }

    fn next_decision(&self) -> Instant {
        self.next
    }

    fn on_event(&mut self, event: ChokeEvent, _now: Instant, dice: &mut Dice) -> bool {
        match event {
            ChokeEvent::Joined(conn) => {
                self.rotation.join(conn, dice);
                false
            }
            ChokeEvent::Left { conn, unchoked } => {
                self.rotation.leave(conn);
                self.slot_freed(unchoked)
            }
            ChokeEvent::NotInterested { unchoked, .. } => self.slot_freed(unchoked),
            ChokeEvent::Interested { unchoked: true, .. } => true,
            ChokeEvent::Interested { .. } => {
                self.waiting = true;
                self.spare
            }
            ChokeEvent::BlockReceived(_) | ChokeEvent::BlockSent(_) => false,
        }
    }
}

/// See [`Slots::ByRate`].
pub(super) fn slots_by_rate(view: &ChokeView<'_>) -> usize {
    let mut rates: Vec<_> = view.peers.iter().map(|peer| peer.rate_up).collect();
    rates.sort_unstable_by(|a, b| b.cmp(a));
    let thresholds = (1024..).step_by(2048);
    1 + rates.iter().zip(thresholds).take_while(|&(&rate, threshold)| rate >= threshold).count()
}
