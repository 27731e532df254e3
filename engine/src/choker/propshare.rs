//! PropShare: Levin, LaCurts, Spring, Bhattacharjee, "BitTorrent is an Auction: Analyzing and Improving BitTorrent's
//! Incentives", SIGCOMM 2008.
//!
//! In place of equal slots for the highest bidders, each peer gets the part of the capacity that its bid is of all
//! bids: what it sent us in the last round. A fifth of the capacity is for optimistic slots, so that newcomers have
//! something to bid with.

use std::collections::BTreeMap;

use super::deal::Deal;
use super::rotation::Rotation;
use super::rounds::Rounds;
use super::{ChokeEvent, ChokePeer, ChokeView, Choker, Slot, StandardConfig, seeding};
use crate::dice::Dice;
use crate::time::Instant;
use crate::units::{BLOCK_LEN, ConnId};
use crate::why::Reason;

const MILLION: u64 = 1_000_000;

/// The constants of a [`PropShare`] choker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PropShareConfig {
    /// The rounds and the optimistic slots; and the slots while seeding, when this is mainline's choker.
    pub rounds: StandardConfig,
    /// What there is to be shared, in payload bytes a second; at most the limit of the moment. `None` is no end of
    /// it, and no caps.
    pub capacity: Option<u64>,
    /// The part of it that is for optimistic slots, in parts per million.
    pub reserve_ppm: u32,
}

/// The capacity is shared in proportion to what peers sent in the last round.
///
/// All who sent enough for a share of a block in a round have a slot, however many they are. As long as nobody has,
/// all the capacity is for as many optimistic slots as there are slots.
#[derive(Debug)]
pub struct PropShare {
    config: PropShareConfig,
    rounds: Rounds,
    rotation: Rotation,
    /// What peers had sent at the last round.
    received: BTreeMap<ConnId, u64>,
    /// The shares of this round.
    shares: BTreeMap<ConnId, Share>,
}

/// What a peer gets in a round.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// What it sent in the last round.
    bid: u64,
    /// Payload bytes a second; `None` where there is no end of them.
    cap: Option<u64>,
}

impl PropShare {
    /// A choker that first deals all slots within the first round, and free ones at once.
    pub fn new(config: PropShareConfig, now: Instant, dice: &mut Dice) -> Self {
        let rounds = Rounds::new(config.rounds, now, dice);
        let (rotation, received, shares) = (Rotation::default(), BTreeMap::new(), BTreeMap::new());
        Self { config, rounds, rotation, received, shares }
    }

    fn capacity(&self, view: &ChokeView<'_>) -> Option<u64> {
        [self.config.capacity, view.limit_up].into_iter().flatten().min()
    }

    fn reserve_ppm(&self) -> u64 {
        u64::from(self.config.reserve_ppm).min(MILLION)
    }

    /// Part of the capacity that is for optimistic slots.
    fn reserve(&self, capacity: u64) -> u64 {
        if self.shares.is_empty() { capacity } else { part(capacity, self.reserve_ppm(), MILLION) }
    }

    /// Shares the capacity out anew.
    fn share(&mut self, view: &ChokeView<'_>) {
        let capacity = self.capacity(view);
        let mut bids: Vec<(&ChokePeer, u64)> = Vec::new();
        for peer in view.peers {
            let before = self.received.insert(peer.conn, peer.received).unwrap_or(0);
            if peer.interested && peer.received > before {
                bids.push((peer, peer.received - before));
            }
        }
        let all: u64 = bids.iter().map(|(_, bid)| bid).sum();
        let for_bids = capacity.map(|capacity| part(capacity, MILLION - self.reserve_ppm(), MILLION));
        let round_ms = self.rounds.config.rechoke_every.as_nanos() / 1_000_000;
        let least = u64::from(BLOCK_LEN) * 1000 / round_ms.max(1);
        let cap = |bid: u64| for_bids.map(|for_bids| part(for_bids, bid, all));
        let shares = bids.into_iter().map(|(peer, bid)| (peer.conn, Share { bid, cap: cap(bid) }));
        self.shares = shares.filter(|(_, share)| share.cap.is_none_or(|cap| cap >= least)).collect();
    }

    fn deal(&mut self, deal: &Deal<'_>, out: &mut Vec<Slot>) {
        let start = out.len();
        let wants = |conn: &ConnId| deal.view.peer(*conn).is_some_and(|peer| peer.interested);
        let shares = self.shares.iter().filter(|(conn, _)| wants(conn));
        deal.view.why.largest_first(|| {
            let shares = shares.clone();
            shares
                .map(|(&conn, share)| Reason::new(conn, share.bid as f64, "bytes from it in the last round"))
        });
        out.extend(shares.map(|(conn, share)| Slot::regular(*conn).capped(share.cap)));
        // An optimistic slot is for somebody new.
        let regular = out.len();
        let in_turn = if self.shares.is_empty() { deal.slots } else { deal.optimistic };
        let slots = regular - start + in_turn;
        Deal { slots, ..*deal }.fill_in_turn(&mut self.rotation, start, out);
        deal.say_turns(
            &self.rotation,
            |conn| self.shares.contains_key(&conn),
            |_| "has no share in this round",
        );
        let reserve = self.capacity(deal.view).map(|capacity| self.reserve(capacity) / in_turn.max(1) as u64);
        out[regular..].iter_mut().for_each(|slot| slot.cap = reserve);
    }
}

impl Choker for PropShare {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, _dice: &mut Dice, out: &mut Vec<Slot>) {
        let start = out.len();
        let round = self.rounds.begin(view, now);
        if round.is_some() {
            self.share(view);
        }
        let deal = Deal::new(view, now, round, &self.rounds);
        if view.seeding {
            seeding::deal(&deal, &mut self.rotation, out);
        } else {
            self.deal(&deal, out);
        }
        self.rounds.note(view, &out[start..]);
    }

    fn next_decision(&self) -> Instant {
        self.rounds.next()
    }

    fn on_event(&mut self, event: ChokeEvent, _now: Instant, dice: &mut Dice) -> bool {
        self.rotation.on_event(event, dice);
        if let ChokeEvent::Left { conn, .. } = event {
            // Its share is given to others when the round is over.
            self.received.remove(&conn);
        }
        self.rounds.on_event(event)
    }
}

/// `bytes` · `by` / `of`.
fn part(bytes: u64, by: u64, of: u64) -> u64 {
    (u128::from(bytes) * u128::from(by) / u128::from(of.max(1))) as u64
}
