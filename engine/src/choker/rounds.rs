//! When slots are dealt, and how many there are.

use super::{ChokeEvent, ChokeView, Slot};
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

impl Slots {
    /// How many slots there are now.
    pub fn count(self, view: &ChokeView<'_>) -> usize {
        let Self::ByRate = self else { return self.at_first() };
        let mut rates: Vec<_> = view.peers.iter().map(|peer| peer.rate_up).collect();
        rates.sort_unstable_by(|a, b| b.cmp(a));
        let thresholds = (1024..).step_by(2048);
        1 + rates.iter().zip(thresholds).take_while(|&(&rate, threshold)| rate >= threshold).count()
    }

    /// How many slots there are before anything was sent.
    pub const fn at_first(self) -> usize {
        match self {
            Self::Fixed(slots) => slots,
            Self::ByRate => 1,
        }
    }
}

/// The constants of a choker that deals slots in rounds.
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

/// Slots are dealt anew in rounds, in a phase of this host's own. In between a slot that became free is given away when
/// someone waits for it.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) config: StandardConfig,
    next: Instant,
    /// When the last rechoke was.
    pub(super) began: Instant,
    /// Rechokes so far.
    round: u32,
    pub(super) slots: usize,
    /// Whether a slot may be free.
    spare: bool,
    /// Whether someone may wait for a slot.
    waiting: bool,
}

impl Rounds {
    pub(super) fn new(config: StandardConfig, now: Instant, dice: &mut Dice) -> Self {
        let rechoke_every = config.rechoke_every.max(SHORTEST_ROUND);
        let phase = Duration::from_nanos(dice.below(rechoke_every.as_nanos()));
        let slots = config.slots.at_first();
        Self {
            config: StandardConfig { rechoke_every, ..config },
            next: now + phase,
            began: now,
            round: 0,
            slots,
            spare: slots > 0,
            waiting: false,
        }
    }

    /// When the next round is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Begins a round if it is time; a late call does not shift the phase.
    pub(super) fn begin(&mut self, view: &ChokeView<'_>, now: Instant) -> Option<u32> {
        if now < self.next {
            return None;
        }
        let period = self.config.rechoke_every;
        self.next += period * (1 + now.since(self.next).as_nanos() / period.as_nanos());
        self.slots = self.config.slots.count(view);
        self.began = now;
        self.round += 1;
        Some(self.round)
    }

    /// Notes whether a slot is free and someone waits, now that these were `dealt`.
    pub(super) fn note(&mut self, view: &ChokeView<'_>, dealt: &[Slot]) {
        let served =
            dealt.iter().filter_map(|slot| view.peer(slot.conn)).filter(|peer| peer.interested).count();
        let interested = view.peers.iter().filter(|peer| peer.interested).count();
        self.spare = served < self.slots;
        self.waiting = served < interested;
    }

    /// Whether a decision is due at once.
    pub(super) fn on_event(&mut self, event: ChokeEvent) -> bool {
        match event {
            ChokeEvent::Left { unchoked, .. } | ChokeEvent::NotInterested { unchoked, .. } => {
                self.spare |= unchoked;
                unchoked && self.waiting
            }
            ChokeEvent::Interested { unchoked: true, .. } => true,
            ChokeEvent::Interested { .. } => {
                self.waiting = true;
                self.spare
            }
            ChokeEvent::Joined(_) | ChokeEvent::BlockReceived(_) | ChokeEvent::BlockSent(_) => false,
        }
    }
}
