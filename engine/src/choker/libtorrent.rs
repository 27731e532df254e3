//! libtorrent's choker: `fixed_slots_choker`, and while seeding `seed_choking_algorithm`, by default `round_robin`
//! (`settings_pack.hpp` and `choker.cpp` of 2.1).
//!
//! Where mainline's choker ([`Standard`](super::Standard)) has slots that are not earned go round, this one leaves
//! them where they are: whoever holds a slot keeps it until others send more, or until it was sent its quota. So a
//! seed serves few peers at a time, each for `seeding_piece_quota` pieces. Who has a slot when is settled
//! every `unchoke_interval`, and within a second of a slot being given back.

use super::quota::Order;
use super::{ChokeEvent, ChokePeer, ChokeView, Choker, SeedChoking, Slot, Slots};
use crate::dice::Dice;
use crate::time::{Duration, Instant};
use crate::units::ConnId;
use crate::why::Reason;

/// libtorrent looks at its timers once a second.
const TICK: Duration = Duration::from_secs(1);

/// The constants of a [`Libtorrent`] choker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LibtorrentConfig {
    /// `unchoke_slots_limit`: 8.
    pub slots: Slots,
    /// `num_optimistic_unchoke_slots`: "0 means automatic, where libtorrent opens up 20% of your allowed upload slots",
    /// at least one.
    pub optimistic: usize,
    /// `unchoke_interval`: 15 s.
    pub rechoke_every: Duration,
    /// `optimistic_unchoke_interval`: 30 s.
    pub optimistic_every: Duration,
    /// `seeding_piece_quota`, in bytes: what is sent to a peer "before rotating in another peer to the unchoke set".
    pub quota: u64,
    /// `seed_choking_algorithm`.
    pub seeding: SeedChoking,
}

/// Slots for those who sent most since the last round; then for those who have one, until their quota is sent; then
/// for those who have waited longest. Optimistic slots are for those who have waited longest for one.
#[derive(Debug)]
pub struct Libtorrent {
    config: LibtorrentConfig,
    order: Order,
    /// Who became interested since the last decision.
    asking: Vec<ConnId>,
    slots: usize,
    /// When this host began to tick.
    began: Instant,
    next_round: Instant,
    next_turn: Instant,
}

impl Libtorrent {
    /// A choker that first deals all slots within the first second, and free ones at once.
    pub fn new(config: LibtorrentConfig, now: Instant, dice: &mut Dice) -> Self {
        let began = now + Duration::from_nanos(dice.below(TICK.as_nanos()));
        let slots = config.slots.at_first();
        let config = LibtorrentConfig {
            rechoke_every: config.rechoke_every.max(TICK),
            optimistic_every: config.optimistic_every.max(TICK),
            ..config
        };
        Self {
            config,
            order: Order::new(config.seeding, config.quota),
            asking: Vec::new(),
            slots,
            began,
            next_round: began,
            next_turn: began,
        }
    }

    /// The first tick after `now`.
    fn tick_after(&self, now: Instant) -> Instant {
        let ticks = now.since(self.began).as_nanos() / TICK.as_nanos();
        self.began + TICK * (ticks + 1)
    }

    /// Those who hold a slot and want it keep it.
    fn hold(&self, view: &ChokeView<'_>, now: Instant) -> Vec<Slot> {
        let interested = |unchoked| {
            let peers = view.peers.iter();
            peers.filter(move |peer: &&ChokePeer| peer.interested && peer.unchoked == unchoked)
        };
        view.why.say(|| {
            let reason = |note| move |peer| self.order.reason(peer, view, now).with_note(note);
            let held = interested(true).map(reason("keeps it until the next round"));
            held.chain(interested(false).map(reason("waits for the next round, or for a free slot")))
        });
        interested(true).map(|peer| slot(peer.conn, peer.optimistic)).collect()
    }

    /// How long a peer has waited for an optimistic slot, as a reason.
    fn turn(&self, conn: ConnId, now: Instant) -> Reason<ConnId> {
        let last = self.order.optimistic_at(conn);
        let waited = now.since(last.unwrap_or(Instant::ZERO)).as_secs_f64();
        let note = if last.is_none() { "had none yet" } else { "" };
        Reason::new(conn, waited, "s since its last optimistic slot").with_note(note)
    }

    /// Deals the regular slots; who has an optimistic one keeps it, or has earned a regular one.
    fn deal_regular(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice) -> Vec<Slot> {
        self.next_round = now + self.config.rechoke_every;
        self.slots = self.config.slots.count(view);
        let mut ranked: Vec<_> = view.peers.iter().filter(|peer| peer.interested).collect();
        let optimistic = ranked.iter().filter(|peer| peer.optimistic).count();
        let regular =
            self.slots.saturating_sub(if optimistic > 0 { optimistic } else { self.config.optimistic });
        dice.shuffle(&mut ranked);
        ranked.sort_by_key(|peer| self.order.rank(peer, view, now));
        view.why.remark("the first get all slots, and which of them get the regular ones is chance");
        view.why.say(|| ranked.iter().map(|peer| self.order.reason(peer, view, now)));
        // `unchoke_sort` finds the best for all slots and leaves these in no order (`std::nth_element`); the regular
        // slots go to the first of them. So an optimistic slot often becomes a regular one, and slots do go round.
        let best = ranked.len().min(self.slots);
        dice.shuffle(&mut ranked[..best]);
        let mut dealt = Vec::new();
        for (nth, peer) in ranked.into_iter().enumerate() {
            if nth < regular {
                dealt.push(slot(peer.conn, false));
                if peer.optimistic {
                    self.next_turn = now;
                }
            } else if peer.optimistic {
                dealt.push(slot(peer.conn, true));
            }
        }
        self.order.end_round(view);
        dealt
    }

    /// Gives the optimistic slots to those who have waited longest for one.
    fn deal_optimistic(
        &mut self,
        view: &ChokeView<'_>,
        now: Instant,
        dice: &mut Dice,
        dealt: &mut Vec<Slot>,
    ) {
        self.next_turn = now + self.config.optimistic_every;
        dealt.retain(|slot| !slot.optimistic);
        let waits = |peer: &&ChokePeer| peer.interested && dealt.iter().all(|slot| slot.conn != peer.conn);
        let mut waiting: Vec<_> = view.peers.iter().filter(waits).map(|peer| peer.conn).collect();
        dice.shuffle(&mut waiting);
        waiting.sort_by_key(|conn| self.order.optimistic_at(*conn));
        view.why.say(|| waiting.iter().map(|&conn| self.turn(conn, now)));
        for conn in waiting.into_iter().take(self.config.optimistic) {
            dealt.push(slot(conn, true));
        }
        if dealt.len() > self.slots {
            self.next_round = self.tick_after(now);
        }
    }
}

impl Choker for Libtorrent {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        let mut dealt =
            if now >= self.next_round { self.deal_regular(view, now, dice) } else { self.hold(view, now) };
        if now >= self.next_turn {
            self.deal_optimistic(view, now, dice, &mut dealt);
        }
        for conn in std::mem::take(&mut self.asking) {
            let waits = view.peer(conn).is_some_and(|peer| peer.interested);
            if waits && dealt.len() < self.slots && dealt.iter().all(|slot| slot.conn != conn) {
                dealt.push(slot(conn, false));
            }
        }
        let waits = |peer: &ChokePeer| peer.interested && dealt.iter().all(|slot| slot.conn != peer.conn);
        if dealt.iter().all(|slot| !slot.optimistic) && view.peers.iter().any(waits) {
            self.next_turn = self.next_turn.min(self.tick_after(now));
        }
        self.order.note(view, now, &dealt);
        out.append(&mut dealt);
    }

    fn next_decision(&self) -> Instant {
        self.next_round.min(self.next_turn)
    }

    fn on_event(&mut self, event: ChokeEvent, now: Instant, _dice: &mut Dice) -> bool {
        self.order.on_event(event, now);
        match event {
            ChokeEvent::Left { conn, unchoked } => {
                self.asking.retain(|&other| other != conn);
                if unchoked {
                    self.next_round = self.next_round.min(self.tick_after(now));
                }
                unchoked
            }
            ChokeEvent::NotInterested { unchoked, .. } => {
                if unchoked {
                    self.next_round = self.next_round.min(self.tick_after(now));
                }
                unchoked
            }
            ChokeEvent::Interested { conn, unchoked: false } => {
                self.asking.push(conn);
                true
            }
            _ => false,
        }
    }
}

fn slot(conn: ConnId, optimistic: bool) -> Slot {
    Slot { conn, optimistic, cap: None }
}
